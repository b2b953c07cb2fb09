"""Sees what happened, and writes one message for each channel that wants to know.

Every function here is idempotent over the database: an Event row is written once, in one transaction with the
deliveries that it leads to, whoever looks and however often.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from flows.models import Flow, Tick
from runs import dispatch
from runs.alerts import messages
from runs.alerts.failure_groups.models import Failure
from runs.alerts.kinds import EventKind
from runs.alerts.models import Channel, Delivery, Event
from runs.models import Run, Trigger
from runs.planning.usual import usual_duration
from runs.scheduling.upcoming import first_undecided
from runs.states import RUN_OVER, RunState

SLOW_FACTOR = 2
SLOW_LEAST = timedelta(minutes=1)  # beyond the usual; twice of very little is little
LOOKS_BACK = timedelta(days=1)
MOST_RUNNING = 500
Message = tuple[str, dict[str, object]]


def note_runs(run_ids: Iterable[int]) -> int:
    """Write the messages about the starts and ends of these runs that nobody has seen yet; how many events were new."""
    if not (channels := _channels()):
        return 0
    rows = Run.objects.filter(pk__in=list(run_ids), started_at__isnull=False) | Run.objects.filter(
        pk__in=list(run_ids), state__in=RUN_OVER
    )
    seen = set(Event.objects.filter(run__in=list(run_ids)).values_list("key", flat=True))
    new = 0
    # Who tries a script watches it; nobody else has to know.
    for run in rows.exclude(trigger=Trigger.TEST).select_related("flow").order_by("pk"):
        if run.started_at is not None and f"start {run.pk}" not in seen:
            new += _note(f"start {run.pk}", channels, [EventKind.START], run.started_at, run)
        if run.is_over and f"end {run.pk}" not in seen:
            assert run.ended_at is not None
            kinds, in_a_row = _of_end(run)
            new += _note(f"end {run.pk}", channels, kinds, run.ended_at, run, in_a_row)
    return new


def _of_end(run: Run) -> tuple[list[EventKind], int]:
    """What the end of a run is, the most telling first, and how many failures in a row it makes."""
    if run.state == RunState.CANCELLED:
        return [], 0
    earlier = Run.objects.filter(flow=run.flow_id, pk__lt=run.pk, state__in=[RunState.SUCCEEDED, RunState.FAILED])
    if run.flow_id is None:
        earlier = earlier.none()
    latest = earlier.order_by("-pk").first()
    if run.state == RunState.SUCCEEDED:
        again = latest is not None and latest.state == RunState.FAILED
        return [EventKind.RECOVERED, EventKind.SUCCESS] if again else [EventKind.SUCCESS], 0
    success = earlier.filter(state=RunState.SUCCEEDED).order_by("-pk").values_list("pk", flat=True).first() or 0
    in_a_row = earlier.filter(pk__gt=success).count() + 1
    return [EventKind.REPEATED, EventKind.FIRST, EventKind.FAILURE], in_a_row


def note_slow(now: datetime | None = None) -> int:
    """Write the messages about runs that go on for longer than twice their usual time; how many were new."""
    if not (channels := _channels()):
        return 0
    at = now or timezone.now()
    noted = Event.objects.filter(run=OuterRef("pk"), key__startswith="slow ")
    going = Run.objects.filter(~Exists(noted), state=RunState.RUNNING, started_at__lt=at - SLOW_LEAST, retry_of=None)
    new = 0
    for run in going.select_related("flow").order_by("pk")[:MOST_RUNNING]:
        usual = usual_duration(run)
        assert run.started_at is not None
        if usual is not None and at - run.started_at > max(usual * SLOW_FACTOR, usual + SLOW_LEAST):
            new += _note(f"slow {run.pk}", channels, [EventKind.SLOW], at, run)
    return new


def note_late(now: datetime | None = None) -> int:
    """Write the messages about due times that passed NOTIFY_LATE_S ago without a started run; how many were new."""
    if not (channels := _channels()):
        return 0
    at = now or timezone.now()
    limit = at - timedelta(seconds=settings.NOTIFY_LATE_S)
    late: list[tuple[Flow, datetime, str]] = []
    flows = Flow.objects.filter(paused=False).exclude(cron="").select_related("environment__project")
    for flow in flows.filter(decided_until__isnull=False):
        due = first_undecided(flow)
        if due + flow.delay <= limit:
            late.append((flow, due, "No scheduler has checked it."))
    since = max(at - LOOKS_BACK, min(channel.since for channel in channels))
    ticks = Tick.objects.filter(due_at__gt=since, due_at__lte=limit).exclude(cause=Tick.Cause.FLOW)
    lost = [Tick.Outcome.PLANNED, Tick.Outcome.WAITS, Tick.Outcome.MISSED, Tick.Outcome.REFUSED]
    waits = Run.objects.filter(tick=OuterRef("pk"), state=RunState.QUEUED)
    unstarted = ticks.filter(outcome__in=lost) | ticks.filter(Exists(waits), outcome=Tick.Outcome.RUN)
    for tick in unstarted.select_related("flow__environment__project").order_by("due_at"):
        if tick.due_at + tick.flow.delay <= limit:
            reason = tick.reason if tick.outcome != Tick.Outcome.RUN else "Its run is waiting for a worker."
            late.append((tick.flow, tick.due_at, reason or f"It {tick.get_outcome_display()}."))
    keys = {f"late {flow.pk} {due.timestamp():.6f}": (flow, due, reason) for flow, due, reason in late}
    seen = set(Event.objects.filter(key__in=list(keys)).values_list("key", flat=True))
    return sum(
        _note(key, channels, [EventKind.LATE], due, flow=flow, said=reason)
        for key, (flow, due, reason) in keys.items()
        if key not in seen
    )


def _channels() -> list[Channel]:
    return list(Channel.objects.filter(enabled=True))


def _note(
    key: str,
    channels: list[Channel],
    kinds: list[EventKind],
    at: datetime,
    run: Run | None = None,
    in_a_row: int = 0,
    *,
    flow: Flow | None = None,
    said: str = "",
) -> bool:
    """Write the event and its deliveries, at most one a channel; whether this call did.

    In: `kinds`, what the event is, the most telling first: a channel gets the first of them that it asks for.
    """
    about = run.flow if run is not None else flow
    subscriptions = [(channel, kind) for channel in channels if (kind := _wanted(channel, kinds, at, about, in_a_row))]
    by_kind: dict[EventKind, Message] = {}
    for kind in {kind for _, kind in subscriptions}:
        if run is not None:
            by_kind[kind] = messages.of_run(run, kind, in_a_row)
        elif flow is not None:
            by_kind[kind] = messages.of_late(flow, at, said)
    muted = run is not None and run.state == RunState.FAILED and _is_muted(run)
    with transaction.atomic():
        _, new = Event.objects.get_or_create(key=key, defaults={"run": run, "at": at})
        if not new:
            return False
        for channel, kind in subscriptions:
            subject, body = by_kind[kind]
            delivery = Delivery.objects.create(
                channel=channel,
                run=run,
                event=kind,
                key=f"{channel.pk} {key}",
                subject=subject,
                body=body,
                status=Delivery.Status.MUTED if muted else Delivery.Status.WAITING,
                next_at=None if muted else timezone.now(),
            )
            if not muted:
                dispatch.message(delivery.pk)
    return True


def _wanted(
    channel: Channel, kinds: list[EventKind], at: datetime, flow: Flow | None, in_a_row: int
) -> EventKind | None:
    """The first of these that the channel asks for, about this flow."""
    if at < channel.since or (channel.flow_id is not None and (flow is None or flow.pk != channel.flow_id)):
        return None
    if channel.tags and not set(channel.tags) & set(flow.tags if flow else ()):
        return None
    for kind in kinds:
        number = {EventKind.FIRST: 1, EventKind.REPEATED: channel.nth}.get(kind, in_a_row)
        if kind in channel.events and number == in_a_row:
            return kind
    return None


def _is_muted(run: Run) -> bool:
    """Whether everything that failed in the run is a failure that somebody muted."""
    groups = [row.group for row in Failure.objects.filter(task_run__run=run).select_related("group")]
    return bool(groups) and all(group.is_muted for group in groups)
