"""The time line as shapes of an SVG. Pure: what it makes of numbers and its own words needs no escaping.

Places and widths are percentages, so that a drawing fits whatever room it has; heights are pixels around the middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from runs.scheduling.plan import Band, Span

WIDTH = 720  # pixels that a time line has on a desk; what would be closer than CLOSEST is drawn as one
CLOSEST = 10
SHORTEST, HATCHED = 3, 7  # what is hatched needs more room to be told
BAR = 12
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Mark:
    """A line of the axis: an hour, or the midnight at which a day begins."""

    at: datetime
    x: str
    label: str
    is_day: bool


@dataclass(frozen=True)
class Axis:
    """The stretch of time that is drawn, aware, and the zone that its labels are in."""

    starts_at: datetime
    ends_at: datetime
    zone: ZoneInfo

    @property
    def is_long(self) -> bool:
        """Whether it shows days rather than hours."""
        return self.ends_at - self.starts_at > timedelta(hours=48)

    @property
    def pixel(self) -> timedelta:
        """How long one pixel is, about."""
        return (self.ends_at - self.starts_at) / WIDTH

    def x(self, moment: datetime) -> float:
        """The place of a moment, 0 to 100."""
        place = (moment - self.starts_at) / (self.ends_at - self.starts_at) * 100
        return min(max(place, 0.0), 100.0)

    def clock(self, moment: datetime) -> str:
        """A moment in words, "02:00" or "Mon 23 Nov 02:00"."""
        local = moment.astimezone(self.zone)
        return f"{local:%H:%M}" if not self.is_long else f"{local:%a} {local.day} {local:%b %H:%M}"

    def marks(self) -> list[Mark]:
        """Its lines: every day, and every third hour where it shows hours."""
        marks = [(at, _name(day), True) for at, day in days(self.starts_at, self.ends_at, self.zone)]
        if not self.is_long:
            taken = {at for at, _, _ in marks}
            marks += [(at, label, False) for at, label in self._hours() if at not in taken]
        lines = []
        names = [self.x(at) for at, _, is_day in marks if is_day]
        for at, label, is_day in sorted(marks):
            place = self.x(at)
            # A name at the very edge would be cut off; an hour gives way to the name of a day, right of its line.
            fits = place < 91 if is_day else 4 < place < 95 and not any(-3 < place - name < 13 for name in names)
            lines.append(Mark(at, f"{place:.2f}", label if fits else "", is_day))
        return lines

    @property
    def first_day(self) -> str:
        """The name of the day on which it starts, where there is room for it."""
        first = next((mark for mark in self.marks() if mark.label), None)
        return _name(self.starts_at.astimezone(self.zone).date()) if first and float(first.x) > 13 else ""

    def _hours(self) -> list[tuple[datetime, str]]:
        hours = []
        moment = self.starts_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while moment < self.ends_at:
            local = moment.astimezone(self.zone)
            if moment >= self.starts_at and local.hour % 3 == 0 and local.minute == 0:
                hours.append((moment, f"{local:%H:%M}"))
            moment += QUARTER
        return hours


def _name(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"


def days(after: datetime, until: datetime, zone: ZoneInfo) -> list[tuple[datetime, date]]:
    """When the days begin that do so in (after, until): (moment in UTC, day). They are 23, 24 or 25 hours apart."""
    starts = []
    day = after.astimezone(zone).date() + DAY
    while (begins := datetime.combine(day, time(), zone).astimezone(UTC)) < until:
        starts.append((begins, day))
        day += DAY
    return starts


def roughly(taken: timedelta) -> str:
    """A duration as one remembers it: "40 s", "12 m", "1 h 5 m"."""
    seconds = round(taken.total_seconds())
    if seconds < 90:
        return f"{max(seconds, 1)} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} m"
    return f"{hours} h {rest} m" if rest else f"{hours} h"


def often(band: Band) -> str:
    """How the starts of a band follow each other: "every 5 minutes, 288 runs"."""
    if band.every is None:
        return f"{band.count:,} runs"
    minutes = band.every / timedelta(minutes=1)
    if minutes == 1:
        return f"every minute, {band.count:,} runs"
    if minutes % 60 == 0:
        return f"every {'hour' if minutes == 60 else f'{minutes / 60:.0f} hours'}, {band.count:,} runs"
    return f"every {minutes:g} minutes, {band.count:,} runs"


def bars(axis: Axis, drawn: Sequence[Band], usual: str) -> str:
    """The runs of one flow as rects with titles; without a usual duration they are hatched."""
    took = f"usually {usual}" if usual else "not succeeded yet"
    kind, fill = ("known", "") if usual else ("unknown", ' fill="url(#cal-unknown)"')
    least, corner = (SHORTEST, 2) if usual else (HATCHED, 0)
    result = []
    for band in drawn:
        left, width = _place(axis, band.first, band.ends_at, least)
        if band.count == 1:
            title = f"{axis.clock(band.first)}-{band.ends_at.astimezone(axis.zone):%H:%M}, {took}"
            shape, height = f'<rect class="cal-bar {kind}"{fill}', BAR
        else:
            title = f"{axis.clock(band.first)} to {axis.clock(band.last)}, {often(band)}, {took}"
            shape, height = f'<rect class="cal-band {kind}"{fill}', BAR - 4
        result.append(
            f'{shape} x="{left}%" y="50%" width="{width}%" height="{height}" rx="{corner}" '
            f'transform="translate(0 {-height // 2})"><title>{title}</title></rect>'
        )
    return "".join(result)


def warnings(axis: Axis, spans: Sequence[Span], icons: str) -> str:
    """Stretches of time in which a flow collides: striped rects, each with an icon above. In: the sprite's address."""
    drawn = []
    for span in spans:
        left, width = _place(axis, span.starts_at, span.ends_at)
        title = f"{axis.clock(span.starts_at)}-{span.ends_at.astimezone(axis.zone):%H:%M}, collides with another flow"
        drawn.append(
            f'<g class="cal-clash"><title>{title}</title><rect fill="url(#cal-stripes)" x="{left}%" y="50%" '
            f'width="{width}%" height="{BAR + 2}" transform="translate(0 {-BAR // 2 - 1})"/><use '
            f'href="{icons}#triangle-alert" x="{left}%" y="50%" width="11" height="11" '
            'transform="translate(-4 -20)"/></g>'
        )
    return "".join(drawn)


def _place(axis: Axis, starts_at: datetime, ends_at: datetime, least: int = SHORTEST) -> tuple[str, str]:
    left = axis.x(starts_at)
    width = max(axis.x(ends_at) - left, least / WIDTH * 100)
    return f"{left:.2f}", f"{min(width, 100 - left):.2f}"
