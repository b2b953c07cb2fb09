"""Starts flows when they are due. The Tick row decides: any number of schedulers may call, late or twice.

A due time's Tick and the run that it opens are written in one transaction, behind a compare-and-swap of the flow's
cursor; who loses it does nothing.
"""

import logging
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from flows.cron import CronError, due_slots, next_times
from flows.models import Flow, Tick
from flows.parameters import ParameterError
from flows.ticks import BATCH, decide
from runs.models import Run, Trigger
from runs.services import cancel_run, start_run
from runs.states import RUN_ACTIVE

log = logging.getLogger("dex.ticking")
ACTOR = "schedule"


def tick_all(now: datetime | None = None) -> int:
    """Look at every schedule; the number of due times decided. `now` is aware; tests set it."""
    decided = 0
    at = now or timezone.now()
    flows = Flow.objects.exclude(cron="").only("cron", "time_zone", "decided_until")
    for flow in flows:
        try:
            if flow.decided_until is None or _next(flow.cron, flow.time_zone, flow.decided_until) <= at:
                decided += tick(flow.pk, at)
        except Exception:  # one flow's trouble must not hold up the others
            log.exception("schedule of flow %s", flow.pk)
    _start_what_waits()
    return decided


def ring(flow_id: int) -> None:
    """Beat says that a flow is due; one that is gone meanwhile is not."""
    if Flow.objects.filter(pk=flow_id).exclude(cron="").exists():
        tick(flow_id, timezone.now())


@lru_cache(maxsize=10_000)
def _next(cron: str, zone: str, after: datetime) -> datetime:
    try:
        return next_times(cron, zone, 1, after)[0].astimezone(UTC)
    except (CronError, IndexError):
        return datetime.max.replace(tzinfo=UTC)


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
    slots, more = due_slots(flow.cron, flow.time_zone, seen, now, BATCH)
    if not slots:
        return 0
    decisions = decide(
        slots,
        more=more,
        now=now,
        grace=timedelta(seconds=settings.TICK_GRACE_S),
        missed=flow.missed,
        paused=flow.paused,
    )
    with transaction.atomic():
        if not same.update(decided_until=slots[-1]):
            return 0  # another scheduler was first, or somebody changed the schedule
        Tick.objects.bulk_create(
            [Tick(flow=flow, due_at=d.due_at, outcome=d.outcome, reason=d.reason) for d in decisions if not d.starts]
        )
        for decision in decisions:
            if decision.starts:
                _due(flow, Tick(flow=flow, due_at=decision.due_at))
    return len(slots)


def _due(flow: Flow, row: Tick) -> None:
    """A run is wanted; what is done if one is going on, the flow's policy says."""
    going = list(Run.objects.filter(flow=flow, state__in=RUN_ACTIVE).order_by("pk"))
    if going and flow.overlap == Flow.Overlap.SKIP and flow.missed != Flow.Missed.ALL:
        row.outcome, row.reason = Tick.Outcome.SKIPPED, f"run {going[-1].pk} was still going"
        row.save()
    elif going and flow.overlap in (Flow.Overlap.QUEUE, Flow.Overlap.SKIP):
        if flow.missed != Flow.Missed.ALL:
            earlier = Tick.objects.filter(flow=flow, outcome=Tick.Outcome.WAITS)
            earlier.update(outcome=Tick.Outcome.SKIPPED, reason="a later due time waits in its place")
        row.outcome, row.reason = Tick.Outcome.WAITS, f"waits for run {going[-1].pk}"
        row.save()
    else:
        if flow.overlap == Flow.Overlap.CANCEL:
            for run in going:
                cancel_run(run.pk, actor=ACTOR)
        row.outcome = Tick.Outcome.RUN
        row.save()
        _start(flow, row)


def _start(flow: Flow, row: Tick) -> None:
    try:
        start_run(flow, trigger=Trigger.SCHEDULE, actor=ACTOR, tick=row, key=f"tick {row.pk}")
    except ParameterError as error:
        Tick.objects.filter(pk=row.pk).update(outcome=Tick.Outcome.REFUSED, reason=str(error)[:1000])


def _start_what_waits() -> None:
    for row in Tick.objects.filter(outcome=Tick.Outcome.WAITS).order_by("due_at").select_related("flow"):
        with transaction.atomic():
            Flow.objects.filter(pk=row.flow_id).update(decided_until=F("decided_until"))  # takes the flow's row
            if Run.objects.filter(flow=row.flow_id, state__in=RUN_ACTIVE).exists() or row.flow.paused:
                continue
            waits = Tick.objects.filter(pk=row.pk, outcome=Tick.Outcome.WAITS)
            if waits.update(outcome=Tick.Outcome.RUN, reason="started when the earlier run was over"):
                _start(row.flow, row)
