"""What people, commands and clocks do to runs. Pages, API and commands call these."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from flows.access import require
from flows.models import Flow, Tick
from flows.parameters import check_values
from runs import dispatch
from runs.engine.release import release, settle
from runs.models import Run, TaskRun, Trigger
from runs.states import RUN_OVER, RunState, TaskState
from runs.transitions import move, move_run, open_run


class RunError(Exception):
    """What was asked of a run cannot be done; the message says why and what to do."""


def start_run(
    flow: Flow,
    *,
    trigger: Trigger,
    actor: str,
    user: AbstractBaseUser | None = None,
    key: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    retry_of: Run | None = None,
    tick: Tick | None = None,
    scope: Mapping[str, Any] | None = None,
) -> Run:
    """Open a run of `flow` and dispatch it for planning.

    In: `key`, an idempotency key: the same key gives the run that it opened first; `tick`, the due time that it is
    for; `parameters`, values for
    the flow's declared parameters (checked here, flows.parameters.ParameterError). Out: the run, QUEUED.
    """
    require("runs.add_run")
    values = check_values(flow.parameters, parameters or {})
    if key and (existing := Run.objects.filter(key=key).first()):
        return existing
    try:
        with transaction.atomic():
            run = open_run(
                flow,
                actor=actor,
                trigger=trigger,
                triggered_by=user,
                key=key,
                parameters=values,
                retry_of=retry_of,
                tick=tick,
                scope=dict(scope or {}),
                dispatched_at=Now(),
            )
            dispatch.run(run.pk)
    except IntegrityError:
        if not key:
            raise
        return Run.objects.get(key=key)  # another click with the same key was first
    return run


def cancel_run(run_id: int, *, actor: str) -> bool:
    """Cancel a run: what has not started never will, what runs is stopped by its supervisor.

    True when this call was the first to ask; False when the run is over or was asked before.
    """
    require("runs.add_run")
    with transaction.atomic():
        requested = (
            Run.objects.filter(pk=run_id, cancel_requested_at__isnull=True)
            .exclude(state__in=RUN_OVER)
            .update(cancel_requested_at=Now(), cancel_requested_by=actor)
        )
        if not requested:
            return False
        reason = f"cancelled by {actor}"
        if not move_run(run_id, RunState.QUEUED, RunState.CANCELLED, actor=actor, reason=reason):
            rows = TaskRun.objects.filter(run_id=run_id)
            for state in (TaskState.WAITING, TaskState.QUEUED, TaskState.PENDING):
                move(rows, state, TaskState.CANCELLED, actor=actor, reason=reason)
    settle(run_id)
    return True


def cancel_task_run(task_run_id: int, *, actor: str) -> bool:
    """Cancel one task run; what needs it is skipped. False when it is over or was asked before."""
    require("runs.add_run")
    with transaction.atomic():
        requested = TaskRun.objects.filter(
            pk=task_run_id, ended_at__isnull=True, cancel_requested_at__isnull=True
        ).update(cancel_requested_at=Now(), cancel_requested_by=actor)
        if not requested:
            return False
        row = TaskRun.objects.filter(pk=task_run_id)
        reason = f"cancelled by {actor}"
        moved = any(
            move(row, state, TaskState.CANCELLED, actor=actor, reason=reason)
            for state in (TaskState.WAITING, TaskState.QUEUED, TaskState.PENDING)
        )
    if moved:
        release(row.values_list("run_id", flat=True).get(), [task_run_id])
    return True
