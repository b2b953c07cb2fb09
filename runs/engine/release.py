"""What may run now, what will never run, and when a run is over."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now

from flows.infra.statements import now
from flows.models import Follow
from nodes.ordering import GATE
from runs import dispatch
from runs.models import Lane, Run, TaskRun
from runs.states import ACTIVE, DONE, OVER, RunState, TaskState, outcome
from runs.transitions import move, move_by_id, move_run

ACTOR = "release"


@dataclass
class Released:
    """What one release did: task runs and lanes to dispatch, and whether anything changed."""

    tasks: list[int] = field(default_factory=list)
    lanes: set[int] = field(default_factory=set)
    settled: bool = False


def _list(states: frozenset[TaskState]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


# Plain SQL: this runs once for every task that ends, and composing it took longer than answering it.
_CANDIDATES = f"""
SELECT t.id, t.kind, t.waits_for, t.lane_id,
       EXISTS (SELECT 1 FROM runs_dependency d JOIN runs_taskrun u ON u.id = d.up_id
               WHERE d.down_id = t.id AND u.state IN ({_list(ACTIVE)})),
       (SELECT MIN(u.id) FROM runs_dependency d JOIN runs_taskrun u ON u.id = d.up_id
               WHERE d.down_id = t.id AND u.state IN ({_list(OVER - DONE)}))
