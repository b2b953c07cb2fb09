"""When a flow starts next: every page, the API and the alerts say the same moment."""

from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from flows.infra.times import instant
from flows.models import Tick
from runs.alerts.messages import of_late
from runs.api.representation import whole_flow
from runs.scheduling.upcoming import next_start, next_starts_of
from runs.services import start_run
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db


@pytest.fixture
def spread():
    """A flow that starts some minutes after its due times: its own moment within an hour."""
    flow = sample_flow("Daily shop")
    flow.cron, flow.time_zone, flow.spread = "0 3 * * *", "UTC", 60
    flow.save()
    assert flow.delay
    return flow


def test_pages_api_and_alerts_agree_on_the_next_start(spread):
    start = next_start(spread)
    assert (start.hour, start.minute) == divmod(180 + int(spread.delay.total_seconds() // 60), 60)
    start_run(spread, trigger="manual", actor="ada")  # Home shows what comes once something has run
    ada = Person("ada", "everything")
    shown = instant(start)[:19]
    for page in ("/", "/flows/", f"/flows/{spread.pk}/due/"):
        assert shown in ada.open(page).html, page
    request = RequestFactory().get("/")
    assert whole_flow(request.build_absolute_uri, spread, None)["next_starts"][0] == instant(start)
    _, told = of_late(spread, timezone.now() - timedelta(hours=1), "")
    assert told["next_start"] == instant(start)


def test_a_planned_start_comes_before_a_later_one_of_the_schedule(spread):
    soon = timezone.now() + timedelta(seconds=30)
    Tick.objects.create(flow=spread, due_at=soon, cause=Tick.Cause.ONCE, outcome=Tick.Outcome.PLANNED, planned_by="ada")
    assert [start.planned_by for start in next_starts_of(spread, 3)] == ["ada", "", ""]
    assert instant(soon)[:19] in Person("ada", "everything").open("/flows/").html


def test_a_paused_flow_and_one_without_a_schedule_start_never(spread):
    spread.paused = True
    assert next_start(spread) is None
    assert next_start(sample_flow("By hand")) is None
