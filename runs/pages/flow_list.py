"""The list of flows with what happened to each: read in a constant number of queries."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from flows.models import Environment, Flow
from flows.scheduling.cron import in_words
from runs.models import Run
from runs.scheduling.upcoming import merged, planned_starts

STRIP = 20  # runs
NEXT = 5  # starts
BAR, GAP, HEIGHT, LEAST = 4, 2, 20, 3  # of the strip, in its own units


@dataclass(frozen=True)
class Bar:
    """One run in the strip of a flow; its height says how long it took, compared with the longest shown."""

    run: Run
    x: int
    y: int
    height: int


@dataclass
class Line:
    """One flow of the list."""

    flow: Flow
    latest: Run | None = None
    bars: list[Bar] = field(default_factory=list)
    sentence: str = ""  # the schedule in words, or its expression where these would be too long
    next_run: datetime | None = None
    then: list[datetime] = field(default_factory=list)  # the four after it, where there are no words

    @property
    def width(self) -> int:
        """Of the strip, in its own units."""
        return STRIP * (BAR + GAP)


def flows_with(
    *,
    query: str = "",
    environment: Environment | None = None,
    state: str = "",
    tag: str = "",
    paused: bool | None = None,
) -> QuerySet[Flow]:
    """Flows by name; `state` is that of the latest run, "none" for flows that never ran."""
    latest = Run.objects.filter(flow=OuterRef("pk")).order_by("-pk")
    rows = Flow.objects.select_related("environment__project").annotate(
        latest_state=Subquery(latest.values("state")[:1])
    )
    for word in query.split():  # one condition a word; two sets of rows united would double with each of them
        rows = rows.filter(Q(name__icontains=word) | Q(description__icontains=word))
    if environment is not None:
        rows = rows.filter(environment=environment)
    if state == "none":
        rows = rows.filter(latest_state=None)
    elif state:
        rows = rows.filter(latest_state=state)
    if paused is not None:
        rows = rows.filter(paused=paused)
    if tag:  # JSON containment is PostgreSQL's alone; tags are few
        tagged = Flow.objects.values_list("pk", "tags")
        rows = rows.filter(pk__in=[pk for pk, tags in tagged if tag in tags])
    return rows.order_by("name")


def lines_of(flows: list[Flow]) -> list[Line]:
    """What the list shows of each flow. Two queries."""
    by_flow: dict[int, list[Run]] = {flow.pk: [] for flow in flows}
    numbered = Run.objects.filter(flow__in=by_flow).annotate(
        place=Window(RowNumber(), partition_by=F("flow_id"), order_by=F("id").desc())
    )
    recent = numbered.filter(place__lte=STRIP).only(
        "id", "flow_id", "flow_name", "state", "reason", "created_at", "started_at", "ended_at"
    )
    for run in recent.order_by("id"):
        by_flow[run.flow_id or 0].append(run)
    now = timezone.now()
    starts = merged(flows, planned_starts(flows, now), now, NEXT)
    return [_line(flow, by_flow[flow.pk], [start.at for start in starts[flow.pk]]) for flow in flows]


def _line(flow: Flow, runs: list[Run], starts: list[datetime]) -> Line:
    line = Line(flow, latest=runs[-1] if runs else None, bars=_bars(runs))
    line.sentence = in_words(flow.cron) if flow.cron else ""
    line.next_run = starts[0] if starts else None
    wordless = bool(flow.cron) and line.sentence == flow.cron
    line.then = starts[1:] if wordless else []
    return line


def _bars(runs: list[Run]) -> list[Bar]:
    took = [
        ((run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else 0.0) for run in runs
    ]
    longest = max(took, default=0) or 1
    first = (STRIP - len(runs)) * (BAR + GAP)
    bars = []
    for number, (run, seconds) in enumerate(zip(runs, took, strict=True)):
        height = max(LEAST, round(HEIGHT * seconds / longest))
        bars.append(Bar(run, first + number * (BAR + GAP), HEIGHT - height, height))
    return bars
