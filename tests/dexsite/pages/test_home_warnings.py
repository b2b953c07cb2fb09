"""Home says when flows do not start: because nobody looks at them, because they are late, or because they could not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from flows.models import Flow, Tick
from runs import jobs
from runs.models import Heartbeat
from runs.operations import heartbeats
from runs.scheduling.planned import plan_start
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db
SILENT = "No heartbeat"


def minutes_ago(minutes):
    return timezone.now() - timedelta(minutes=minutes)


def home():
    number = Flow.objects.count()
    return Person(f"ann {number} {timezone.now().timestamp()}", "everything").open("/").html


def hourly(**fields):
    return sample_flow(fields.pop("name", "Hourly"), cron="0 * * * *", decided_until=timezone.now(), **fields)


def test_home_warns_when_nobody_has_looked_for_two_minutes_and_something_waits():
    hourly()
    assert f"{SILENT} yet" in home()
    Heartbeat.objects.create(pk="sweep", at=minutes_ago(1))
    assert SILENT not in home()
    Heartbeat.objects.update(at=minutes_ago(2.1))
    said = home()
    assert f"{SILENT} since" in said and "manage.py up" in said


def test_home_is_calm_when_nothing_would_start_by_itself():
    sample_flow("By hand")
    hourly(name="Paused", paused=True)
    assert SILENT not in home()
    plan_start(Flow.objects.get(name="By hand"), timezone.now() + timedelta(hours=1))
    assert SILENT in home()


def test_with_servers_it_says_whether_workers_or_beat_are_silent(settings):
    settings.EMBEDDED = False
    hourly()
    Heartbeat.objects.create(pk="sweep", at=minutes_ago(0))
    assert "Beat has sent nothing yet" in home() and SILENT not in home()
    jobs.sweep()
    assert "Beat has sent nothing" not in home()
    Heartbeat.objects.filter(pk="sweep").update(at=minutes_ago(9))
    assert "celery -A dexsite worker" in home()


def test_home_names_the_schedules_that_nobody_looked_at():
    late, paused = hourly(name="Late"), hourly(name="Paused", paused=True)
    Flow.objects.update(decided_until=minutes_ago(180))
    Heartbeat.objects.create(pk="sweep", at=timezone.now())
    said = home()
    assert (
        f"/flows/{late.pk}/due/" in said
        and f"/flows/{paused.pk}/due/" not in said
        and "no scheduler has checked it" in said
    )


def test_home_names_what_was_missed_or_refused_in_the_last_day():
    missed, refused, fine = (sample_flow(name) for name in ("Missed", "Refused", "Fine"))
    for hours in (1, 2, 30):
        Tick.objects.create(flow=missed, due_at=minutes_ago(60 * hours), outcome="missed")
    Tick.objects.create(flow=refused, due_at=minutes_ago(5), outcome="refused", reason="day is missing")
    Tick.objects.create(flow=fine, due_at=minutes_ago(5), outcome="paused")
    said = home()
    assert "2 due times missed in the last 24 hours" in said and "1 start refused in the last 24 hours" in said
    assert "Fine" not in said


def test_a_worker_shows_that_it_lives_and_says_farewell():
    heartbeats.worker_lives("w1", "host")
    heartbeats.worker_lives("w2", "host")
    assert [row.pk for row in heartbeats.health().alive] == ["worker:w1", "worker:w2"]
    heartbeats.worker_left("w1")
    Heartbeat.objects.filter(pk="worker:w2").update(at=minutes_ago(90))
    assert heartbeats.health().alive == []
    heartbeats.worker_lives("w3", "host")
    assert [row.pk for row in heartbeats.health().workers] == ["worker:w3"]
