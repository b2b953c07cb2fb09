"""The next starts of all flows, without looking further ahead than is shown."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from flows.models import Environment, Flow, Tick
from flows.scheduling.cron import CronError, next_times


@dataclass(frozen=True)
class Coming:
    """A start that a schedule or somebody planned."""

    flow: Flow
    at: datetime
    planned_by: str = ""


def next_starts(environment: Environment | None, now: datetime, number: int) -> list[Coming]:
    """The next `number` starts, the earliest first; what starts after other flows has no time yet. Two queries."""
    flows = Flow.objects.filter(paused=False).exclude(cron="")
    planned = Tick.objects.filter(outcome=Tick.Outcome.PLANNED, due_at__gt=now).select_related("flow")
    if environment is not None:
        flows, planned = flows.filter(environment=environment), planned.filter(flow__environment=environment)
    made = [Coming(row.flow, row.due_at, row.planned_by) for row in planned.order_by("due_at")[:number]]
    made += _scheduled(list(flows.only("name", "cron", "time_zone", "spread")), now, number)
    return sorted(made, key=lambda each: (each.at, each.flow.name))[:number]


def _scheduled(flows: list[Flow], now: datetime, number: int) -> Iterator[Coming]:
    heap = []
    for flow in flows:
        delay = flow.delay if flow.spread else timedelta()
        if (at := _after(flow, now - delay)) is not None:
            heap.append((at + delay, flow.pk, flow, delay))
    heapq.heapify(heap)
    for _ in range(number):
        if not heap:
            return
        at, pk, flow, delay = heap[0]
        yield Coming(flow, at)
        following = _after(flow, at - delay)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following + delay, pk, flow, delay))


def _after(flow: Flow, moment: datetime) -> datetime | None:
    """The first due time after a moment. Schedules have whole minutes, so that a minute's answers can be kept."""
    return _next(flow.cron, flow.time_zone, moment.replace(second=0, microsecond=0))


@lru_cache(maxsize=4096)
def _next(cron: str, zone: str, minute: datetime) -> datetime | None:
    try:
        return next_times(cron, zone, 1, minute)[0].astimezone(UTC)
    except (CronError, IndexError):  # written past every form, or never due again
        return None
