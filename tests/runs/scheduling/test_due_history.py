"""The checker computes every due time anew from the record of changes, and finds what is missing or made up (I10)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from flows.models import Tick
from nodes.services import pause_flow, save_flow
from runs.models import Heartbeat
from runs.operations.invariants import due_times_have_outcomes
from runs.scheduling.ticking import tick_all
from tests.helpers.pages import sample_flow

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, 1, 30, tzinfo=UTC)


def found():
    return [violation.message for violation in due_times_have_outcomes(None)]


@pytest.fixture
def past(settings, monkeypatch):
    """A flow whose schedule was set, changed and paused in the past; every due time was looked at."""
    settings.TICK_GRACE_S = 3600

    def clock(hours):
        at = START + timedelta(hours=hours)
        monkeypatch.setattr(timezone, "now", lambda: at)
        return at

    clock(-0.5)
    flow = sample_flow("Hourly", overlap="allow")
    flow.cron = "0 * * * *"
    save_flow(flow)
    tick_all(clock(5.1))
    clock(5.2)
    flow.cron, flow.time_zone = "*/30 * * * *", "Asia/Kolkata"
    save_flow(flow)
    tick_all(clock(8))
    clock(8.1)
    pause_flow(flow, True)
    tick_all(clock(9))
    clock(10.4)
    pause_flow(flow, False)
    for hour in range(11, 20):
        tick_all(clock(hour + 0.01))
    flow.refresh_from_db()
    return flow


def test_a_history_in_which_every_due_time_was_looked_at_is_consistent(past):
    assert past.ticks.count() > 20 and found() == []
    assert past.ticks.filter(outcome="paused").exists()


def test_a_lost_due_time_an_invented_one_and_a_start_without_a_run_are_found(past):
    rows = list(past.ticks.order_by("due_at"))
    lost, bare = rows[0], next(row for row in rows[2:] if row.outcome == "run")
    lost.delete()
    Tick.objects.create(flow=past, due_at=START + timedelta(hours=3, minutes=7), outcome="missed")
    bare.runs.update(tick=None)
    said = found()
    assert len(said) == 3
    assert "2026-03-01 02:00 UTC, and nothing is recorded" in said[0]
    assert "was not due at 2026-03-01 04:37 UTC" in said[1]
    assert "there is none" in said[2]


def test_the_checker_does_not_miss_due_times_that_were_pruned(past):
    cut = past.ticks.order_by("due_at")[6].due_at
    past.ticks.filter(due_at__lte=cut).delete()
    assert found()
    Heartbeat.objects.create(pk="pruned", at=cut, detail={"until": cut.isoformat()})
    assert found() == []
