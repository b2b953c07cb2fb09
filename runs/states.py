"""The states of runs and task runs, as data. Pure; docs/states.md is tested against this module."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum


class RunState(StrEnum):
    """A run; each line says who moves it on."""

    QUEUED = "queued"  # waits for its plan; the planner, a planning error or a cancel moves it on
    RUNNING = "running"  # task runs are open; settle moves it on when none is
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskState(StrEnum):
    """A task run; each line says who moves it on."""

    PENDING = "pending"  # waits for upstream; release or a cancel moves it on
    QUEUED = "queued"  # may run, a message was sent; a claim, a cancel or the sweeper moves it on
    RUNNING = "running"  # an attempt holds the lease; that attempt or the reaper moves it on
    WAITING = "waiting"  # failed, will be tried again at not_before; the sweeper or a cancel moves it on
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # an upstream did not succeed
    CANCELLED = "cancelled"
    REUSED = "reused"  # succeeded in the run that this one repeats


RUN_MOVES: frozenset[tuple[RunState, RunState]] = frozenset(
    {
        (RunState.QUEUED, RunState.RUNNING),
        (RunState.QUEUED, RunState.FAILED),
        (RunState.QUEUED, RunState.CANCELLED),
        (RunState.RUNNING, RunState.SUCCEEDED),
        (RunState.RUNNING, RunState.FAILED),
        (RunState.RUNNING, RunState.CANCELLED),
    }
)
MOVES: frozenset[tuple[TaskState, TaskState]] = frozenset(
    {
        (TaskState.PENDING, TaskState.QUEUED),
        (TaskState.PENDING, TaskState.SKIPPED),
        (TaskState.PENDING, TaskState.CANCELLED),
        (TaskState.QUEUED, TaskState.RUNNING),
        (TaskState.QUEUED, TaskState.CANCELLED),
        (TaskState.QUEUED, TaskState.FAILED),
        (TaskState.RUNNING, TaskState.SUCCEEDED),
        (TaskState.RUNNING, TaskState.FAILED),
        (TaskState.RUNNING, TaskState.CANCELLED),
        (TaskState.RUNNING, TaskState.WAITING),
        (TaskState.RUNNING, TaskState.QUEUED),
        (TaskState.WAITING, TaskState.QUEUED),
        (TaskState.WAITING, TaskState.CANCELLED),
    }
)
RUN_OVER = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
RUN_ACTIVE = frozenset(RunState) - RUN_OVER
OVER = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.REUSED})
ACTIVE = frozenset(TaskState) - OVER
DONE = frozenset({TaskState.SUCCEEDED, TaskState.REUSED})  # what a downstream task may build on
BIRTHS = frozenset({TaskState.PENDING, TaskState.REUSED})


def outcome(states: Iterable[TaskState], *, cancel_requested: bool) -> RunState | None:
    """The state a run ends in, from its task runs alone; None while one of them is active.

    A skipped task can never make a green run. A cancel request that came too late to stop anything does not
    turn a success into something else.
    """
    count = Counter(states)
    if any(count[state] for state in ACTIVE):
        return None
    if count[TaskState.CANCELLED] and cancel_requested:
        return RunState.CANCELLED
    if any(count[state] for state in OVER - DONE):
        return RunState.FAILED
    return RunState.SUCCEEDED
