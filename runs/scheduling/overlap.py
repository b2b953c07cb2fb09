"""Which flows that build the same models are expected to run at the same time. Pure; all times are aware and UTC.

Flows that start every minute have millions of overlaps in a week. So the minutes in which a flow is busy are the bits
of one integer, and two flows meet where both have a bit; the few that are told of are then looked at exactly.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runs.scheduling.plan import Planned, Span

MINUTE = timedelta(minutes=1)
EXACT = 30  # pairs


@dataclass(frozen=True)
class Collision:
    """Two flows that build the same models, and whose runs are expected to overlap.

    `times`: how many runs of the one that starts less often; `first`: when the first two overlap; not `known`: a
    duration had to be assumed.
    """

    flows: tuple[int, int]
    first: datetime
    times: int
    known: bool


@dataclass
class Collisions:
    """The pairs that overlap longest, how many more there are, and which flows meet which."""

    begins: datetime
    pairs: list[Collision] = field(default_factory=list)
    more: int = 0
    busy: dict[int, int] = field(default_factory=dict)
    meets: dict[int, set[int]] = field(default_factory=dict)

    def spans(self, flow_id: int, closer: timedelta = MINUTE) -> list[Span]:
        """The stretches of time in which a flow collides with any other, in order and to the minute.

        Those nearer to each other than `closer` are one.
        """
        others = 0
        for other in self.meets.get(flow_id, ()):
            others |= self.busy[other]
        between = max(closer // MINUTE, 1) - 1
        minutes = bin(self.busy.get(flow_id, 0) & others)[:1:-1]
        return [
            Span(self.begins + MINUTE * match.start(), self.begins + MINUTE * match.end())
            for match in re.finditer(f"1++(?:0{{0,{between}}}1++)*+", minutes)
        ]


def collisions(
    planned: Mapping[int, Planned],
    partners: Mapping[int, AbstractSet[int]],
    begins: datetime,
    ends: datetime,
    among: Collection[int] | None = None,
) -> Collisions:
    """The flows that are partners (they build a model in common) and whose runs overlap between `begins` and `ends`.

    In: starts by flow; `partners`, flow -> the others, both ways round; `among`: flows of which one must take part.
    """
    begins = begins.replace(second=0, microsecond=0)
    result = Collisions(begins, busy=_busy([planned[pk] for pk in partners if pk in planned], begins, ends))
    met = []
    for one, mine in result.busy.items():
        for other in partners[one]:
            if one < other and other in result.busy and (among is None or one in among or other in among):
                together = (mine & result.busy[other]).bit_count()
                if together:
                    met.append((-together, one, other))
    met.sort()
    for place, (_, one, other) in enumerate(met):
        if place < EXACT:
            collision = _collision(planned[one], planned[other])
            if collision is None:  # one ended and the other began within a minute
                continue
            result.pairs.append(collision)
        else:
            result.more += 1
        result.meets.setdefault(one, set()).add(other)
        result.meets.setdefault(other, set()).add(one)
    return result


def _busy(planned: Iterable[Planned], begins: datetime, ends: datetime) -> dict[int, int]:
    result: dict[int, int] = {}
    masks: dict[tuple[int, timedelta], int] = {}
    for each in planned:
        # Flows of one schedule share their list of starts; where those are whole minutes, so are the ends that count.
        whole = not any(at.second or at.microsecond for at in (each.at[0], each.at[-1]))
        key = (id(each.at), MINUTE * -(-each.takes // MINUTE) if whole else each.takes)
        if key not in masks:
            masks[key] = busy(each, begins, ends)
        result[each.flow_id] = masks[key]
    return result


def busy(planned: Planned, begins: datetime, ends: datetime) -> int:
    """The minutes in which a flow is expected to run, the first one as the lowest bit; none after `ends`."""
    length = -((begins - ends) // MINUTE)
    digits = bytearray(b"0") * length
    zero, takes = begins.timestamp(), planned.takes.total_seconds()
    for at in planned.at:
        seconds = at.timestamp() - zero
        first, beyond = int(seconds // 60), min(-int(-(seconds + takes) // 60), length)
        digits[first:beyond] = b"1" * (beyond - first)
    return int(digits[::-1], 2) if digits else 0


def _collision(one: Planned, other: Planned) -> Collision | None:
    few, many = (one, other) if len(one.at) <= len(other.at) else (other, one)
    times, earliest = 0, None
    for starts_at in few.at:
        # The first of the others that is not over when this one starts, and the first that starts after its end.
        first = bisect_right(many.at, starts_at - many.takes)
        if first < bisect_left(many.at, starts_at + few.takes, first):
            times += 1
            earliest = earliest or max(starts_at, many.at[first])
    if earliest is None:
        return None
    return Collision((one.flow_id, other.flow_id), earliest, times, one.known and other.known)
