"""What is kept of the past and for how long: logs first, then runs with all that belongs to them, then due times.

What is active is never touched, and of every flow the latest run and the latest success stay, whatever their age.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery

from flows.logins.throttle import forget as forget_log_ins
from flows.models import Environment, Flow, Revision, Tick
from nodes.dbt.parse import forget
from nodes.runtimes.pruning import forget_unneeded
from runs.engine.work_folders import left_over
from runs.logs.store import path_of
from runs.models import Attempt, Delivery, Dependency, Event, Heartbeat, Lane, Run, TaskRun, Transition
from runs.operations.invariants import pruned_until
from runs.states import RUN_ACTIVE, RUN_OVER, RunState

BATCH = 500  # rows a transaction; a run that has more is deleted whole, or its history would have a hole
PRUNED = "pruned"
SESSION_LEFT = timedelta(days=7)  # nothing has been written for so long: its process is gone
UNDECIDED = (Tick.Outcome.PLANNED, Tick.Outcome.WAITS)


@dataclass
class Pruned:
    """What was deleted, or would be; `finished` is False when the time was up before the end."""

    logs: int = 0
    log_bytes: int = 0
    runs: int = 0
    task_runs: int = 0
    due_times: int = 0
    messages: int = 0
    revisions: int = 0
    sessions: int = 0
    working_folders: int = 0
    runtimes: int = 0
    finished: bool = True

    def as_dict(self) -> dict[str, int | bool]:
        """For JSON."""
        return asdict(self)


class _Budget:
    """Seconds that one call may take."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether the rest is for another time."""
        return self._end is not None and time.monotonic() >= self._end


def prune(now: datetime, *, dry_run: bool = False, seconds: float | None = None) -> Pruned:
    """Delete what is older than the settings KEEP_* say; with `dry_run` only count it.

    In: an aware time; `seconds`, after which the rest is left for the next call (None: no limit).
    """
    pruned, budget = Pruned(), _Budget(seconds)
    kept = _kept_runs()
    for step in (_logs, _runs, _due_times, _messages, _log_ins):
        step(pruned, now, kept, dry_run, budget)
        if budget.is_spent:
            pruned.finished = False
            return pruned
    _revisions(pruned, kept, dry_run)
    _runtimes(pruned, dry_run)
    _sessions(pruned, now, dry_run)
    for folder in left_over(now):
        pruned.working_folders += 1
        if not dry_run:
            shutil.rmtree(folder, ignore_errors=True)
    return pruned


def _kept_runs() -> set[int]:
    """Of every flow the latest run and the latest success; what is active, and what an active run repeats."""
    of_flow = Run.objects.filter(flow=OuterRef("pk")).order_by("-pk").values("pk")
    rows = Flow.objects.order_by().values_list(
        Subquery(of_flow[:1]), Subquery(of_flow.filter(state=RunState.SUCCEEDED)[:1])
    )
    kept: set[int] = {pk for row in rows for pk in row if pk is not None}
    wave = set(Run.objects.filter(state__in=RUN_ACTIVE).values_list("pk", flat=True))
    while wave:
        kept |= wave
        repeated = Run.objects.filter(pk__in=wave, retry_of__isnull=False).values_list("retry_of", flat=True)
        wave = {pk for pk in repeated if pk is not None} - kept
    return kept


