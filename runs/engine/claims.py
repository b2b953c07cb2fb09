"""Taking a task run, and giving back how it ended. Both are one compare-and-swap on (state, fence)."""

import platform
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from flows.infra.statements import Sql, fetch, insert, now, update
from flows.retry_policy import is_worth_a_try
from nodes.tasks import AttemptOutcome
from runs.clock import after
from runs.engine import alarms
from runs.engine.recorded import messages
from runs.engine.release import Released, dispatch_released, release
from runs.models import Attempt, Dependency, TaskRun
from runs.states import TaskState
from runs.transitions import move, move_by_id

HOST = platform.node()
LONGEST_DELAY_S = 3600


@dataclass(frozen=True)
class Claim:
    """The right to execute one task run and to say how it ended, while the fence stands."""

    task_run_id: int
    run_id: int
    fence: int
    owner: str
    kind: str
    unique_id: str
    identifier: str
    attempts: int
    spec: dict[str, Any]
    log_path: str


COLUMNS = (
    *("run", "lane", "node", "state", "fence", "kind", "unique_id", "identifier"),
    *("attempts", "not_before", "pool", "warehouse_pool", "spec"),
)


_NOT_CANCELLED = Sql(
    "NOT EXISTS (SELECT 1 FROM runs_run r WHERE r.id = runs_taskrun.run_id AND r.cancel_requested_at IS NOT NULL)"
)


def waiting(task_run_id: int) -> TaskRun | None:
    """The columns of a task run that a claim needs; None when it is gone."""
    return fetch(TaskRun, COLUMNS, task_run_id)


def claim(
    task_run_id: int, owner: str, *, lane_id: int | None = None, row: TaskRun | None = None, **process: Any
) -> Claim | None:
    """Take a QUEUED task run for `owner`; None when another took it, it is not due, or it is gone.

    In: `row`, if the caller has just read it (see waiting); `process` (pid, pid_start, boot_id), which names the
    child process that will execute it, for the reaper.
    """
    row = row or waiting(task_run_id)
    if row is None or row.state != TaskState.QUEUED or row.lane_id != lane_id:
        return None
    # One fence has one not_before, so what was read is still true where the fence is.
    at = now(TaskRun)
    conditions = [_NOT_CANCELLED] if row.not_before is None else [_NOT_CANCELLED, Sql(f"not_before <= {at.text}")]
    with transaction.atomic():
        row.fence, row.attempts = row.fence + 1, row.attempts + 1
        if not move_by_id(
            task_run_id,
            TaskState.QUEUED,
            TaskState.RUNNING,
            *conditions,
            actor=owner,
            fence=row.fence - 1,
            changes={
                "owner": owner,
                "fence": row.fence,
                "attempts": row.attempts,
                "lease_until": now(TaskRun, settings.LEASE_S),
                "started_at": Sql(f"COALESCE(started_at, {at.text})"),
                "not_before": None,
            },
        ):
            return None
        log_path = f"{row.run_id}/{task_run_id}.{row.fence}.log"
        insert(
            Attempt,
            task_run=task_run_id,
            fence=row.fence,
            owner=owner,
            host=HOST,
            started_at=at,
            log_path=log_path,
            **process,
        )
    return Claim(
        task_run_id=task_run_id,
        run_id=row.run_id,
        fence=row.fence,
        owner=owner,
        kind=row.kind,
        unique_id=row.unique_id,
        identifier=row.identifier,
        attempts=row.attempts,
        spec=row.spec,
        log_path=log_path,
    )


def finish(claim: Claim, ended: AttemptOutcome, *, wake: bool = True) -> Released | None:
    """Write how an attempt ended and release what waited for it; None when the claim was lost meanwhile.

    Safe to repeat: the second call finds the task run no longer RUNNING under this fence. What the reaper has taken is
    lost, even before it is queued again: the reaper kills its process, and that is no failure of the task.
    """
    new, changes = _next_state(claim, ended)
    with transaction.atomic():
        published = bool(
            move_by_id(
                claim.task_run_id,
                TaskState.RUNNING,
                new,
                actor=claim.owner,
                reason=ended.reason,
                fence=claim.fence,
                owner=claim.owner,
                changes={"owner": "", "lease_until": None, "result": ended.result, **changes},
            )
        )
        if not published and _is_running(claim):
            return None  # who has taken it writes the end of this attempt
        if published and new == TaskState.FAILED and ended.after in ("proceed", "abort"):
            _after_a_start_hook(claim, ended.after)
        close_attempt(
            claim.task_run_id,
            claim.fence,
            outcome=str(ended.state) if published else "stale",
            reason=ended.reason,
            result=ended.result,
            exit_code=ended.exit_code,
            log_dropped=ended.log_dropped,
        )
    if not published:
        # Said twice: the first answer of the database was lost, perhaps before what waits was released.
        message = TaskRun.objects.filter(pk=claim.task_run_id, fence=claim.fence, moved_by=claim.owner)
        if message.exclude(state=TaskState.RUNNING).exists():
            release(claim.run_id, [claim.task_run_id], wake=wake)
        return None
    if new == TaskState.WAITING:
        alarms.due.set(_delay(claim))
        return Released()
    return release(claim.run_id, [claim.task_run_id], wake=wake)


