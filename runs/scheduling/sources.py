"""Where starts to come are read from. A source yields a flow and its starts within a window; SOURCES lists them.

What starts after other flows comes last, because it needs to know when those are over.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter

from flows.models import Environment, Flow, Follow, Tick
from flows.scheduling.cron import CronError
from flows.scheduling.due_times import due_times_in
from runs.scheduling.plan import Planned, expected

#: In: flows that are not paused, and a window (after, until], aware. Out: (flow id, starts in order), a flow once or
#: more. Each reads what it needs in one query at most.
Source = Callable[[Sequence[Flow], datetime, datetime], Iterator[tuple[int, Sequence[datetime]]]]


def scheduled(flows: Sequence[Flow], after: datetime, until: datetime) -> Iterator[tuple[int, Sequence[datetime]]]:
    """What the schedules start: each due time, plus the flow's own delay."""
    by_schedule: dict[tuple[str, str, timedelta], list[datetime]] = {}  # flows often share a schedule
    for flow in flows:
        if not flow.cron:
            continue
        delay = flow.delay if flow.spread else timedelta()
        key = (flow.cron, flow.time_zone, delay)
        if key not in by_schedule:
            try:
                due_times = due_times_in(flow.cron, flow.time_zone, after - delay, until - delay)
            except CronError:  # a row that was written past every form
                due_times = []
            by_schedule[key] = [due_time + delay for due_time in due_times] if delay else due_times
        yield flow.pk, by_schedule[key]


def planned_once(flows: Sequence[Flow], after: datetime, until: datetime) -> Iterator[tuple[int, Sequence[datetime]]]:
    """What somebody planned for one time."""
    ids = {flow.pk for flow in flows}
    rows = Tick.objects.filter(outcome=Tick.Outcome.PLANNED, due_at__gt=after, due_at__lte=until).order_by("due_at")
    for flow_id, due_at in rows.values_list("flow_id", "due_at"):
        if flow_id in ids:
            yield flow_id, [due_at]


SOURCES: tuple[Source, ...] = (scheduled, planned_once)


def upcoming(
    flows: Sequence[Flow],
    after: datetime,
    until: datetime,
    usual: Mapping[int, timedelta],
    follows: Mapping[int, AbstractSet[int]],
) -> dict[int, Planned]:
    """The starts in (after, until] of every flow that is not paused; flows without any are left out.

    In: aware times; `usual`, flow -> how long a run takes, without those that are not known; `follows`, flow ->
    the flows that it starts after.
    """
    going = [flow for flow in flows if not flow.paused]
    by_flow: dict[int, list[Sequence[datetime]]] = {}
    for source in SOURCES:
        for flow_id, at in source(going, after, until):
            if at:
                by_flow.setdefault(flow_id, []).append(at)
    starts = {
        # What comes from one source alone is not copied: flows share it.
        flow_id: expected(flow_id, lists[0] if len(lists) == 1 else sorted(set().union(*lists)), usual.get(flow_id))
        for flow_id, lists in by_flow.items()
    }
    _follow(starts, {flow.pk for flow in going}, follows, until, usual)
    return starts


def _follow(
    starts: dict[int, Planned],
    going: AbstractSet[int],
    follows: Mapping[int, AbstractSet[int]],
    until: datetime,
    usual: Mapping[int, timedelta],
) -> None:
    """Add what starts after other flows, when the runs of all of them are expected to be over since its last start.

    What succeeded before the window is left out of account: who waits for a second flow alone may start earlier.
    """
    try:
        order = list(TopologicalSorter(follows).static_order())
    except CycleError:  # written past every form
        return
    for flow_id in order:
        ups = follows.get(flow_id, frozenset())
        if flow_id not in going or not ups or not ups <= starts.keys():
            continue
        ended = sorted((starts[up].ends(at), up) for up in ups for at in starts[up].at)
        at, missing = [], set(ups)
        for ends_at, up in ended:
            missing.discard(up)
            if not missing and ends_at <= until:
                at.append(ends_at)
                missing = set(ups)
        own = starts[flow_id].at if flow_id in starts else []
        if moments := sorted({*own, *at}):
            starts[flow_id] = expected(flow_id, moments, usual.get(flow_id))


def follows_of(environment: Environment | None = None) -> dict[int, set[int]]:
    """Flow -> the flows that it starts after. One query."""
    rows = Follow.objects.all() if environment is None else Follow.objects.filter(flow__environment=environment)
    followers: dict[int, set[int]] = {}
    for flow_id, up_id in rows.values_list("flow_id", "up_id"):
        followers.setdefault(flow_id, set()).add(up_id)
    return followers
