"""Looks at every run that moved lately: records what failed, and writes messages. Any process may call.

Runs that moved are found by their Transition rows. A row may be committed after one with a higher number, so
the last minutes are looked at again each time; what has been seen costs nothing then.
"""

import logging
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from runs.alerts.events import note_late, note_runs, note_slow
from runs.alerts.failure_groups.record import record_failures
from runs.alerts.sending import ring_due
from runs.models import Heartbeat, Transition
from runs.states import RunState

log = logging.getLogger("dex.notify")
WATCHED = "watched"
AGAIN = timedelta(minutes=10)
AT_FIRST = timedelta(days=1)
CHUNK = 200
_MOVES = [RunState.RUNNING, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED]


def announce(run_id: int) -> None:
    """A run has started or ended: record what failed in it, then write its messages, which name what is known of it."""
    record_failures([run_id])
    note_runs([run_id])


def watch() -> None:
    """One round over everything that may have been missed."""
    look_again()
    note_late()
    note_slow()
    ring_due()


def look_again() -> int:
    """Announce runs that moved since the last round and in the ten minutes before it; how many were looked at."""
    now = timezone.now()
    row = Heartbeat.objects.filter(pk=WATCHED).first()
    moves = Transition.objects.filter(task_run__isnull=True, new__in=_MOVES)
    moves = moves.filter(pk__gt=int(row.detail.get("seen", 0))) if row else moves.filter(at__gt=now - AT_FIRST)
    settled = Transition.objects.filter(Q(at__lte=now - AGAIN), pk__gt=int(row.detail.get("seen", 0)) if row else 0)
    seen = settled.order_by("-pk").values_list("pk", flat=True).first()
    runs = sorted(set(moves.order_by().values_list("run_id", flat=True)))
    for start in range(0, len(runs), CHUNK):
        chunk = runs[start : start + CHUNK]
        record_failures(chunk)
        note_runs(chunk)
    if seen is not None or row is None:  # only now: who dies before looks at the same runs again
        Heartbeat.objects.update_or_create(pk=WATCHED, defaults={"at": now, "detail": {"seen": seen or 0}})
    return len(runs)