def _before(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None


def _logs(pruned: Pruned, now: datetime, kept: set[int], dry_run: bool, budget: _Budget) -> None:
    days = [each for each in (settings.KEEP_LOGS_DAYS, settings.KEEP_RUNS_DAYS) if each]
    if not days:
        return
    old = Attempt.objects.filter(ended_at__lt=now - timedelta(days=min(days))).exclude(log_path="")
    for rows in _batches(old.order_by("pk").values_list("pk", "log_path", "task_run__run_id")):
        gone = [(pk, path) for pk, path, run in rows if run not in kept]
        for _, relative in gone:
            pruned.logs += 1
            pruned.log_bytes += _log(relative, dry_run)
        if not dry_run:
            Attempt.objects.filter(pk__in=[pk for pk, _ in gone]).update(log_path="")
        if budget.is_spent:
            return


def _log(relative: str, dry_run: bool) -> int:
    """Delete a log, and the SQL and the rows of failed tests beside it; their size in bytes."""
    try:
        path = path_of(relative)
    except ValueError:  # a row that was written past dex
        return 0
    size = 0
    for each in (path, path.with_suffix(".sql"), path.with_suffix(".rows.json")):
        if each.is_file():
            size += each.stat().st_size
            if not dry_run:
                each.unlink(missing_ok=True)
    if not dry_run:
        try:
            path.parent.rmdir()
        except OSError:  # something is left in it, or it is gone
            pass
    return size


def _batches(rows: QuerySet[Any, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows ordered by id, BATCH at a time; what is deleted meanwhile does not move the rest."""
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        yield batch
        last = batch[-1][0]


def _runs(pruned: Pruned, now: datetime, kept: set[int], dry_run: bool, budget: _Budget) -> None:
    cutoff = _before(now, settings.KEEP_RUNS_DAYS)
    if cutoff is None:
        return
    old = Run.objects.filter(state__in=sorted(RUN_OVER), ended_at__lt=cutoff).order_by("pk").values_list("pk", "tick")
    for rows in _batches(old):
        rows = [row for row in rows if row[0] not in kept]
        counted = TaskRun.objects.filter(run__in=[row[0] for row in rows]).order_by().values_list("run")
        tasks = dict(counted.annotate(number=Count("pk")))
        for few in _few_rows(rows, tasks):
            ids = [pk for pk, _ in few]
            if not dry_run:
                _delete_runs(ids, [tick for _, tick in few if tick is not None])
            pruned.runs += len(ids)
            pruned.task_runs += sum(tasks.get(pk, 0) for pk in ids)
            pruned.due_times += sum(tick is not None for _, tick in few)
            if budget.is_spent:
                return


def _few_rows(rows: Sequence[tuple[int, int | None]], tasks: dict[int, int]) -> Iterator[list[tuple[int, int | None]]]:
    """Runs in groups of BATCH task runs, at least one run each."""
    sums = list(accumulate(tasks.get(pk, 0) for pk, _ in rows))
    groups: dict[int, list[tuple[int, int | None]]] = {}
    for row, total in zip(rows, sums, strict=True):
        groups.setdefault(total // BATCH, []).append(row)
    yield from groups.values()


def _delete_runs(ids: list[int], ticks: list[int]) -> None:
    """Delete runs with all that belongs to them, and the due times that they were for. One transaction."""
    with transaction.atomic():
        _say_pruned(Tick.objects.filter(pk__in=ticks))
        # What has nothing below it goes in plain statements; Django would else read a row to delete it.
        Transition.objects.filter(run__in=ids).delete()
        Dependency.objects.filter(run__in=ids).delete()
        tasks = list(TaskRun.objects.filter(run__in=ids).order_by().values_list("pk", flat=True))
        for start in range(0, len(tasks), BATCH):
            TaskRun.objects.filter(pk__in=tasks[start : start + BATCH]).delete()
        Lane.objects.filter(run__in=ids).delete()
        Run.objects.filter(pk__in=ids).delete()
        Tick.objects.filter(pk__in=ticks, runs__isnull=True).delete()


def _say_pruned(ticks: QuerySet[Tick]) -> None:
    """Record up to when due times are no longer complete, for runs.operations.invariants, before they go."""
    latest = ticks.order_by("-due_at").values_list("due_at", flat=True).first()
    if latest is not None and latest > pruned_until():
        Heartbeat.objects.update_or_create(pk=PRUNED, defaults={"at": latest, "detail": {"until": latest.isoformat()}})


def _due_times(pruned: Pruned, now: datetime, kept: set[int], dry_run: bool, budget: _Budget) -> None:
    cutoff = _before(now, settings.KEEP_TICKS_DAYS)
    if cutoff is None:
        return
    old = Tick.objects.filter(~Exists(Run.objects.filter(tick=OuterRef("pk"))), due_at__lt=cutoff)
    for rows in _batches(old.exclude(outcome__in=UNDECIDED).order_by("pk").values_list("pk", "due_at")):
        pruned.due_times += len(rows)
        if not dry_run:
            with transaction.atomic():
                gone = Tick.objects.filter(pk__in=[pk for pk, _ in rows])
                _say_pruned(gone)
                gone.delete()
        if budget.is_spent:
            return


def _messages(pruned: Pruned, now: datetime, kept: set[int], dry_run: bool, budget: _Budget) -> None:
    """Delete what was said about runs as long ago as runs are kept, but for what is still to be sent."""
    cutoff = _before(now, settings.KEEP_RUNS_DAYS)
    if cutoff is None:
        return
    old = Delivery.objects.filter(created_at__lt=cutoff).exclude(status=Delivery.Status.WAITING)
    for rows in _batches(old.order_by("pk").values_list("pk", "run")):
        ids = [pk for pk, run in rows if run not in kept]
        pruned.messages += len(ids)
        if not dry_run:
            Delivery.objects.filter(pk__in=ids).delete()
        if budget.is_spent:
            return
    if not dry_run:
        Event.objects.filter(run=None, at__lt=cutoff).delete()  # of due times; those of runs went with them


def _log_ins(pruned: Pruned, now: datetime, kept: set[int], dry_run: bool, budget: _Budget) -> None:
    """Delete the record of old logins; it is small, and never the reason why somebody prunes, so it is not counted."""
    if not dry_run:
        forget_log_ins(now)


def _revisions(pruned: Pruned, kept: set[int], dry_run: bool) -> None:
    """Delete the folders of revisions that nothing uses but for the newest of each environment; their rows stay."""
    used = set(Environment.objects.exclude(current_revision=None).values_list("current_revision", flat=True))
    for start in range(0, len(some := sorted(kept)), BATCH):
        ids = some[start : start + BATCH]
        used |= set(Run.objects.filter(pk__in=ids, revision__isnull=False).values_list("revision", flat=True))
        used |= set(Lane.objects.filter(run__in=ids, revision__isnull=False).values_list("revision", flat=True))
    spare: dict[int, int] = {}
    rows = [row for row in Revision.objects.order_by("-pk") if row.exists_on_disk]
    gone: list[Revision] = []
    for row in rows:
        if row.pk in used:
            continue
        spare[row.environment_id] = spare.get(row.environment_id, 0) + 1
        if spare[row.environment_id] > settings.KEEP_REVISIONS:
            gone.append(row)
    leaving = {row.pk for row in gone}
    shared = {row.target_dir for row in rows if row.pk not in leaving}
    for row in gone:
        if row.target_dir in shared:
            continue
        pruned.revisions += 1
        if not dry_run:
            forget(Path(row.target_dir).parent, home=Path(settings.DEX_HOME))


def _runtimes(pruned: Pruned, dry_run: bool) -> None:
    """Delete dbt runtimes that no project uses, and no revision whose folder is still there."""
    rows = Revision.objects.exclude(runtime={}).only("runtime", "compact_path", "project_dir")
    kept = {row.runtime.get("lock", "") for row in rows if row.exists_on_disk}
    pruned.runtimes += forget_unneeded(kept - {""}, dry_run=dry_run)


def _sessions(pruned: Pruned, now: datetime, dry_run: bool) -> None:
    """Delete the folders of dbt sessions whose process died without a chance to do so; a living one writes into its."""
    home = Path(settings.DEX_HOME) / "sessions"
    for folder in home.iterdir() if home.is_dir() else ():
        if len(folder.name) != 32 or folder.is_symlink() or not folder.is_dir():
            continue  # the home of all sessions
        try:
            written = max(each.lstat().st_mtime for each in (folder, *folder.rglob("*")))
        except OSError:  # it goes just now
            continue
        if written < (now - SESSION_LEFT).timestamp():
            pruned.sessions += 1
            if not dry_run:
                shutil.rmtree(folder, ignore_errors=True)
