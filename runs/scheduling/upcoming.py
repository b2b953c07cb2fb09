"""When flows start next. The one place that says so: pages, the API and alerts ask here, so that all say the same.

A due time is what the schedule says; a start is a due time plus the flow's own delay within `spread`.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django.utils import timezone

from flows.models import Environment, Flow, Tick
from flows.scheduling.cron import CronError, next_times

NEVER = datetime.max.replace(tzinfo=UTC) - timedelta(days=366)  # a delay can be added to it


@dataclass(frozen=True)
class Start:
    """A start that a schedule or a person planned. `at` is aware, UTC."""

    flow: Flow
    at: datetime
    planned_by: str = ""


def first_undecided(flow: Flow) -> datetime:
    """The first due time of the flow's schedule that has not been decided; NEVER without one. UTC."""
    return _next(flow.cron, flow.time_zone, flow.decided_until or timezone.now()) or NEVER


def next_start(flow: Flow, after: datetime | None = None) -> datetime | None:
    """When the flow starts next after a moment, or after now; None for one that does not. UTC. One query."""
    return next((each.at for each in next_starts_of(flow, 1, after)), None)


def next_starts_of(flow: Flow, number: int, after: datetime | None = None) -> list[Start]:
    """The next `number` starts of one flow, the earliest first; none while it is paused. One query."""
    moment = after or timezone.now()
    return merged([flow], planned_starts([flow], moment), moment, number)[flow.pk]


def planned_starts(flows: Iterable[Flow], after: datetime) -> list[Tick]:
    """The starts that people planned for these flows after a moment. One query."""
    rows = Tick.objects.filter(flow__in=[flow.pk for flow in flows], outcome=Tick.Outcome.PLANNED, due_at__gt=after)
    return list(rows.order_by("due_at"))


def merged(flows: Iterable[Flow], planned: Iterable[Tick], after: datetime, number: int) -> dict[int, list[Start]]:
    """Flow -> its next `number` starts after a moment: of its schedule, and planned ones. No query."""
    by_flow = {flow.pk: flow for flow in flows}
    once: dict[int, list[Start]] = {pk: [] for pk in by_flow}
    for row in planned:
        once[row.flow_id].append(Start(by_flow[row.flow_id], row.due_at, row.planned_by))
    return {
        pk: sorted([*_scheduled([flow], after, number), *once[pk]], key=lambda each: each.at)[:number]
        for pk, flow in by_flow.items()
        if not flow.paused
    } | {pk: [] for pk, flow in by_flow.items() if flow.paused}


def next_starts(environment: Environment | None, now: datetime, number: int) -> list[Start]:
    """The next `number` starts, the earliest first; what starts after other flows has no time yet. Two queries."""
    flows = Flow.objects.filter(paused=False).exclude(cron="")
    planned = Tick.objects.filter(outcome=Tick.Outcome.PLANNED, due_at__gt=now).select_related("flow")
    if environment is not None:
        flows, planned = flows.filter(environment=environment), planned.filter(flow__environment=environment)
    starts = [Start(row.flow, row.due_at, row.planned_by) for row in planned.order_by("due_at")[:number]]
    starts += _scheduled(list(flows.only("name", "cron", "time_zone", "spread")), now, number)
    return sorted(starts, key=lambda each: (each.at, each.flow.name))[:number]


def _scheduled(flows: list[Flow], after: datetime, number: int) -> Iterator[Start]:
    heap = []
    for flow in flows:
        delay = flow.delay if flow.cron and flow.spread else timedelta()
        if (due := _due_after(flow, after - delay)) is not None:
            heap.append((due + delay, flow.pk, flow, delay))
    heapq.heapify(heap)
    for _ in range(number):
        if not heap:
            return
        at, pk, flow, delay = heap[0]
        yield Start(flow, at)
        following = _due_after(flow, at - delay)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following + delay, pk, flow, delay))


def _due_after(flow: Flow, moment: datetime) -> datetime | None:
    """The first due time after a moment. Schedules have whole minutes, so that a minute's answers can be kept."""
    return _next(flow.cron, flow.time_zone, moment.replace(second=0, microsecond=0)) if flow.cron else None


@lru_cache(maxsize=10_000)
def _next(cron: str, zone: str, after: datetime) -> datetime | None:
    try:
        return next_times(cron, zone, 1, after)[0].astimezone(UTC)
    except (CronError, IndexError):  # written past every form, or never due again
        return None
