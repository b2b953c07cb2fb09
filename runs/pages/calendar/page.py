"""What the calendar page shows, put together from starts, history and models in a constant number of queries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.templatetags.static import static
from django.utils.safestring import SafeString, mark_safe

from flows.models import Environment, Flow
from flows.scheduling.cron import in_words
from flows.scheduling.unattended import refusal
from runs.pages.calendar import drawing
from runs.planning.usual import durations
from runs.scheduling import plan
from runs.scheduling.overlap import Collision, Collisions, collisions
from runs.scheduling.shared_models import Shared, shared_models
from runs.scheduling.sources import follows_of, upcoming

ROWS = 100  # a page
NAMED = 3  # models of a collision, flows of a crowd
TOLD = 10  # collisions of a kind
LISTED, MOST_LISTED = 40, 1000  # coming starts
TOGETHER = timedelta(hours=4)  # starts of one flow that follow closer are one line of the list


_COLUMNS = ("name", "cron", "time_zone", "paused", "overlap", "spread", "environment", "parameters")


@dataclass(frozen=True)
class Clash:
    """Two flows that build the same models at the same time."""

    one: Flow
    other: Flow
    models: list[str]
    more: int
    first: datetime
    times: int
    known: bool


@dataclass(frozen=True)
class Crowded:
    """The fullest of the minutes in which too many flows start."""

    at: datetime
    flows: list[Flow]
    more: int
    count: int


@dataclass(frozen=True)
class Overrun:
    """A flow that is due again before it is over; `every` is how often it is due."""

    flow: Flow
    first: datetime
    times: int
    usual: str


@dataclass(frozen=True)
class Refused:
    """A flow whose starts will all be refused, and why."""

    flow: Flow
    why: str


@dataclass(frozen=True)
class Line:
    """One flow of the time line; `refused` says why none of its starts will be a run, "" where they will."""

    flow: Flow
    sentence: str
    starts: int
    next_start: datetime
    usual: str
    spans: list[plan.Span]
    shapes: SafeString
    refused: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the list by time: a start, or starts that follow each other closely."""

    line: Line
    band: plan.Band
    collides: bool
    clock: str
    often: str
    until: str


@dataclass
class Trouble:
    """Everything that gets in the way, the worst of each kind, and how much more there is."""

    clashes: list[Clash] = field(default_factory=list)
    more_clashes: int = 0
    crowds: list[Crowded] = field(default_factory=list)
    crowded: int = 0
    overruns: list[Overrun] = field(default_factory=list)
    more_overruns: int = 0
    refused: list[Refused] = field(default_factory=list)
    more_refused: int = 0

    def __bool__(self) -> bool:
        return bool(self.clashes or self.crowds or self.overruns or self.refused)

    @property
    def count(self) -> int:
        """How many collisions are told of, and not."""
        crowds = 1 if self.crowds else 0
        told = len(self.clashes) + len(self.overruns) + len(self.refused)
        return told + crowds + self.more_clashes + self.more_overruns + self.more_refused


@dataclass
class Calendar:
    """The page."""

    axis: drawing.Axis
    now: datetime
    page: Page[int]
    lines: list[Line]
    days: list[tuple[date, list[Entry]]]
    left_out: int
    trouble: Trouble
    starts: int
    paused: int
    unscheduled: int
    idle: int


def calendar_of(
    axis: drawing.Axis,
    now: datetime,
    *,
    environment: Environment | None = None,
    query: str = "",
    page: str | None = None,
    everything: bool = False,
) -> Calendar:
    """The calendar from `now` to the end of `axis`, of an environment or of all; 5 queries.

    `query` narrows what is shown to flows whose name holds its words; collisions are found among all and shown where
    one of these takes part. `everything` lists MOST_LISTED coming starts instead of LISTED.
    """
    rows = Flow.objects.only(*_COLUMNS).order_by("name")
    if environment is not None:
        rows = rows.filter(environment=environment)
    flows = {flow.pk: flow for flow in rows}
    usual, follows = durations(environment), follows_of(environment)
    starts = upcoming(list(flows.values()), now, axis.ends_at, usual, follows)
    shared = shared_models(environment)
    words = query.lower().split()
    shown = {pk for pk in starts if all(word in flows[pk].name.lower() for word in words)}
    overlaps = collisions(starts, shared.partners(), now, axis.ends_at, shown)
    order = sorted(shown, key=lambda pk: (starts[pk].at[0], flows[pk].name))
    coming = sorted(
        ((band.first, flows[pk].name, pk, band) for pk in order for band in plan.bands(starts[pk], TOGETHER)),
        key=lambda each: each[:3],
    )
    listed = coming[: MOST_LISTED if everything else LISTED]
    drawn = Paginator(order, ROWS).get_page(page)
    lines: dict[int, Line] = {}
    for pk in [*drawn.object_list, *(pk for _, _, pk, _ in listed)]:
        if pk not in lines:
            spans = overlaps.spans(pk, axis.pixel * drawing.CLOSEST)
            ups = sorted(flows[up].name for up in follows.get(pk, ()) if up in flows)
            refused = refusal(flows[pk].parameters, cron=flows[pk].cron, follows=pk in follows)
            lines[pk] = _line(axis, flows[pk], starts[pk], spans, ups, refused)
    entries = [_entry(axis, lines[pk], band) for _, _, pk, band in listed]
    return Calendar(
        axis=axis,
        now=now,
        page=drawn,
        lines=[lines[pk] for pk in drawn.object_list],
        days=[(day, list(group)) for day, group in groupby(entries, lambda entry: _day(axis, entry))],
        left_out=len(coming) - len(listed),
        trouble=_trouble(flows, starts, overlaps, shared, shown, follows),
        starts=sum(len(starts[pk].at) for pk in order),
        paused=sum(1 for pk, flow in flows.items() if flow.paused and (flow.cron or pk in follows)),
        unscheduled=sum(1 for pk, flow in flows.items() if not flow.cron and pk not in starts and pk not in follows),
        idle=sum(
            1 for pk, flow in flows.items() if (flow.cron or pk in follows) and not flow.paused and pk not in starts
        ),
    )


