"""The last days in figures: runs by state and how long they took together, a bar a day."""

import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as of_day
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db.models import Count, F, Sum
from django.db.models.functions import TruncDate

from flows.models import Environment, Flow
from runs.models import Run
from runs.states import RunState

DAYS = 14
HEIGHT = 64  # of a bar, in units of its picture
LEAST = 2  # a state of a few runs stays visible
SLOW_S, KEPT_S = 0.02, 60
# From the ground up: what matters most stands lowest, where bars can be compared.
ORDER = (RunState.FAILED, RunState.CANCELLED, RunState.SUCCEEDED, RunState.RUNNING, RunState.QUEUED)


@dataclass(frozen=True)
class Piece:
    """The runs of one state in the bar of a day, in units of its picture."""

    state: str
    number: int
    y: float
    height: float


@dataclass
class Day:
    """One day of the viewer's zone; `seconds` is the sum of its runs' durations."""

    day: date
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    pieces: list[Piece] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All runs that were opened on this day."""
        return sum(self.counts.values())

    @property
    def said(self) -> str:
        """The counts in words: "12 runs: 2 failed, 10 succeeded"; the whole where nothing ran."""
        if not self.total:
            return "no runs"
        parts = ", ".join(f"{self.counts[state]} {state}" for state in ORDER if self.counts.get(state))
        return f"{self.total} run{'' if self.total == 1 else 's'}: {parts}"


def last_days(environment: Environment | None, now: datetime, zone: ZoneInfo) -> list[Day]:
    """The last DAYS days, the latest last. One query; where it is slow its answer is kept for a minute."""
    key = f"runs-days-{environment.pk if environment else 'all'}-{zone.key}-{now.astimezone(zone).date()}"
    counted = cache.get(key)
    if counted is None:
        began = time.perf_counter()
        counted = _counted(environment, now, zone)
        if time.perf_counter() - began > SLOW_S:
            cache.set(key, counted, KEPT_S)
    today = now.astimezone(zone).date()
    days = {day: Day(day) for day in (today - timedelta(days=back) for back in reversed(range(DAYS)))}
    for day, state, number, seconds in counted:
        if day in days:
            days[day].counts[state] = number
            days[day].seconds += seconds
    most = max((day.total for day in days.values()), default=0)
    for each in days.values():
        each.pieces = _pieces(each.counts, most)
    return list(days.values())


def _counted(environment: Environment | None, now: datetime, zone: ZoneInfo) -> list[tuple[date, str, int, float]]:
    first = datetime.combine(now.astimezone(zone).date() - timedelta(days=DAYS - 1), of_day(), zone)
    rows = Run.objects.filter(created_at__gte=first).order_by()
    if environment is not None:
        rows = rows.filter(flow__in=Flow.objects.filter(environment=environment).values("pk"))
    grouped = rows.annotate(day=TruncDate("created_at", tzinfo=zone)).values_list("day", "state")
    counted = grouped.annotate(number=Count("pk"), took=Sum(F("ended_at") - F("started_at")))
    return [(day, state, number, took.total_seconds() if took else 0.0) for day, state, number, took in counted]


def _pieces(counts: dict[str, int], most: int) -> list[Piece]:
    pieces: list[Piece] = []
    y = float(HEIGHT)
    for state in ORDER:
        if number := counts.get(state, 0):
            height = min(max(LEAST, HEIGHT * number / most), y)
            y -= height
            pieces.append(Piece(str(state), number, round(y, 2), round(height, 2)))
    return pieces
