import pytest

from nodes.tasks import AttemptOutcome
from runs.engine.claims import claim, finish
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