def _line(
    axis: drawing.Axis, flow: Flow, starts: plan.Planned, spans: list[plan.Span], ups: list[str], refused: str
) -> Line:
    usual = _usual(starts)
    shapes = drawing.bars(axis, plan.bands(starts, axis.pixel * drawing.CLOSEST), usual)
    shapes += drawing.warnings(axis, spans, static("vendor/icons.svg"))
    return Line(
        flow=flow,
        sentence=_sentence(flow, ups),
        starts=len(starts.at),
        next_start=starts.at[0],
        usual=usual,
        spans=spans,
        shapes=mark_safe(shapes),  # noqa: S308 - of numbers and words of dex's own, see drawing
        refused=refused,
    )


def _usual(starts: plan.Planned) -> str:
    return drawing.roughly(starts.takes) if starts.known else ""


def _sentence(flow: Flow, ups: list[str]) -> str:
    after = f"after {' and '.join(ups)}" if len(ups) < NAMED else f"after {len(ups)} flows"
    sentence = in_words(flow.cron) if flow.cron else ""
    if not ups:
        return sentence or "Planned once"
    return f"{sentence}, and {after}" if sentence else f"A{after[1:]}"


def _entry(axis: drawing.Axis, line: Line, band: plan.Band) -> Entry:
    first, last = band.first.astimezone(axis.zone), band.last.astimezone(axis.zone)
    until = f"{last:%H:%M}" if last.date() == first.date() else f"{last:%a} {last.day} {last:%b %H:%M}"
    collides = any(span.starts_at < band.ends_at and band.first < span.ends_at for span in line.spans)
    return Entry(line, band, collides, f"{first:%H:%M}", drawing.often(band), until)


def _day(axis: drawing.Axis, entry: Entry) -> date:
    return entry.band.first.astimezone(axis.zone).date()


def _trouble(
    flows: Mapping[int, Flow],
    starts: Mapping[int, plan.Planned],
    trouble: Collisions,
    shared: Shared,
    shown: Collection[int],
    follows: Collection[int],
) -> Trouble:
    refused = [
        Refused(flows[pk], why)
        for pk in sorted(shown, key=lambda pk: flows[pk].name)
        if (why := refusal(flows[pk].parameters, cron=flows[pk].cron, follows=pk in follows))
    ]
    crowds = plan.crowds(starts.values(), settings.CALENDAR_CROWD)
    crowds = [crowd for crowd in crowds if any(pk in shown for pk in crowd.flows)]
    late = [each for pk in shown if (each := plan.runs_into_itself(starts[pk]))]
    late.sort(key=lambda each: (-each.times, flows[each.flow_id].name))
    return Trouble(
        clashes=[_clash(flows, pair, shared) for pair in trouble.pairs[:TOLD]],
        more_clashes=max(len(trouble.pairs) - TOLD, 0) + trouble.more,
        crowds=[
            Crowded(
                crowd.at,
                [flows[pk] for pk in crowd.flows[:NAMED]],
                len(crowd.flows) - NAMED,
                len(crowd.flows),
            )
            for crowd in crowds[:NAMED]
        ],
        crowded=len(crowds),
        overruns=[
            Overrun(flows[each.flow_id], each.first, each.times, _usual(starts[each.flow_id])) for each in late[:TOLD]
        ],
        more_overruns=max(len(late) - TOLD, 0),
        refused=refused[:TOLD],
        more_refused=max(len(refused) - TOLD, 0),
    )


def _clash(flows: Mapping[int, Flow], pair: Collision, shared: Shared) -> Clash:
    models = shared.models(*pair.flows)
    one, other = (flows[pk] for pk in pair.flows)
    return Clash(one, other, models[:NAMED], max(len(models) - NAMED, 0), pair.first, pair.times, pair.known)
