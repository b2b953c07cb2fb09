"""What becomes of due times, decided as data: which of them start a run, and why the others do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from flows.models import Flow, Tick
from flows.scheduling.cron import CronError, due_slots

BATCH = 1000  # due times looked at in one round; the next round goes on
MOST_AT_ONCE = 24  # runs that the policy "run once for each" starts after an outage


@dataclass(frozen=True)
class Decision:
    """What a due time comes to. `starts`: a run is wanted, unless an earlier one is in the way."""

    due_at: datetime
    starts: bool
    outcome: str = Tick.Outcome.RUN
    reason: str = ""


def decide(
    slots: Sequence[datetime], *, more: bool, now: datetime, grace: timedelta, missed: str, paused: bool
) -> list[Decision]:
    """Decide due times that lie in the past.

    In: `slots`, oldest first; `more`, that further ones are due after them; `grace`, how late a due time may be
    looked at and still count as on time; the flow's policy for missed ones. Out: one decision each, in the same order.
    """
    if paused:
        return [Decision(slot, False, Tick.Outcome.PAUSED) for slot in slots]
    on_time = {slot for slot in slots if now - slot <= grace}
    if missed == Flow.Missed.ALL:
        wanted = set(slots[-MOST_AT_ONCE:]) | on_time if not more else set()
        why = f"more than {MOST_AT_ONCE} due times were missed; the latest {MOST_AT_ONCE} ran"
    elif missed == Flow.Missed.SKIP:
        wanted = {max(on_time)} if on_time else set()
        why = "dex was not there, and missed runs are left out"
    else:
        wanted = set() if more else set(slots[-1:])
        why = "dex was not there; a later due time ran in its place"
    return [
        Decision(slot, True) if slot in wanted else Decision(slot, False, Tick.Outcome.MISSED, why) for slot in slots
    ]


def close_schedule(flow: Flow, schedule: dict[str, Any] | None) -> None:
    """A schedule was changed, paused or resumed: due times of the old one that nobody has looked at are recorded.

    From now on the new one counts, so that no edit ever starts a run by itself. In: the flow as it is now, and the
    schedule that it had ("cron", "time_zone", "paused"), None for a new flow.
    """
    now = timezone.now()
    until = Flow.objects.values_list("decided_until", flat=True).get(pk=flow.pk)
    if schedule and schedule["cron"] and until is not None:
        outcome = Tick.Outcome.PAUSED if schedule["paused"] else Tick.Outcome.MISSED
        reason = "the schedule was changed before this was looked at"
        more = True
        while more:
            try:
                slots, more = due_slots(schedule["cron"], schedule["time_zone"], until, now, BATCH)
            except CronError:
                break
            rows = [Tick(flow=flow, due_at=slot, outcome=outcome, reason=reason) for slot in slots]
            Tick.objects.bulk_create(rows, ignore_conflicts=True)
            until = slots[-1] if slots else now
    Flow.objects.filter(pk=flow.pk).update(decided_until=now)