FROM runs_taskrun t
WHERE t.run_id = %s AND t.state = '{TaskState.PENDING}'
"""  # noqa: S608 - states only, nothing from outside
_DOWN_OF = " AND t.id IN (SELECT down_id FROM runs_dependency WHERE up_id IN ({marks}))"


def release(run_id: int, finished: Sequence[int] | None = None, *, wake: bool = True) -> Released:
    """Let go what waits for `finished` (all that waits, when None), and settle the run if nothing is left.

    1. Queue what has every upstream. 2. Skip what lost one, and what lost those. 3. Pass gates. 4. Settle.
    Idempotent, and correct when two upstreams finish at once: it runs after its own commit, so the later
    of the two sees both. In: ids of task runs that are over. Dispatches unless `wake` is False.
    """
    done = Released()
    wave = None if finished is None else list(finished)
    with transaction.atomic():
        while wave is None or wave:
            wave = _one_wave(run_id, wave, done)
        if wake:
            dispatch_released(done)
    if not done.tasks and not done.lanes:
        done.settled = settle(run_id)
    return done


def _one_wave(run_id: int, wave: list[int] | None, done: Released) -> list[int]:
    sql, arguments = _CANDIDATES, [run_id]
    if wave is not None:
        sql += _DOWN_OF.format(marks=",".join(["%s"] * len(wave)))
        arguments += wave
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    ready: list[tuple[int, int | None]] = []
    gates: list[int] = []
    lost: dict[int, list[int]] = {}
    for pk, kind, waits_for, lane_id, is_open, lost_to in rows:
        if lost_to is not None and waits_for == "success":
            lost.setdefault(lost_to, []).append(pk)
        elif not is_open:
            if kind == GATE:
                gates.append(pk)
            else:
                ready.append((pk, lane_id))
    over: list[int] = []
    for upstream_id, pks in lost.items():
        reason = _why_skipped(upstream_id)
        if move(
            TaskRun.objects.filter(pk__in=pks),
            TaskState.PENDING,
            TaskState.SKIPPED,
            actor=ACTOR,
            reason=reason,
        ):
            over += pks
    if ready:
        pks = [pk for pk, _ in ready]
        at = now(TaskRun)
        changes = {"queued_at": at, "dispatched_at": at}
        for start in range(0, len(pks), 500):
            move_by_id(pks[start : start + 500], TaskState.PENDING, TaskState.QUEUED, actor=ACTOR, changes=changes)
        done.tasks += [pk for pk, lane_id in ready if lane_id is None]
        done.lanes |= {lane_id for _, lane_id in ready if lane_id is not None}
    for pk in gates:
        over += _pass_gate(pk)
    return over


def _why_skipped(upstream_id: int) -> str:
    upstream = TaskRun.objects.only("identifier", "state", "reason").get(pk=upstream_id)
    if upstream.state == TaskState.SKIPPED and upstream.reason:
        return upstream.reason  # name the one that broke, not the one between
    return f"upstream {upstream.identifier} {upstream.state}"


def _pass_gate(pk: int) -> list[int]:
    """A gate only joins many arrows into one: it is claimed and over in the same breath."""
    gate = TaskRun.objects.filter(pk=pk)
    move(gate, TaskState.PENDING, TaskState.QUEUED, actor=ACTOR, queued_at=Now())
    move(
        gate,
        TaskState.QUEUED,
        TaskState.RUNNING,
        actor=ACTOR,
        owner=ACTOR,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
        started_at=Now(),
    )
    return [pk] if move(gate, TaskState.RUNNING, TaskState.SUCCEEDED, actor=ACTOR, output_fence=F("fence")) else []


def dispatch_released(done: Released) -> None:
    """Dispatch what was released when the transaction around it is committed."""
    dispatch.tasks(done.tasks)
    if done.lanes:
        # A held lane has a driver that looks for itself; it looks again after it let go.
        dispatch.lanes(Lane.objects.filter(pk__in=done.lanes, owner="").values_list("pk", flat=True))


def settle(run_id: int) -> bool:
    """End the run if none of its task runs is active; whether this call ended it."""
    if TaskRun.objects.filter(run_id=run_id, state__in=ACTIVE).exists():
        return False
    run = Run.objects.only("state", "cancel_requested_at").get(pk=run_id)
    if run.state != RunState.RUNNING:
        return False
    counts = dict(TaskRun.objects.filter(run_id=run_id).order_by().values_list("state").annotate(number=Count("pk")))
    end = outcome((TaskState(state) for state in counts), cancel_requested=run.cancel_requested_at is not None)
    if end is None:
        return False
    summary = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    with transaction.atomic():
        ended = move_run(run_id, RunState.RUNNING, end, actor="settle", reason=summary)
        if ended and end == RunState.SUCCEEDED and Follow.objects.filter(up__runs=run_id).exists():
            dispatch.followers(run_id)
        if ended:
            dispatch.announcement(run_id)
    return ended


def queue_due(run_id: int | None = None) -> Released:
    """Queue what waited for its retry and is due (of one run, or of all), and dispatch it.

    Of all: what was queued again after its worker was lost, and whose pause is over now, is dispatched, too.
    """
    due = TaskRun.objects.filter(state=TaskState.WAITING).filter(Q(not_before__isnull=True) | Q(not_before__lte=Now()))
    if run_id is not None:
        due = due.filter(run_id=run_id)
    done = Released()
    for pk, lane_id in due.values_list("pk", "lane_id"):
        with transaction.atomic():
            row = TaskRun.objects.filter(pk=pk)
            if move(row, TaskState.WAITING, TaskState.QUEUED, actor="retry", queued_at=Now(), dispatched_at=Now()):
                if lane_id is None:
                    done.tasks.append(pk)
                else:
                    done.lanes.add(lane_id)
    if run_id is None:
        _dispatch_after_a_pause(done)
    dispatch_released(done)
    return done


def _dispatch_after_a_pause(done: Released) -> None:
    over = TaskRun.objects.filter(state=TaskState.QUEUED, not_before__lte=Now(), dispatched_at__lt=F("not_before"))
    for pk, lane_id in list(over.values_list("pk", "lane_id")):
        if not over.filter(pk=pk).update(dispatched_at=Now()):
            continue  # another process was first
        if lane_id is None:
            done.tasks.append(pk)
        else:
            done.lanes.add(lane_id)


def next_due() -> float | None:
    """In how many seconds the next task run that waits for a time may start; None when none does."""
    waiting = TaskRun.objects.filter(state__in=[TaskState.WAITING, TaskState.QUEUED], not_before__gt=Now())
    row = waiting.order_by("not_before").annotate(now=Now()).values_list("not_before", "now").first()
    return None if row is None or row[0] is None else max(0.0, (row[0] - row[1]).total_seconds())
