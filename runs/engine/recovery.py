"""The repairs that make dying harmless: wakes again, takes over expired leases, finishes half-done steps.

Every step is idempotent; any number of processes may call. runs.operations.rounds says when.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from flows.infra import process
from runs import dispatch
from runs.clock import after, ago
from runs.engine import pools, work_folders
from runs.engine.claims import HOST, mark_lost
from runs.engine.release import Released, dispatch_released, release
from runs.models import Attempt, Lane, PoolSlot, Run, TaskRun
from runs.states import RunState, TaskState
from runs.transitions import move

log = logging.getLogger("dex.sweep")
ACTOR = "sweeper"
REAPER = "reaper"  # owner of what is being taken back, and actor of its moves; runs.operations.metrics counts those
MESSAGES_A_ROUND = 200  # a lost message is rare; sending for thousands that merely wait would be a storm
PATIENT_SWEEPS = 12
MOMENT_S = 1.0


def reap() -> int:
    """Take back what is held by lease and was not renewed; how many task runs and lanes that were.

    What may start again because of that is dispatched at once.
    Each is taken first, so that a holder that wakes up can neither renew it nor write how it ended. Then, on this host,
    the processes of the lost holder are killed, by pid and start time, so that two attempts of one task never run at
    once. A holder on another host has fenced itself off before its lease ended. A reaper that dies in between leaves
    what the next one takes.
    """
    expired = _expired()
    freed = []
    for lane in Lane.objects.exclude(owner="").filter(expired):
        mine = Lane.objects.filter(pk=lane.pk, fence=lane.fence)
        if not mine.filter(expired, owner=lane.owner).update(owner=REAPER):
            continue  # its holder woke up and renewed the lease
        _kill(lane.host, lane.pid, lane.pid_start, lane.boot_id)
        if mine.filter(owner=REAPER).update(owner="", lease_until=None):
            freed.append(lane.pk)
    taken, again = 0, Released()
    lost = TaskRun.objects.filter(expired, state=TaskState.RUNNING)
    for row in lost.only("pk", "fence", "owner", "identifier"):
        held = TaskRun.objects.filter(expired, pk=row.pk, fence=row.fence, owner=row.owner, state=TaskState.RUNNING)
        if not held.update(owner=REAPER):
            continue  # its holder woke up and renewed the lease
        attempt = Attempt.objects.filter(task_run=row, fence=row.fence).first()
        if attempt is not None:
            _kill(attempt.host, attempt.pid, attempt.pid_start, attempt.boot_id)
            if attempt.uid is not None and attempt.host == HOST and attempt.boot_id == process.boot_id():
                process.kill_leftover_of(attempt.uid, attempt.pid, attempt.pid_start)
            if attempt.host == HOST:
                work_folders.remove(row.pk, row.fence)
        log.warning("taking back %s from %s", row.identifier, row.owner)
        reason = f"lost with its worker {row.owner}"
        if (released := mark_lost(row.pk, row.fence, actor=REAPER, reason=reason, wake=False)) is not None:
            taken += 1
            again.tasks += released.tasks
            again.lanes |= released.lanes
    # Only now: a slot stands for a process that may still have the warehouse's file open. And before what was lost is
    # dispatched: it needs the slot itself.
    pools.free_expired(expired)
    waiting = TaskRun.objects.filter(lane=OuterRef("pk"), state=TaskState.QUEUED)
    again.lanes |= set(Lane.objects.filter(Exists(waiting), pk__in=freed).values_list("pk", flat=True))
    dispatch_released(again)
    return taken + len(freed)


def _expired() -> Q:
    """Of what is held by lease: what was not renewed in time.

    A process renews all that it holds within a moment, and loses it together: what ends within the next moment is
    taken back with the rest, instead of a round later.
    """
    now = Q(lease_until__lt=Now())
    owners = {
        *Lane.objects.exclude(owner="").filter(now).values_list("owner", flat=True),
        *TaskRun.objects.filter(now, state=TaskState.RUNNING).values_list("owner", flat=True),
        *PoolSlot.objects.exclude(holder="").filter(now).values_list("owner", flat=True),
    }
    margin = settings.LEASE_S - settings.SELF_FENCE_S  # for so long nothing of a silent holder has executed any more
    return now | Q(owner__in=owners, lease_until__lt=after(min(MOMENT_S, margin / 4)))


def _kill(host: str, pid: int | None, pid_start: int | None, boot_id: str) -> None:
    if host == HOST and pid and pid_start is not None:
        process.kill_leftover(pid, pid_start, boot_id)


def finish_cancels() -> None:
    """What slipped past a cancel (a retry, a release in the same instant) is cancelled now."""
    wished = TaskRun.objects.filter(run__cancel_requested_at__isnull=False)
    for state in (TaskState.WAITING, TaskState.QUEUED, TaskState.PENDING):
        ids = list(wished.filter(state=state).values_list("pk", flat=True))
        if ids:
            move(
                TaskRun.objects.filter(pk__in=ids),
                state,
                TaskState.CANCELLED,
                actor=ACTOR,
                reason="cancelled",
            )


def fail_what_never_started() -> None:
    """Fail task runs that waited for a worker for longer than START_TIMEOUT_S."""
    limit = settings.START_TIMEOUT_S
    late = TaskRun.objects.filter(state=TaskState.QUEUED, queued_at__lt=ago(limit))
    for pk, run_id in late.values_list("pk", "run_id"):
        reason = f"no worker started it within {timedelta(seconds=limit)}"
        if move(TaskRun.objects.filter(pk=pk), TaskState.QUEUED, TaskState.FAILED, actor=ACTOR, reason=reason):
            release(run_id, [pk])


def release_stalled(*, all_of_them: bool) -> None:
    """Release what may start in runs that nothing moves; in all that run, on demand."""
    runs = Run.objects.filter(state=RunState.RUNNING)
    if not all_of_them:
        active = [TaskState.QUEUED, TaskState.RUNNING, TaskState.WAITING]
        runs = runs.filter(~Exists(TaskRun.objects.filter(run=OuterRef("pk"), state__in=active)))
    for run_id in list(runs.values_list("pk", flat=True)):
        release(run_id)


def dispatch_again(*, patient: bool, all_of_them: bool) -> None:
    """Wake workers again for what waits and was not asked for lately.

    In: `patient`, whether to wait longer while workers start other tasks; `all_of_them`, whatever waits, whenever it
    was asked for.
    """
    most = None if all_of_them else MESSAGES_A_ROUND
    unplanned = Q(planner="") | Q(planner_until__lt=Now())
    runs = Run.objects.filter(_dispatched_before(all_of_them, settings.SWEEP_S), unplanned, state=RunState.QUEUED)
    for run_id in list(runs.values_list("pk", flat=True)[:most]):
        Run.objects.filter(pk=run_id).update(dispatched_at=Now())
        dispatch.run(run_id)
    # While workers start things a queued task most likely just waits its turn, and its message is not lost.
    busy = Attempt.objects.filter(
        pk__in=Attempt.objects.order_by("-pk").values("pk")[:1], started_at__gt=ago(settings.SWEEP_S)
    )
    old = _dispatched_before(all_of_them, settings.SWEEP_S * (PATIENT_SWEEPS if patient and busy.exists() else 1))
    due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
    waiting = TaskRun.objects.filter(old, due, state=TaskState.QUEUED, lane__isnull=True).order_by(
        F("dispatched_at").asc(nulls_first=True)
    )
    ids = list(waiting.values_list("pk", flat=True)[:most])
    for begin in range(0, len(ids), MESSAGES_A_ROUND):
        TaskRun.objects.filter(pk__in=ids[begin : begin + MESSAGES_A_ROUND]).update(dispatched_at=Now())
    dispatch.tasks(ids)
    queued = TaskRun.objects.filter(due, lane=OuterRef("pk"), state=TaskState.QUEUED)
    lanes = list(Lane.objects.filter(Exists(queued), old, owner="").values_list("pk", flat=True)[:most])
    Lane.objects.filter(pk__in=lanes).update(dispatched_at=Now())
    dispatch.lanes(lanes)


def _dispatched_before(all_of_them: bool, seconds: float) -> Q:
    """Dispatched longer ago than `seconds`, or never, or whenever that was."""
    return Q() if all_of_them else Q(dispatched_at__isnull=True) | Q(dispatched_at__lt=ago(seconds))
