"""Starts to come, and how a flow or a minute holds too many of them. Pure; all times are aware and UTC."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

ASSUMED = timedelta(minutes=5)  # of a flow that has not run yet
LEAST = timedelta(seconds=1)


@dataclass(frozen=True)
class Planned:
    """The starts to come of one flow, in order and no two at once, and how long a run is expected to take.

    One value for all of them: a week of a flow that starts every minute has 10,080. `known`: earlier runs said it.
    """

    flow_id: int
    at: Sequence[datetime]
    takes: timedelta
    known: bool = True

    def ends(self, starts_at: datetime) -> datetime:
        """When the run that starts then is expected to be over."""
        return starts_at + self.takes


class Span(NamedTuple):
    """A stretch of time."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Crowd:
    """One minute in which more flows start than are wanted at once."""

    at: datetime
    flows: tuple[int, ...]


@dataclass(frozen=True)
class Itself:
    """A flow that is due again before its run is expected to be over; `times` of its starts are such."""

    flow_id: int
    first: datetime
    times: int


@dataclass(frozen=True)
class Band:
    """Starts of one flow that follow each other too closely to be drawn one by one. `every`: if they do so evenly."""

    first: datetime
    last: datetime
    ends_at: datetime
    count: int
    every: timedelta | None = None


def expected(flow_id: int, at: Sequence[datetime], usual: timedelta | None) -> Planned:
    """Starts with their expected length; ASSUMED stands for one that is not known."""
    return Planned(flow_id, at, max(usual or ASSUMED, LEAST), usual is not None)


def crowds(planned: Iterable[Planned], most: int) -> list[Crowd]:
    """The minutes in which more than `most` flows start, the fullest first."""
    minutes = {each.flow_id: {_minute(at) for at in each.at} for each in planned}
    counted: Counter[datetime] = Counter()
    for starts in minutes.values():
        counted.update(starts)
    full: dict[datetime, list[int]] = {at: [] for at, number in counted.items() if number > most}
    if full:
        for flow_id, starts in minutes.items():
            for at in full.keys() & starts:
                full[at].append(flow_id)
    crowded = [Crowd(at, tuple(flows)) for at, flows in full.items()]
    return sorted(crowded, key=lambda crowd: (-len(crowd.flows), crowd.at))


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0) if at.second or at.microsecond else at


def runs_into_itself(planned: Planned) -> Itself | None:
    """Whether a flow is due again before a run is expected to be over."""
    late = [after for before, after in pairwise(planned.at) if after - before < planned.takes]
    return Itself(planned.flow_id, late[0], len(late)) if late else None


def bands(planned: Planned, closer: timedelta) -> list[Band]:
    """Starts as bands: those that begin less than `closer` after the one before belong together."""
    gaps = [after - before for before, after in pairwise(planned.at)]
    breaks = [place for place, gap in enumerate(gaps, 1) if gap >= closer]
    result = []
    for first, beyond in pairwise([0, *breaks, len(planned.at)]):
        within = set(gaps[first : beyond - 1])
        last = planned.at[beyond - 1]
        every = within.pop() if len(within) == 1 else None
        result.append(Band(planned.at[first], last, planned.ends(last), beyond - first, every))
    return result
