"""Checks the recorded history against the invariants that dex promises.

It reads only rows that database triggers and the supervisors of attempts wrote, never the code under test: the
queries stand by themselves. Ids are those of docs/invariants.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from django.conf import settings
from django.db.models import Count, F, Q

from flows.models import Flow, Tick
from flows.scheduling.cron import due_times_between
from runs.models import Attempt, Dependency, Heartbeat, PoolSlot, Run, TaskRun, Transition
from runs.states import BIRTHS, DONE, MOVES, OVER, RUN_MOVES, RUN_OVER, RunState, TaskState

_INSTANT = timedelta(seconds=2)
_MOST_DUE_TIMES = 1_000_000
Check = Callable[[int | None], Iterator["Violation"]]


@dataclass(frozen=True)
class Violation:
    """One breach: which invariant, of what, how."""

    invariant: str
    run_id: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.invariant} run {self.run_id}: {self.message}"


def check(run_id: int | None = None) -> list[Violation]:
    """All violations in the history of one run, or of all."""
    return [violation for one in CHECKS for violation in one(run_id)]


def _of(run_id: int | None, field: str = "run_id") -> Q:
    return Q() if run_id is None else Q(**{field: run_id})


def listed_moves_only(run_id: int | None) -> Iterator[Violation]:
    """I1, I2: only the moves of the table happened, and each began where the last had ended."""
    legal = {(str(a), str(b)) for a, b in MOVES} | {("", str(state)) for state in BIRTHS}
    legal_run = {(str(a), str(b)) for a, b in RUN_MOVES} | {("", str(RunState.QUEUED))}
    rows = Transition.objects.filter(_of(run_id)).order_by("run_id", "task_run_id", "id")
    values = rows.values_list("run_id", "task_run_id", "old", "new")
    for (run, task), moves in groupby(values.iterator(), key=lambda row: row[:2]):
        at = ""
        for _, _, old, new in moves:
            if (old, new) not in (legal_run if task is None else legal):
                yield Violation("I1" if task is None else "I2", run, f"task run {task} moved {old or 'new'} -> {new}")
            elif old != at:
                yield Violation("I2", run, f"task run {task} left {old!r}, but was in {at!r}")
            at = new


def started_after_upstream(run_id: int | None) -> Iterator[Violation]:
    """I3: nothing ran before all of its upstreams had succeeded (or ended, where that is what it waits for)."""
    running = dict(
        Transition.objects.filter(_of(run_id), new=TaskState.RUNNING, task_run__isnull=False)
        .order_by("-id")
        .values_list("task_run_id", "id")
    )  # the first start of each
    done: dict[int, int] = {}
    over: dict[int, int] = {}
    ends = Transition.objects.filter(_of(run_id), new__in=OVER, task_run__isnull=False).order_by("-id")
    for task, new, pk in ends.values_list("task_run_id", "new", "id"):
        over[task] = pk
        if new in DONE:
            done[task] = pk
    pairs = Dependency.objects.filter(_of(run_id)).values_list("run_id", "up_id", "down_id", "down__waits_for")
    for run, up, down, waits_for in pairs.iterator():
        if down in running:
            at = (over if waits_for == "end" else done).get(up)
            if at is None or at > running[down]:
                yield Violation("I3", run, f"task run {down} started before its upstream {up} was done")


def one_attempt_at_a_time(run_id: int | None) -> Iterator[Violation]:
    """I4: attempts of one task run never overlap, and fences strictly increase (I11)."""
    rows = Attempt.objects.filter(_of(run_id, "task_run__run_id")).order_by("task_run_id", "fence")
    values = rows.values_list("task_run__run_id", "task_run_id", "fence", "started_at", "ended_at", "outcome")
    for (run, task), attempts in groupby(values.iterator(), key=lambda row: row[:2]):
        last_end: datetime | None = None
        last_fence = 0
        for _, _, fence, started, ended, _ in attempts:
            if last_fence and (last_end is None or started < last_end):
                yield Violation("I4", run, f"task run {task}: attempt {fence} started while {last_fence} was alive")
            last_end, last_fence = ended, fence


def one_result(run_id: int | None) -> Iterator[Violation]:
    """I5: at most one attempt published success, and the row points at it."""
    won = Transition.objects.filter(_of(run_id), new=TaskState.SUCCEEDED, task_run__isnull=False)
    for row in won.values("run_id", "task_run_id").annotate(n=Count("id")).filter(n__gt=1):
        yield Violation("I5", row["run_id"], f"task run {row['task_run_id']} succeeded {row['n']} times")
    succeeded = TaskRun.objects.filter(_of(run_id), state=TaskState.SUCCEEDED)
    for task, run, fence in succeeded.exclude(output_fence=F("fence")).values_list("pk", "run_id", "output_fence"):
        yield Violation("I5", run, f"task run {task} succeeded, but its output is that of fence {fence}")
    claimed = Attempt.objects.filter(_of(run_id, "task_run__run_id"), outcome="succeeded")
    twice = claimed.values("task_run__run_id", "task_run_id").annotate(n=Count("id")).filter(n__gt=1)
    for published in twice:
        task = published["task_run_id"]
        yield Violation("I5", published["task_run__run_id"], f"{published['n']} attempts of {task} published")


def holders_publish(run_id: int | None) -> Iterator[Violation]:
    """I11: a success was written by the worker whose attempt had the fence."""
    owners = Attempt.objects.filter(_of(run_id, "task_run__run_id")).values_list("task_run_id", "fence", "owner")
    owner = {(task, fence): name for task, fence, name in owners.iterator()}
    won = Transition.objects.filter(_of(run_id), new=TaskState.SUCCEEDED, task_run__isnull=False)
    for run, task, fence, actor in won.values_list("run_id", "task_run_id", "fence", "actor").iterator():
        if owner.get((task, fence), actor) != actor:
            yield Violation("I11", run, f"{actor} wrote the result of {owner[task, fence]} for task run {task}")


def over_means_over(run_id: int | None) -> Iterator[Violation]:
    """I7: a run that is over has no active task run; I1: what is over stays as it is."""
    over = TaskRun.objects.filter(_of(run_id), run__state__in=RUN_OVER).exclude(state__in=OVER)
    for task, run, state in over.values_list("pk", "run_id", "state"):
        yield Violation("I7", run, f"the run is over and task run {task} is {state}")
    for run, state, last in _last_states(run_id):
        if state != last:
            yield Violation("I2", run, f"a row says {state}, its history says {last}")


def _last_states(run_id: int | None) -> Iterator[tuple[int, str, str]]:
    last = dict(
        Transition.objects.filter(_of(run_id), task_run__isnull=False).order_by("id").values_list("task_run_id", "new")
    )
    for pk, run, state in TaskRun.objects.filter(_of(run_id)).values_list("pk", "run_id", "state").iterator():
        yield run, state, last.get(pk, "")


def runs_end_as_their_tasks(run_id: int | None) -> Iterator[Violation]:
    """I8: a green run has only green tasks, a failed one has at least one that is not."""
    runs = Run.objects.filter(_of(run_id, "pk")).annotate(
        bad=Count("task_runs", filter=~Q(task_runs__state__in=DONE)), all=Count("task_runs")
    )
    for run in runs.filter(state=RunState.SUCCEEDED, bad__gt=0):
        yield Violation("I8", run.pk, f"succeeded with {run.bad} task runs that did not")
    for run in runs.filter(state=RunState.FAILED, bad=0, all__gt=0):
        yield Violation("I8", run.pk, "failed although every task run succeeded")


def started_in_running_runs(run_id: int | None) -> Iterator[Violation]:
    """I9: no attempt starts before its run was RUNNING or after it was over."""
    began: dict[int, int] = {}
    ended: dict[int, int] = {}
    for run, new, pk in Transition.objects.filter(_of(run_id), task_run__isnull=True).values_list(
        "run_id", "new", "id"
    ):
        if new == RunState.RUNNING:
            began[run] = pk
        elif new in RUN_OVER:
            ended[run] = pk
    starts = Transition.objects.filter(_of(run_id), task_run__isnull=False, new=TaskState.RUNNING)
    for run, task, pk in starts.values_list("run_id", "task_run_id", "id").iterator():
        if pk < began.get(run, pk + 1) or pk > ended.get(run, pk):
            yield Violation("I9", run, f"task run {task} started while its run was not running")


def budgets_are_kept(run_id: int | None) -> Iterator[Violation]:
    """I12: no more tries than the budgets of the user and of the infrastructure allow."""
    rows = TaskRun.objects.filter(_of(run_id)).values_list("pk", "run_id", "attempts", "infra_attempts", "spec")
    for task, run, attempts, infra, spec in rows.iterator():
        allowed = int(spec.get("retries") or 0) + 1
        if attempts > allowed:
            yield Violation("I12", run, f"task run {task} was tried {attempts} times, {allowed} are allowed")
        if infra > settings.INFRA_ATTEMPTS:
            yield Violation("I12", run, f"task run {task} was lost {infra} times and still tried")


def pools_are_kept(run_id: int | None) -> Iterator[Violation]:
    """I13: one holder has at most one due_time of a pool."""
    if run_id is None:
        held = PoolSlot.objects.exclude(holder="").values("pool", "holder").annotate(n=Count("id"))
        for row in held.filter(n__gt=1):
            yield Violation("I13", None, f"{row['holder']} holds {row['n']} due_times of {row['pool']}")


def due_times_have_outcomes(run_id: int | None) -> Iterator[Violation]:
    """I10: every due time since the schedule was set has exactly one outcome, and no other time has one.

    The due times are computed anew from the record of changes: what the schedule was, from when to when. A start that
    was wanted has its run.
    """
    if run_id is not None:
        return
    pruned = pruned_until()
    # A flow that was made past the record of changes has no known past.
    for flow in Flow.objects.exclude(decided_until=None).filter(changes__isnull=False).distinct():
        yield from _due_times_of(flow, pruned)
    for row in Tick.objects.filter(outcome=Tick.Outcome.RUN, runs__isnull=True, due_at__gt=pruned):
        yield Violation("I10", None, f"{row}: a run was started, it says, and there is none")


def _due_times_of(flow: Flow, pruned: datetime) -> Iterator[Violation]:
    ticks = flow.ticks.filter(cause=Tick.Cause.SCHEDULE)
    recorded = {at for at in ticks.values_list("due_at", flat=True) if at > pruned}
    taken = set(flow.ticks.exclude(cause=Tick.Cause.SCHEDULE).values_list("due_at", flat=True))
    unexplained = set(recorded)
    for cron, zone, begin, end in _schedules_of(flow):
        if not cron:
            continue
        # An edit and its row in the record are not written at the very same instant.
        due_times, _ = due_times_between(cron, zone, begin - _INSTANT, end + _INSTANT, _MOST_DUE_TIMES)
        unexplained -= set(due_times)
        for due_time in due_times:
            certain = max(begin + _INSTANT, pruned) < due_time <= end - _INSTANT
            if certain and due_time not in recorded and due_time not in taken:
                yield Violation(
                    "I10", None, f"{flow} was due at {due_time:%Y-%m-%d %H:%M} UTC, and nothing is recorded"
                )
    for due_time in sorted(unexplained):
        yield Violation("I10", None, f"{flow} was not due at {due_time:%Y-%m-%d %H:%M} UTC, and an outcome is recorded")


def _schedules_of(flow: Flow) -> Iterator[tuple[str, str, datetime, datetime]]:
    """The schedules that a flow has had: (cron, zone, from, until), from its record of changes."""
    changes = sorted(flow.changes.all(), key=lambda change: change.version)
    decided_until = flow.decided_until or flow.created_at
    for change, later in zip(changes, [*changes[1:], None], strict=True):
        schedule = change.document["schedule"]
        end = min(later.at, decided_until) if later else decided_until
        yield schedule["cron"], schedule["time_zone"], change.at, end


def pruned_until() -> datetime:
    """Up to here runs and due times were pruned on purpose; the beginning of time where none were."""
    row = Heartbeat.objects.filter(pk="pruned").first()
    return datetime.fromisoformat(row.detail["until"]) if row else datetime.min.replace(tzinfo=UTC)


CHECKS: tuple[Check, ...] = (
    listed_moves_only,
    started_after_upstream,
    one_attempt_at_a_time,
    one_result,
    holders_publish,
    over_means_over,
    runs_end_as_their_tasks,
    started_in_running_runs,
    budgets_are_kept,
    pools_are_kept,
    due_times_have_outcomes,
)
