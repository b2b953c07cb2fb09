"""The engine keeps its invariants in any order of events, and the checker finds an engine that does not."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from flows.infra.statements import update
from runs import services, transitions
from runs.engine import claims, recovery, release
from runs.models import TaskRun
from runs.operations import rounds
from runs.states import MOVES, OVER, TaskState
from tests.runs.engine.machine import EngineMachine

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db]


def explore(examples, start=0):
    machine = type("Machine", (EngineMachine,), {})
    seed(start)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


@pytest.fixture(autouse=True)
def no_pauses(settings):
    settings.INFRA_BACKOFF_S = 0


def test_no_order_of_events_breaks_an_invariant():
    explore(40 if connection.vendor == "sqlite" else 12)  # a step costs some four times as much on PostgreSQL


def patch_everywhere(monkeypatch, name, replacement):
    for module in (transitions, claims, release, recovery, services):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, replacement)


def blind_move(monkeypatch):
    """A claim that does not look whether the task run is still queued."""
    real = transitions.move_by_id

    def move_by_id(ids, old, new, *conditions, actor, changes, **options):
        if new != TaskState.RUNNING:
            return real(ids, old, new, *conditions, actor=actor, changes=changes, **options)
        values = {"state": new.value, "moved_by": actor, "reason": "", "ended_at": None, **changes}
        return update(TaskRun, {**values, "not_before": None}, id=ids)

    waiting = claims.waiting

    def always_waiting(task_run_id):
        row = waiting(task_run_id)
        if row is not None:
            row.state = TaskState.QUEUED
        return row

    patch_everywhere(monkeypatch, "move_by_id", move_by_id)
    monkeypatch.setattr(claims, "waiting", always_waiting)


def no_fence(monkeypatch):
    """A finish that counts although another attempt has the task run now."""
    real = claims.move_by_id

    def move_by_id(ids, old, new, *conditions, fence=None, owner=None, **options):
        return real(ids, old, new, *conditions, **options)

    monkeypatch.setattr(claims, "move_by_id", move_by_id)


def early_start(monkeypatch):
    """A release that takes any end of an upstream for a success."""
    monkeypatch.setattr(release, "_CANDIDATES", release._CANDIDATES.replace(release._list(OVER - release.DONE), "''"))


def cancel_leaves_queued(monkeypatch):
    """A cancel that forgets what is queued, with a claim that does not look."""
    real = transitions.move

    def move(rows, old, new, **changes):
        if new == TaskState.CANCELLED and old == TaskState.QUEUED:
            return 0
        return real(rows, old, new, **changes)

    patch_everywhere(monkeypatch, "move", move)


def no_reaper(monkeypatch):
    """Leases that nobody takes back."""
    for module in (recovery, rounds):
        monkeypatch.setattr(module, "reap", lambda: 0)


def no_sweeper(monkeypatch):
    """Half-done steps that nobody finishes: a release is lost in a crash now and then."""
    monkeypatch.setattr(claims, "release", lambda run_id, finished, **_: release.Released())
    monkeypatch.setattr(recovery, "release", lambda run_id: None)


def retries_without_end(monkeypatch):
    """A retry that ignores the budget."""
    real = claims._next_state

    def next_state(claim, ended):
        return real(type(claim)(**{**vars(claim), "attempts": 0}), ended)

    monkeypatch.setattr(claims, "_next_state", next_state)


def publishes_twice(monkeypatch):
    """A late attempt whose output replaces that of the attempt that won."""
    real = claims.finish

    def finish(claim, ended, **options):
        real(claim, ended, **options)
        if ended.state == "succeeded":
            TaskRun.objects.filter(pk=claim.task_run_id).update(output_fence=claim.fence)

    monkeypatch.setattr("tests.runs.engine.machine.finish", finish)


def settles_too_soon(monkeypatch):
    """A run that is over although tasks of it are not."""
    monkeypatch.setattr(release, "ACTIVE", frozenset({TaskState.RUNNING}))
    real = release.outcome
    monkeypatch.setattr(release, "outcome", lambda states, **options: real((s for s in states if s in OVER), **options))


#: What is broken on purpose -> where the search begins, so that it is found within seconds; it has 120 tries.
PLANTS = {
    blind_move: 0,
    no_fence: 3,
    early_start: 4,
    cancel_leaves_queued: 5,
    no_reaper: 1,
    no_sweeper: 1,
    retries_without_end: 4,
    settles_too_soon: 0,
    publishes_twice: 0,
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_the_checker_finds_an_engine_with(plant, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(Exception) as caught:
        explore(120, PLANTS[plant])
    assert caught.type.__name__ in ("AssertionError", "IntegrityError"), caught.value


def test_the_table_refuses_what_it_does_not_list():
    illegal = [(a, b) for a in TaskState for b in TaskState if (a, b) not in MOVES]
    for old, new in illegal:
        with pytest.raises(transitions.IllegalMoveError):
            transitions.move(TaskRun.objects.none(), old, new, actor="x")
        with pytest.raises(transitions.IllegalMoveError):
            transitions.move_by_id(0, old, new, actor="x")
