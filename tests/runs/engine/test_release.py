import pytest

from runs.engine.release import release
from runs.models import Transition
from runs.operations.invariants import check
from tests.helpers.graphs import drain, open_graph, states

pytestmark = pytest.mark.django_db


def test_a_task_starts_only_when_everything_it_needs_has_succeeded():
    run = open_graph()
    assert states(run) == {"a": "queued", "b": "pending", "c": "pending", "d": "pending"}
    drain(run)
    assert run.state == "succeeded"
    assert check(run.pk) == []


def test_tasks_below_a_failed_one_are_skipped_and_name_it():
    run = drain(open_graph({"a": (), "b": ("a",), "c": ("b",), "x": ()}, {"a": {"end": "fail"}}))
    assert states(run) == {"a": "failed", "b": "skipped", "c": "skipped", "x": "succeeded"}
    assert run.state == "failed"
    assert run.reason == "1 failed, 2 skipped, 1 succeeded"
    assert set(run.task_runs.filter(state="skipped").values_list("reason", flat=True)) == {"upstream a failed"}
    assert check(run.pk) == []


def test_one_gate_carries_all_arrows_between_two_nodes():
    graph = {"a": (), "b": (), "gate": ("a", "b"), "c": ("gate",), "d": ("gate",)}
    run = open_graph(graph, kinds={"gate": "gate"})
    drain(run)
    assert run.state == "succeeded"
    assert check(run.pk) == []


def test_a_gate_behind_a_failure_is_skipped_with_all_that_waits_for_it():
    graph = {"a": (), "gate": ("a",), "c": ("gate",)}
    run = drain(open_graph(graph, {"a": {"end": "fail"}}, kinds={"gate": "gate"}))
    assert states(run) == {"a": "failed", "gate": "skipped", "c": "skipped"}


def test_the_hook_at_the_end_runs_although_something_failed():
    graph = {"a": (), "b": ("a",), "end": ("b",)}
    run = drain(open_graph(graph, {"a": {"end": "fail"}}, waits_for={"end": "end"}))
    assert states(run) == {"a": "failed", "b": "skipped", "end": "succeeded"}
    assert run.state == "failed"
    assert check(run.pk) == []


def test_releasing_twice_changes_nothing():
    run = open_graph()
    before = Transition.objects.count()
    release(run.pk)
    release(run.pk, [])
    assert Transition.objects.count() == before


def test_every_state_a_task_took_is_in_its_history_with_who_moved_it():
    run = drain(open_graph({"a": ()}))
    moves = Transition.objects.filter(task_run__identifier="a", run=run).values_list("old", "new")
    assert list(moves) == [
        ("", "pending"),
        ("pending", "queued"),
        ("queued", "running"),
        ("running", "succeeded"),
    ]
    assert all(Transition.objects.filter(run=run).values_list("actor", flat=True))