def _is_running(claim: Claim) -> bool:
    return TaskRun.objects.filter(pk=claim.task_run_id, fence=claim.fence, state=TaskState.RUNNING).exists()


def _after_a_start_hook(claim: Claim, what: str) -> None:
    """What waits for a start hook that failed goes on, or on-run-end does not run either; dbt decides that."""
    if what == "proceed":
        below = Dependency.objects.filter(up=claim.task_run_id).values("down")
        TaskRun.objects.filter(run=claim.run_id, pk__in=below, state=TaskState.PENDING).update(waits_for="end")
    else:
        TaskRun.objects.filter(run=claim.run_id, waits_for="end", state=TaskState.PENDING).update(waits_for="success")


def _next_state(claim: Claim, ended: AttemptOutcome) -> tuple[TaskState, dict[str, Any]]:
    if ended.state == "succeeded":
        return TaskState.SUCCEEDED, {"output_fence": claim.fence}
    retries = int(claim.spec.get("retries") or 0)
    if ended.state == "failed" and ended.retryable and claim.attempts <= retries and _is_worth_a_try(claim, ended):
        # A cancel that comes just now finds this row WAITING, or the sweeper does.
        return TaskState.WAITING, {"not_before": now(TaskRun, _delay(claim))}
    return TaskState(ended.state), {}


def _delay(claim: Claim) -> float:
    seconds = float(claim.spec.get("retry_delay") or 0) * float(2 ** (claim.attempts - 1))
    return min(seconds, LONGEST_DELAY_S)


def _is_worth_a_try(claim: Claim, ended: AttemptOutcome) -> bool:
    tests = (str(test.get("message") or "") for test in ended.result.get("tests", ()))
    batches = messages(ended.result.get("batches"))
    text = "\n".join([ended.reason, str(ended.result.get("message") or ""), *tests, *batches])
    return is_worth_a_try(text, claim.spec.get("retry_on", "any"), claim.spec.get("retry_patterns", ()))


def close_attempt(task_run_id: int, fence: int, *, outcome: str, reason: str = "", **fields: Any) -> None:
    """Write the end of one attempt, unless it has one already."""
    values = {"ended_at": now(Attempt), "outcome": outcome, "reason": reason[:1000], **fields}
    update(Attempt, values, task_run=task_run_id, fence=fence, ended_at=None)


def mark_lost(task_run_id: int, fence: int, *, actor: str, reason: str, wake: bool = True) -> Released | None:
    """An attempt was lost with its worker: queue the task run again, or fail it when the budget is spent.

    The user's budget is not charged; the infrastructure's is `INFRA_ATTEMPTS`, with a growing pause
    (0, 1x, 4x INFRA_BACKOFF_S) so that a task that kills its workers cannot occupy them.
    A run that is to be cancelled takes the loss as the end.
    What may start again is dispatched at once, or when its pause is over; `wake` False leaves the former to the
    caller, who dispatches what is returned.
    """
    return _take_back(task_run_id, fence, actor, reason, "lost", charged=True, wake=wake)


def hand_over(task_run_id: int, fence: int, *, actor: str, reason: str) -> Released | None:
    """An attempt was broken off because its worker stops in order: queue the task run again and dispatch it.

    No budget is charged: however many deployments a long script meets, they are no fault of its own, and no sign
    of one that kills its workers. A run that is to be cancelled takes it as the end.
    """
    return _take_back(task_run_id, fence, actor, reason, "stopped", charged=False, wake=True)


def _take_back(
    task_run_id: int, fence: int, actor: str, reason: str, outcome: str, *, charged: bool, wake: bool
) -> Released | None:
    rows = TaskRun.objects.filter(pk=task_run_id, fence=fence)
    pause = 0.0
    with transaction.atomic():
        row = TaskRun.objects.select_related("run").filter(pk=task_run_id, fence=fence).first()
        if row is None or row.state != TaskState.RUNNING:
            return None
        changes: dict[str, Any] = {"owner": "", "lease_until": None}
        new, message = TaskState.QUEUED, reason
        if row.run.cancel_requested_at or row.cancel_requested_at:
            new, message = TaskState.CANCELLED, f"cancelled; {reason}"
        elif charged:
            changes["infra_attempts"] = F("infra_attempts") + 1
            pause = settings.INFRA_BACKOFF_S * row.infra_attempts**2
            if row.infra_attempts + 1 >= settings.INFRA_ATTEMPTS:
                new, message = TaskState.FAILED, f"lost {row.infra_attempts + 1} times: {reason}"
        if new == TaskState.QUEUED:
            changes |= {
                "attempts": F("attempts") - 1,
                "not_before": after(pause) if pause else None,
                "queued_at": Now(),
                "dispatched_at": Now(),
            }
        moved = move(rows, TaskState.RUNNING, new, actor=actor, reason=message, **changes)
        if not moved:
            return None
        close_attempt(task_run_id, fence, outcome=outcome, reason=reason)
        released = Released(tasks=[task_run_id]) if row.lane_id is None else Released(lanes={row.lane_id})
        if new == TaskState.QUEUED and not pause and wake:
            dispatch_released(released)
    if new != TaskState.QUEUED:
        return release(row.run_id, [task_run_id])
    if pause:
        alarms.due.set(pause)
        return Released()
    return released
