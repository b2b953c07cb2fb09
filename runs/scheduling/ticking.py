"""Starts flows when they are due. The Tick row decides: any number of schedulers may call, late or twice.

What is due: a time of the schedule, a start that somebody planned, another flow's success. A Tick and the run that it
opens are written in one transaction, behind a compare-and-swap; who loses it does nothing.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from flows.models import Flow, Tick
from flows.parameters import ParameterError
from flows.scheduling.cron import due_times_between
from flows.scheduling.decisions import BATCH, decide
from runs.models import Run, Trigger
from runs.scheduling.upcoming import first_undecided
from runs.services import cancel_run, start_run
from runs.states import RUN_ACTIVE

log = logging.getLogger("dex.ticking")
ACTOR = "schedule"
_TRIGGERS = {Tick.Cause.SCHEDULE: Trigger.SCHEDULE, Tick.Cause.ONCE: Trigger.ONCE, Tick.Cause.FLOW: Trigger.FLOW}


def tick_all(now: datetime | None = None) -> int:
    """Look at every schedule and planned start; the number of due times decided. `now` is aware; tests set it."""
    decided = 0
    at = now or timezone.now()
    for flow in Flow.objects.exclude(cron="").only("cron", "time_zone", "decided_until", "spread"):
        try:
            if flow.decided_until is None or first_undecided(flow) + flow.delay <= at:
                decided += tick(flow.pk, at)
        except Exception:  # one flow's trouble must not hold up the others
            log.exception("schedule of flow %s", flow.pk)
    for planned in Tick.objects.filter(outcome=Tick.Outcome.PLANNED, due_at__lte=at).order_by("due_at"):
        try:
            decided += _start_planned(planned, at)
        except Exception:
            log.exception("planned start %s of flow %s", planned.pk, planned.flow_id)
    _start_what_waits()
    return decided


def wake(flow_id: int) -> None:
    """Beat says that a flow is due; one that is gone meanwhile is not."""
    if Flow.objects.filter(pk=flow_id).exclude(cron="").exists():
        tick(flow_id, timezone.now())


def tick(flow_id: int, now: datetime) -> int:
    """Decide the due times of a flow up to `now`, and start what is to be started; how many were decided."""
    flow = Flow.objects.select_related("environment__project").get(pk=flow_id)
    seen = flow.decided_until
    same = Flow.objects.filter(
        pk=flow_id, decided_until=seen, cron=flow.cron, time_zone=flow.time_zone, paused=flow.paused
    )
    if seen is None:
        same.update(decided_until=now)  # a schedule counts from when it is first seen
        return 0
    until = now - flow.delay  # a flow that starts later than it is due is looked at later
    due_times, more = due_times_between(flow.cron, flow.time_zone, seen, until, BATCH)
    if not due_times:
        return 0
    decisions = decide(
        due_times,
        more=more,
        now=until,
        grace=timedelta(seconds=settings.TICK_GRACE_S),
        missed=flow.missed,
        paused=flow.paused,
    )
    with transaction.atomic():
        if not same.update(decided_until=due_times[-1]):
            return 0  # another scheduler was first, or somebody changed the schedule
        # A start that somebody planned for one of these times stands for it.
        taken = set(
            flow.ticks.filter(due_at__gte=due_times[0], due_at__lte=due_times[-1]).values_list("due_at", flat=True)
        )
        decisions = [decision for decision in decisions if decision.due_at not in taken]
        Tick.objects.bulk_create(
            [Tick(flow=flow, due_at=d.due_at, outcome=d.outcome, reason=d.reason) for d in decisions if not d.starts]
        )
        for decision in decisions:
            if decision.starts:
                _due(flow, Tick(flow=flow, due_at=decision.due_at))
    return len(due_times)


def _start_planned(row: Tick, now: datetime) -> int:
    """The time that somebody planned a start for has come."""
    with transaction.atomic():
        # The flow's row first, as everywhere: whoever starts this flow at the same moment waits for the outcome.
        Flow.objects.filter(pk=row.flow_id).update(decided_until=F("decided_until"))
        planned = Tick.objects.filter(pk=row.pk, outcome=Tick.Outcome.PLANNED)
        if not planned.update(outcome=Tick.Outcome.RUN):
            return 0  # another scheduler was first, or it was withdrawn
        flow = Flow.objects.select_related("environment__project").get(pk=row.flow_id)
        late = now - row.due_at > timedelta(seconds=settings.TICK_GRACE_S)
        if flow.paused:
            row.outcome = Tick.Outcome.PAUSED
            row.save()
        elif late and flow.missed == Flow.Missed.SKIP:
            row.outcome, row.reason = Tick.Outcome.MISSED, "dex was not running, and missed runs are skipped"
            row.save()
        else:
            _due(flow, row)
    return 1


def follow(flow_id: int, ended: dict[int, datetime], reason: str) -> bool:
    """Every flow that this one starts after has succeeded: `ended` says when, by the key of its Follow.

    Whether this call was the one that started it (or recorded why it does not start).
    """
    with transaction.atomic():
        Flow.objects.filter(pk=flow_id).update(decided_until=F("decided_until"))  # takes the flow's row
        flow = Flow.objects.select_related("environment__project").get(pk=flow_id)
        for follows in flow.follows.all():
            if follows.pk not in ended or follows.since >= ended[follows.pk]:
                return False  # another scheduler was first, or somebody changed what it follows
        for pk, since in ended.items():
            flow.follows.filter(pk=pk).update(since=since)
        due_at = max(ended.values())
        while flow.ticks.filter(due_at=due_at).exists():
            due_at += timedelta(microseconds=1)
        row = Tick(flow=flow, due_at=due_at, cause=Tick.Cause.FLOW, reason=reason)
        if flow.paused:
            row.outcome = Tick.Outcome.PAUSED
            row.save()
        else:
            _due(flow, row)
    return True


def _due(flow: Flow, row: Tick) -> None:
    """A run is wanted; what is done if one is going on, the flow's policy says."""
    going = list(Run.objects.filter(flow=flow, state__in=RUN_ACTIVE).order_by("pk"))
    if going and flow.overlap == Flow.Overlap.SKIP and flow.missed != Flow.Missed.ALL:
        row.outcome, row.reason = Tick.Outcome.SKIPPED, _and(row.reason, f"run {going[-1].pk} was still running")
        row.save()
    elif going and flow.overlap in (Flow.Overlap.QUEUE, Flow.Overlap.SKIP):
        if flow.missed != Flow.Missed.ALL:
            earlier = Tick.objects.filter(flow=flow, outcome=Tick.Outcome.WAITS)
            earlier.update(outcome=Tick.Outcome.SKIPPED, reason="a later due time waits instead")
        row.outcome, row.reason = Tick.Outcome.WAITS, _and(row.reason, f"waits for run {going[-1].pk}")
        row.save()
    else:
        if flow.overlap == Flow.Overlap.CANCEL:
            for run in going:
                cancel_run(run.pk, actor=ACTOR)
        row.outcome = Tick.Outcome.RUN
        row.save()
        _start(flow, row)


def _and(text: str, more: str) -> str:
    return f"{text}; {more}" if text else more


def _start(flow: Flow, row: Tick) -> None:
    try:
        start_run(
            flow,
            trigger=_TRIGGERS[Tick.Cause(row.cause)],
            actor=row.planned_by or ACTOR,
            tick=row,
            key=f"tick {row.pk}",
            parameters=row.parameters,
        )
    except ParameterError as error:
        Tick.objects.filter(pk=row.pk).update(outcome=Tick.Outcome.REFUSED, reason=str(error)[:1000])


def _start_what_waits() -> None:
    for row in Tick.objects.filter(outcome=Tick.Outcome.WAITS).order_by("due_at").select_related("flow"):
        with transaction.atomic():
            Flow.objects.filter(pk=row.flow_id).update(decided_until=F("decided_until"))  # takes the flow's row
            if Run.objects.filter(flow=row.flow_id, state__in=RUN_ACTIVE).exists() or row.flow.paused:
                continue
            waits = Tick.objects.filter(pk=row.pk, outcome=Tick.Outcome.WAITS)
            if waits.update(outcome=Tick.Outcome.RUN, reason="started when the earlier run finished"):
                _start(row.flow, row)
