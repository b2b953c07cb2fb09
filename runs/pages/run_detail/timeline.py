"""When each task of a run waited and ran, as bars on one axis; what determined the end is the critical path."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from nodes import graph
from runs.models import Dependency, Run, TaskRun
from runs.pages.run_detail.table import order_of, tasks_of
from runs.planning.usual import usual_seconds

MOST = 400  # rows that are drawn
WIDTH = 100.0  # of the axis: percent of the room that it has
LEAST = 0.4  # of a bar, so that it is seen
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_LABELS = 6


@dataclass(frozen=True)
class Bar:
    """One task: where its waiting begins and where it ran (percent of the axis), and its usual length."""

    task: TaskRun
    waited_x: float
    waited_width: float
    x: float
    width: float
    usual_width: float | None
    seconds: float
    critical: bool


@dataclass(frozen=True)
class Label:
    """A time of the axis, as seconds after the start of the run."""

    x: float
    seconds: int


@dataclass(frozen=True)
class Timeline:
    """The whole timeline. `critical` is the chain that determined the end, the longest of it first."""

    bars: list[Bar]
    labels: list[Label]
    more: int
    seconds: float
    critical: list[Bar]

    @property
    def critical_seconds(self) -> float:
        """How long that chain ran; the rest of the time it waited."""
        return sum(bar.seconds for bar in self.critical)


def timeline_of(run: Run, sort: str = "order") -> Timeline | None:
    """The timeline of a run, its rows in an order of run_detail.table.SORTS; None before anything started."""
    rows = list(tasks_of(run).filter(started_at__isnull=False).order_by(*order_of(sort)))
    if not rows:
        return None
    now = timezone.now()
    begin = min([row.started_at for row in rows if row.started_at] + ([run.started_at] if run.started_at else []))
    end = max([row.ended_at or now for row in rows])
    if run.ended_at is None:
        end = max(end, now)
    whole = max((end - begin).total_seconds(), 0.001)
    drawn = rows[:MOST]
    usual = usual_seconds(run.flow, [row.unique_id for row in drawn]) if run.flow else {}
    path = set(_critical(run, rows, now))
    scale = WIDTH / whole
    bars = [_bar(row, begin, now, scale, usual.get(row.unique_id), path) for row in drawn]
    critical = [bar for bar in bars if bar.critical]
    return Timeline(
        bars=bars,
        labels=_labels(whole, scale),
        more=len(rows) - len(drawn),
        seconds=whole,
        critical=sorted(critical, key=lambda bar: -bar.seconds),
    )


def _bar(row: TaskRun, begin: datetime, now: datetime, scale: float, usual: float | None, path: set[int]) -> Bar:
    assert row.started_at is not None  # filtered above
    start = (row.started_at - begin).total_seconds()
    ran = ((row.ended_at or now) - row.started_at).total_seconds()
    queued = (row.queued_at - begin).total_seconds() if row.queued_at else start
    queued = min(max(queued, 0.0), start)
    return Bar(
        task=row,
        waited_x=round(queued * scale, 2),
        waited_width=round((start - queued) * scale, 2),
        x=round(start * scale, 2),
        width=round(max(ran * scale, LEAST), 2),
        usual_width=None if usual is None else round(max(usual * scale, LEAST), 2),
        seconds=ran,
        critical=row.pk in path,
    )


def _critical(run: Run, rows: Sequence[TaskRun], now: datetime) -> list[int]:
    """Of the chains of tasks that wait for each other, the one that took longest; ids of task runs."""
    durations = {
        row.pk: ((row.ended_at or now) - row.started_at) / timedelta(seconds=1) for row in rows if row.started_at
    }
    edges = list(Dependency.objects.filter(run=run).values_list("up_id", "down_id"))
    for up, down in edges:  # gates, and tasks that never ran, take no time of their own
        durations.setdefault(up, 0.0)
        durations.setdefault(down, 0.0)
    return graph.critical_path(durations, edges)


def _labels(whole: float, scale: float) -> list[Label]:
    step = next((step for step in _STEPS if whole / step <= _MOST_LABELS), _STEPS[-1])
    return [Label(round(at * scale, 2), at) for at in range(0, int(whole) + 1, step)]
