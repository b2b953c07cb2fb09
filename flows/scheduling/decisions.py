"""What becomes of due times, decided as data: which of them start a run, and why the others do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from flows.models import Flow, Tick
from flows.scheduling.cron import CronError, due_times_between

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
    due_times: Sequence[datetime], *, more: bool, now: datetime, grace: timedelta, missed: str, paused: bool
) -> list[Decision]:
    """Decide due times that lie in the past.

    In: `due_times`, oldest first; `more`, that further ones are due after them; `grace`, how late a due time may be
    looked at and still count as on time; the flow's policy for missed ones. Out: one decision each, in the same order.
    """
    if paused:
        return [Decision(due_time, False, Tick.Outcome.PAUSED) for due_time in due_times]
    on_time = {due_time for due_time in due_times if now - due_time <= grace}
    if missed == Flow.Missed.ALL:
        starting = set(due_times[-MOST_AT_ONCE:]) | on_time if not more else set()
        why = f"more than {MOST_AT_ONCE} due times were missed; only the latest {MOST_AT_ONCE} ran"
    elif missed == Flow.Missed.SKIP:
        starting = {max(on_time)} if on_time else set()
        why = "dex was not running, and missed runs are skipped"
    else:
        starting = set() if more else set(due_times[-1:])
        why = "dex was not running; a later due time ran instead"
    return [
        Decision(due_time, True) if due_time in starting else Decision(due_time, False, Tick.Outcome.MISSED, why)
        for due_time in due_times
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
        reason = "the schedule was changed before this due time was handled"
        more = True
        while more:
            try:
                due_times, more = due_times_between(schedule["cron"], schedule["time_zone"], until, now, BATCH)
            except CronError:
                break
            rows = [Tick(flow=flow, due_at=due_time, outcome=outcome, reason=reason) for due_time in due_times]
            Tick.objects.bulk_create(rows, ignore_conflicts=True)
            until = due_times[-1] if due_times else now
    Flow.objects.filter(pk=flow.pk).update(decided_until=now)
