"""The repairs that make dying harmless: rings again, takes over expired leases, finishes half-done steps.

Every step is idempotent; a Pulse row lets one process a round through, so any number may call.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from flows.infra import process
from runs import bell
from runs.clock import after, ago
from runs.engine import pools, work
from runs.engine.claims import HOST, lose
from runs.engine.release import Released, dispatch, queue_due, release
from runs.following import follow_all
from runs.lineage import send_lineage
from runs.metrics import count_moves
from runs.models import Attempt, Lane, PoolSlot, Pulse, Run, TaskRun
from runs.notify.watching import watch
from runs.retention import prune
from runs.states import RunState, TaskState
from runs.syncing import sync_what_is_due
from runs.ticking import tick_all
from runs.transitions import move

log = logging.getLogger("dex.sweep")
ACTOR = "sweeper"
RINGS_A_ROUND = 200  # a lost doorbell is rare; ringing thousands that merely wait would be a storm
PATIENT_SWEEPS = 12
STALLED_AFTER_SWEEPS = 6
COUNT_EVERY_SWEEPS = 2
PRUNE_EVERY_S, PRUNE_S = 24 * 3600, 1
SYNC_EVERY_S = 20
MOMENT_S = 1.0


def sweep(*, force: bool = False) -> bool:
    """One round of repairs; False when another process had its round just now.

    In: `force`, for the engine's start: repair whoever had a round when, and ring for all that is queued, since the
    messages of an earlier process were lost with it.
    """
    if not (_my_turn("sweep", settings.SWEEP_S / 2) or force):
        return False
    losses = reap()
    queue_due()
    tick_all()
    follow_all()
    _finish_cancels()
    _fail_what_never_started()
    # A lost worker took the messages with it that it had fetched and not answered yet.
    _ring_again(patient=not losses, all_of_them=force)
    if _my_turn("count", settings.SWEEP_S * COUNT_EVERY_SWEEPS):
        count_moves()
        send_lineage()
    if _my_turn("release", settings.SWEEP_S * STALLED_AFTER_SWEEPS) or force:
        stalled = list(Run.objects.filter(state=RunState.RUNNING).values_list("pk", flat=True))
    else:
        moving = TaskRun.objects.filter(
            run=OuterRef("pk"), state__in=[TaskState.QUEUED, TaskState.RUNNING, TaskState.WAITING]
        )
        stalled = list(Run.objects.filter(~Exists(moving), state=RunState.RUNNING).values_list("pk", flat=True))
    for run_id in stalled:
        release(run_id)
    if _my_turn("sync", SYNC_EVERY_S):
        sync_what_is_due()
    if _my_turn("watch", settings.SWEEP_S) or force:
        _watch()
    if _my_turn("prune", PRUNE_EVERY_S):
        _prune()
    return True


def _prune() -> None:
    """Delete a little of what is too old; the rest in the next rounds, because repairs wait meanwhile."""
    try:
        if not prune(timezone.now(), seconds=PRUNE_S).finished:
            Pulse.objects.filter(pk="prune").update(at=ago(PRUNE_EVERY_S))
    except Exception:  # a full disk or a busy database must not hold up repairs
        log.exception("pruning")


def _watch() -> None:
    try:
        watch()
    except Exception:  # messages must not hold up repairs
        log.exception("messages")


def _my_turn(name: str, interval: float) -> bool:
    with transaction.atomic():
        if Pulse.objects.filter(pk=name, at__lte=ago(interval)).update(at=Now()):
            return True
        _, made = Pulse.objects.get_or_create(pk=name, defaults={"at": Now()})
    return made


def reap() -> int:
    """Take back what is held by lease and was not renewed; how many task runs and lanes that were.

    What may start again because of that is rung for at once.
    On this host the processes of the lost holder are killed first, by pid and start time, so that two attempts
    of one task never run at once. A holder on another host has fenced itself off before its lease ended.
    """
    expired = _expired()
    freed = []
    for lane in Lane.objects.exclude(owner="").filter(expired):
        _kill(lane.host, lane.pid, lane.pid_start, lane.boot_id)
        if Lane.objects.filter(expired, pk=lane.pk, fence=lane.fence).update(owner="", lease_until=None):
            freed.append(lane.pk)
    taken, again = 0, Released()
    lost = TaskRun.objects.filter(expired, state=TaskState.RUNNING)
    for row in lost.only("pk", "fence", "owner", "identifier"):
        attempt = Attempt.objects.filter(task_run=row, fence=row.fence).first()
        if attempt is not None:
            _kill(attempt.host, attempt.pid, attempt.pid_start, attempt.boot_id)
            if attempt.uid is not None and attempt.host == HOST and attempt.boot_id == process.boot_id():
                process.kill_leftover_of(attempt.uid, attempt.pid, attempt.pid_start)
            if attempt.host == HOST:
                work.remove(row.pk, row.fence)
        if not TaskRun.objects.filter(expired, pk=row.pk, fence=row.fence).exists():
            continue  # its holder woke up and renewed the lease; if it was killed it will say so itself
        log.warning("taking back %s from %s", row.identifier, row.owner)
        said = f"lost with its worker {row.owner}"
        if (released := lose(row.pk, row.fence, actor="reaper", reason=said, ring=False)) is not None:
            taken += 1
            again.tasks += released.tasks
            again.lanes |= released.lanes
    # Only now: a slot stands for a process that may still have the warehouse's file open. And before anybody is rung
    # for what was lost: it needs the slot itself.
    pools.free_expired(expired)
    waiting = TaskRun.objects.filter(lane=OuterRef("pk"), state=TaskState.QUEUED)
    again.lanes |= set(Lane.objects.filter(Exists(waiting), pk__in=freed).values_list("pk", flat=True))
    dispatch(again)
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


def _finish_cancels() -> None:
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


def _fail_what_never_started() -> None:
    limit = settings.START_TIMEOUT_S
    late = TaskRun.objects.filter(state=TaskState.QUEUED, queued_at__lt=ago(limit))
    for pk, run_id in late.values_list("pk", "run_id"):
        said = f"no worker started it within {timedelta(seconds=limit)}"
        if move(TaskRun.objects.filter(pk=pk), TaskState.QUEUED, TaskState.FAILED, actor=ACTOR, reason=said):
            release(run_id, [pk])


def _ring_again(*, patient: bool, all_of_them: bool) -> None:
    most = None if all_of_them else RINGS_A_ROUND
    unplanned = Q(planner="") | Q(planner_until__lt=Now())
    runs = Run.objects.filter(_rung(all_of_them, settings.SWEEP_S), unplanned, state=RunState.QUEUED)
    for run_id in list(runs.values_list("pk", flat=True)[:most]):
        Run.objects.filter(pk=run_id).update(rung_at=Now())
        bell.ring_run(run_id)
    # While workers start things a queued task most likely just waits its turn, and its doorbell is not lost.
    busy = Attempt.objects.filter(
        pk__in=Attempt.objects.order_by("-pk").values("pk")[:1], started_at__gt=ago(settings.SWEEP_S)
    )
    old = _rung(all_of_them, settings.SWEEP_S * (PATIENT_SWEEPS if patient and busy.exists() else 1))
    due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
    waiting = TaskRun.objects.filter(old, due, state=TaskState.QUEUED, lane__isnull=True).order_by(
        F("rung_at").asc(nulls_first=True)
    )
    ids = list(waiting.values_list("pk", flat=True)[:most])
    for begin in range(0, len(ids), RINGS_A_ROUND):
        TaskRun.objects.filter(pk__in=ids[begin : begin + RINGS_A_ROUND]).update(rung_at=Now())
    bell.ring_tasks(ids)
    queued = TaskRun.objects.filter(due, lane=OuterRef("pk"), state=TaskState.QUEUED)
    lanes = list(Lane.objects.filter(Exists(queued), old, owner="").values_list("pk", flat=True)[:most])
    Lane.objects.filter(pk__in=lanes).update(rung_at=Now())
    bell.ring_lanes(lanes)


def _rung(all_of_them: bool, seconds: float) -> Q:
    """Rung for longer ago than `seconds`, or never, or whenever that was."""
    return Q() if all_of_them else Q(rung_at__isnull=True) | Q(rung_at__lt=ago(seconds))
