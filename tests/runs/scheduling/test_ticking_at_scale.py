"""Many flows, many schedulers, long outages: every due time is recorded once, and exactly the wanted runs are there.

DEX_TEST_SCALE=5 makes the race of four schedulers five times as long: 2,000 due times, as long as it takes.
"""

import os
import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections
from django.test import Client

from flows.models import Flow, Tick
from flows.scheduling.cron import due_times_between
from runs.models import Run
from runs.scheduling.ticking import tick, tick_all
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.exhaustive

START = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
SCALE = int(os.environ.get("DEX_TEST_SCALE", "1"))
GRACE = timedelta(seconds=300)
OUTAGES = [timedelta(minutes=5, seconds=1), timedelta(hours=1), timedelta(hours=3), timedelta(days=3)]


def flows_of(count, **fields):
    first = sample_flow("flow 0", decided_until=START, **fields)
    rest = [
        Flow(name=f"flow {n}", environment=first.environment, decided_until=START, **fields) for n in range(1, count)
    ]
    return [first, *Flow.objects.bulk_create(rest)]


def together(count, work):
    errors = []

    def one(number):
        try:
            work(number)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.django_db(transaction=True)
def test_four_schedulers_at_once_start_one_run_a_due_time():
    due = 400 * SCALE
    flows = flows_of(20, cron="* * * * *", overlap="allow")

    def schedule(number):
        chosen = random.Random(number)
        for minute in range(1, due // 20 + 1):
            order = flows[:]
            chosen.shuffle(order)
            for flow in order:
                tick(flow.pk, START + timedelta(minutes=minute))

    together(4, schedule)
    assert Tick.objects.filter(outcome="run").count() == Tick.objects.count() == Run.objects.count() == due
    assert Run.objects.values("tick").distinct().count() == due


def model(due_times, now, missed):
    """What the policy promises, in the plainest words: the due times at which a run is wanted."""
    fresh = [due_time for due_time in due_times if now - due_time <= GRACE]
    if missed == "latest":
        return due_times[-1:]
    if missed == "skip":
        return fresh[-1:]
    return [due_time for due_time in due_times if due_time in due_times[-24:] or due_time in fresh]


@pytest.mark.django_db
@pytest.mark.parametrize("outage", OUTAGES, ids=str)
@pytest.mark.parametrize("missed", ["latest", "all", "skip", "paused"])
def test_after_every_outage_100_flows_have_what_the_policy_promises(missed, outage):
    chosen = random.Random(f"{missed} {outage}")
    often = [] if outage > timedelta(hours=3) else ["* * * * *", "*/5 * * * *"]
    crons = [*often, "0 * * * *", "30 */2 * * *", "0 2 * * *", "15 4 * * 1", "*/20 9-17 * * *"]
    policy = {"paused": True} if missed == "paused" else {"missed": missed}
    flows = flows_of(100, overlap="allow", **policy)
    for flow in flows:
        flow.cron = chosen.choice(crons)
        flow.decided_until = START + timedelta(minutes=chosen.randrange(60))
    Flow.objects.bulk_update(flows, ["cron", "decided_until"])
    now = START + timedelta(hours=1) + outage
    while tick_all(now):
        pass
    wrong = []
    for flow in flows:
        due_times, _ = due_times_between(flow.cron, "UTC", flow.decided_until, now, 10**6)
        wanted = [] if missed == "paused" else model(due_times, now, missed)
        ticks = dict(flow.ticks.values_list("due_at", "outcome"))
        if sorted(ticks) != due_times or [at for at in sorted(ticks) if ticks[at] == "run"] != wanted:
            wrong.append(flow.name)
    assert wrong == []
    assert Run.objects.count() == Tick.objects.filter(outcome="run").count()


@pytest.mark.django_db
@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1)])
def test_a_clock_that_jumps_there_and_back_fires_nothing_twice(jump):
    flows = flows_of(20, cron="*/10 * * * *", overlap="allow")
    for now in (0, 1, 2, 3, 1, 0, 2, 4):
        tick_all(START + jump * now)
        tick_all(START + jump * now - jump / 2)
    assert Run.objects.count() == Run.objects.values("tick").distinct().count()
    due = list(flows[0].ticks.values_list("due_at", flat=True))
    assert len(due) == len(set(due)) == (jump * 4) // timedelta(minutes=10)


@pytest.mark.django_db(transaction=True)
def test_fifty_clicks_on_run_now_with_the_same_form_start_one_run():
    flow = sample_flow("Clicked")
    person = Person("ada", "everything")
    page = person.open("/flows/")
    (form,) = [form for form in page.forms if form.action == f"/flows/{flow.pk}/run/"]
    cookies = {name: morsel.value for name, morsel in person.client.cookies.items()}

    def click(_):
        client = Client(enforce_csrf_checks=True)
        for name, value in cookies.items():
            client.cookies[name] = value
        data = {name: values[0] for name, values in form.fields.items()}
        assert client.post(form.action, data).status_code == 302

    together(50, click)
    assert Run.objects.count() == 1
    person.post(person.open("/flows/"), next(f for f in person.open("/flows/").forms if f.action == form.action), {})
    assert Run.objects.count() == 2
