from types import SimpleNamespace

import pytest

from nodes.tasks import AttemptOutcome
from runs.engine.claims import claim, finish
from runs.engine.in_flight import RunningTasks
from runs.logs import store
from runs.models import Attempt
from runs.operations.invariants import check
from runs.operations.rounds import sweep
from runs.services import cancel_run, cancel_task_run
from tests.helpers.graphs import drain, open_graph, states

pytestmark = pytest.mark.django_db


def test_cancelling_stops_what_has_not_started_at_once():
    run = open_graph()
    assert cancel_run(run.pk, actor="ada")
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert set(states(run).values()) == {"cancelled"}
    assert run.cancel_requested_by == "ada"
    assert check(run.pk) == []


def test_a_finished_task_stays_finished_when_its_run_is_cancelled():
    run = open_graph({"a": (), "b": ("a",)})
    finish(claim(run.task_runs.get(identifier="a").pk, "w1"), AttemptOutcome("succeeded"))
    cancel_run(run.pk, actor="ada")
    assert states(run) == {"a": "succeeded", "b": "cancelled"}


def test_a_running_task_decides_when_the_run_is_over():
    run = open_graph({"a": (), "b": ("a",)})
    held = claim(run.task_runs.get(identifier="a").pk, "w1")
    cancel_run(run.pk, actor="ada")
    run.refresh_from_db()
    assert run.state == "running"
    finish(held, AttemptOutcome("cancelled", "stopped"))
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert check(run.pk) == []


def test_a_retry_that_slips_past_a_cancel_is_cancelled_by_the_sweeper():
    run = open_graph({"a": ()}, {"a": {"retries": 3, "retry_delay": 0}})
    held = claim(run.task_runs.get().pk, "w1")
    cancel_run(run.pk, actor="ada")
    finish(held, AttemptOutcome("failed", "no"))
    sweep(force=True)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert check(run.pk) == []


def test_cancelling_twice_or_too_late_does_nothing():
    run = open_graph({"a": ()})
    assert cancel_run(run.pk, actor="ada")
    assert not cancel_run(run.pk, actor="bob")
    done = drain(open_graph({"a": ()}))
    assert not cancel_run(done.pk, actor="bob")
    done.refresh_from_db()
    assert done.state == "succeeded"


def test_cancelling_one_task_skips_only_what_needs_it():
    run = open_graph({"a": (), "b": ("a",), "x": ()})
    cancel_task_run(run.task_runs.get(identifier="a").pk, actor="ada")
    drain(run)
    assert states(run) == {"a": "cancelled", "b": "skipped", "x": "succeeded"}
    assert run.state == "failed"
    assert check(run.pk) == []


@pytest.mark.parametrize(
    ("warehouse", "said"),
    [
        ("snowflake", "Snowflake may go on with the query of this process: dex cannot end it there."),
        ("teradata", "teradata may go on with the query of this process: dex cannot end it there."),
        ("postgres", ""),
        ("duckdb", ""),
        ("postgres by commands", "PostgreSQL may go on with the query of this process: dex cannot end it there."),
        ("duckdb by commands", ""),
    ],
)
def test_the_log_says_where_the_query_of_a_killed_process_may_go_on(warehouse, said, monkeypatch, tmp_path):
    warehouse, _, by_commands = warehouse.partition(" by ")
    monkeypatch.setattr(store, "root", lambda: tmp_path)
    spec = {"unique_id": "model.shop.a", "tests": [], "unit_tests": [], "builds": True, "full_refresh": False}
    run = open_graph({"a": ()}, {"a": spec})
    executor = "command" if by_commands else "session"
    client = SimpleNamespace(pid=1, pid_start=1, executor=executor, execute=lambda *args, **options: None)
    session = SimpleNamespace(warehouse=warehouse, client=client, cancel=lambda task: None)
    running = RunningTasks(run.task_runs.get().lane_id, session, ())
    assert running.start(run.task_runs.get())
    running.crash("it did not stop")
    log = (tmp_path / Attempt.objects.get().log_path).read_text()
    assert "the dbt session ended: it did not stop" in log
    assert ("may go on" in log) == bool(said) and said in log
