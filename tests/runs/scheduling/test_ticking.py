"""Flows start when they are due: once each, whatever dies, is late, doubled, paused or edited meanwhile."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from flows.models import Flow
from flows.scheduling import beat
from flows.scheduling.decisions import MOST_AT_ONCE
from nodes.services import delete_flow, pause_flow, restore_flow, save_flow
from runs import jobs
from runs.models import Run, Trigger
from runs.operations.maintenance import Housekeeping
from runs.scheduling.ticking import tick_all
from runs.services import start_run
from runs.states import RunState
from runs.transitions import move_run
from tests.helpers.pages import Person, sample_flow
from tests.helpers.waiting import patience

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)


def flow_of(cron="0 * * * *", **fields):
    return sample_flow(fields.pop("name", "Hourly"), cron=cron, decided_until=START, **fields)


def at(hours=0.0, **more):
    return START + timedelta(hours=hours, **more)


def outcomes(flow):
    return [(row.due_at.strftime("%d %H:%M"), row.outcome) for row in flow.ticks.order_by("due_at")]


def end(run, state=RunState.FAILED):
    move_run(run.pk, RunState.QUEUED, state, actor="test", reason="over")


def end_all():
    for run in Run.objects.filter(state=RunState.QUEUED):
        end(run)


def test_a_due_time_starts_one_run_and_is_recorded():
    flow = flow_of()
    assert tick_all(at(0.4)) == 0 and not Run.objects.exists()
    assert tick_all(at(0.51)) == 1
    run = Run.objects.get()
    assert (run.trigger, run.tick.due_at, run.triggered_by) == (Trigger.SCHEDULE, at(0.5), None)
    assert outcomes(flow) == [("22 02:00", "run")]
    assert tick_all(at(0.6)) == 0 and Run.objects.count() == 1


def test_a_schedule_counts_from_when_it_is_set_and_no_edit_starts_a_run():
    flow = sample_flow("New")
    flow.cron = "* * * * *"
    save_flow(flow)
    assert tick_all() == 0
    Flow.objects.update(decided_until=START)
    flow.refresh_from_db()
    flow.cron = "*/2 * * * *"
    save_flow(flow)
    assert tick_all() == 0 and not Run.objects.exists()
    restore_flow(flow, flow.version - 1)
    assert tick_all() == 0 and not Run.objects.exists()


def test_due_times_during_an_outage_are_recorded_as_missed_even_if_the_schedule_changed():
    flow = flow_of()
    flow.cron = "30 * * * *"
    save_flow(flow)
    assert {row.outcome for row in flow.ticks.all()} == {"missed"} and not Run.objects.exists()


def test_saving_other_settings_with_an_old_form_does_not_turn_the_clock_back():
    flow = flow_of()
    stale = Flow.objects.get()
    tick_all(at(0.51))
    stale.description = "new words"
    save_flow(stale)
    assert tick_all(at(0.52)) == 0 and Run.objects.count() == 1
    flow.refresh_from_db()
    assert flow.decided_until == at(0.5)


@pytest.mark.parametrize(
    ("missed", "wanted"),
    [
        ("latest", [("22 02:00", "missed"), ("22 03:00", "missed"), ("22 04:00", "run")]),
        ("all", [("22 02:00", "run"), ("22 03:00", "waits"), ("22 04:00", "waits")]),
        ("skip", [("22 02:00", "missed"), ("22 03:00", "missed"), ("22 04:00", "missed")]),
    ],
)
def test_after_an_outage_the_policy_decides(missed, wanted):
    flow = flow_of(missed=missed)
    tick_all(at(2.9))
    assert outcomes(flow) == wanted


def test_on_time_is_on_time_whatever_the_policy_for_missed_runs():
    flow = flow_of(missed="skip")
    tick_all(at(2.5, minutes=4))
    assert outcomes(flow)[-1] == ("22 04:00", "run")


def test_run_all_works_them_off_one_after_the_other_in_order():
    flow = flow_of(missed="all")
    tick_all(at(2.9))
    for count in (1, 2, 3):
        assert Run.objects.count() == count
        end_all()
        tick_all(at(2.95))
    assert [run.tick.due_at.hour for run in Run.objects.order_by("pk")] == [2, 3, 4]
    assert {row.outcome for row in flow.ticks.all()} == {"run"}


def test_run_all_has_a_limit_and_says_so():
    flow = flow_of("* * * * *", missed="all")
    tick_all(at(2))
    missed = flow.ticks.filter(outcome="missed")
    assert missed.count() == 120 - MOST_AT_ONCE and str(MOST_AT_ONCE) in missed.first().reason


@pytest.mark.parametrize(
    ("overlap", "second", "runs"),
    [("skip", "skipped", 1), ("queue", "waits", 1), ("allow", "run", 2), ("cancel", "run", 2)],
)
def test_while_a_run_goes_on_the_policy_decides(overlap, second, runs):
    flow = flow_of(overlap=overlap)
    tick_all(at(0.51))
    tick_all(at(1.51))
    assert outcomes(flow) == [("22 02:00", "run"), ("22 03:00", second)]
    assert Run.objects.count() == runs
    first = Run.objects.order_by("pk").first()
    assert (first.state == RunState.CANCELLED) == (overlap == "cancel")


def test_only_one_waits_and_it_starts_when_the_earlier_run_is_over():
    flow = flow_of(overlap="queue")
    for hours in (0.51, 1.51, 2.51):
        tick_all(at(hours))
    assert [outcome for _, outcome in outcomes(flow)] == ["run", "skipped", "waits"]
    end_all()
    tick_all(at(2.6))
    assert [outcome for _, outcome in outcomes(flow)] == ["run", "skipped", "run"] and Run.objects.count() == 2


def test_a_paused_schedule_starts_nothing_and_every_due_time_says_so():
    flow = flow_of()
    Flow.objects.update(paused=True)
    tick_all(at(1.6))
    assert outcomes(flow) == [("22 02:00", "paused"), ("22 03:00", "paused")] and not Run.objects.exists()
    flow.refresh_from_db()
    pause_flow(flow, False)
    assert tick_all() == 0 and not Run.objects.exists()


def test_a_flow_that_needs_a_value_which_nobody_gives_is_refused_with_the_reason():
    flow = flow_of(parameters=[{"name": "day", "type": "date", "required": True}])
    tick_all(at(0.51))
    assert flow.ticks.get().outcome == "refused" and "day" in flow.ticks.get().reason and not Run.objects.exists()


def test_one_broken_schedule_does_not_hold_up_the_others():
    flow_of("61 * * * *", name="Broken")
    flow_of(name="Fine")
    tick_all(at(0.51))
    assert Run.objects.get().flow.name == "Fine"


def test_a_long_outage_of_a_flow_that_runs_every_minute_is_worked_off_in_rounds():
    flow = flow_of("* * * * *")
    decided = 0
    while done := tick_all(START + timedelta(days=2)):
        decided += done
    assert decided == 2880 == flow.ticks.count()
    assert Run.objects.get().tick.due_at == START + timedelta(days=2)


def test_the_clock_turned_back_and_forth_fires_nothing_twice():
    flow = flow_of()
    for hours in (3.1, 1.1, 3.2, 0.6, 27.1, 3.1):
        tick_all(at(hours))
        end_all()
    due = list(flow.ticks.values_list("due_at", flat=True))
    assert len(due) == len(set(due)) == 27
    assert Run.objects.count() == len(set(Run.objects.values_list("tick", flat=True)))


@pytest.mark.django_db(transaction=True)
def test_beat_and_the_engine_start_a_flow_when_its_minute_comes(engine):
    flow = sample_flow("Each minute", cron="* * * * *")
    Flow.objects.update(decided_until=datetime.now(UTC) - timedelta(minutes=1, seconds=30))
    for _ in range(200):
        if Run.objects.filter(flow=flow).exists():
            break
        threading.Event().wait(0.1)
    run = Run.objects.filter(flow=flow).first()
    assert run is not None and run.trigger == Trigger.SCHEDULE and run.tick.outcome == "run"


def test_a_manual_run_is_no_tick():
    flow = flow_of()
    assert start_run(flow, trigger=Trigger.MANUAL, actor="ada").tick is None


def test_the_page_of_due_times_says_what_became_of_each():
    flow = flow_of(overlap="skip")
    tick_all(at(0.51))
    tick_all(at(1.51))
    page = Person("vera", "flows.view_flow", "runs.view_run").open(f"/flows/{flow.pk}/due/")
    assert page.status == 200 and "A run was started" in page.html and "was still running" in page.html
    assert f"/runs/{Run.objects.get().pk}/" in page.links


def beat_tasks():
    rows = PeriodicTask.objects.filter(name__startswith="flow:").select_related("crontab")
    return [(row.name, row.args, str(row.crontab.timezone), row.enabled) for row in rows]


def test_rows_that_two_processes_created_at_once_stop_neither_workers_nor_editors():
    """django-celery-beat lets two equal schedules be; with get_or_create no worker would start after that."""
    flow = sample_flow("Nightly")
    flow.cron = "0 2 * * *"
    save_flow(flow)
    beat.ensure_sweeper()
    for row in (CrontabSchedule.objects.get(), IntervalSchedule.objects.get()):
        row.pk = None
        row.save()
    beat.ensure_sweeper()
    other = sample_flow("Nightly too")
    other.cron = "0 2 * * *"
    save_flow(other)
    assert [row.task for row in PeriodicTask.objects.filter(name="dex:sweep")] == ["dex.sweep"] and len(
        beat_tasks()
    ) == 2


def test_a_worker_that_begins_while_the_database_is_away_has_beat_ring_as_soon_as_it_is_back(settings, monkeypatch):
    settings.SWEEP_S = 0.01
    answers = iter([OperationalError("the server closed the connection")])
    dispatched = threading.Event()

    def ensure():
        for error in answers:
            raise error
        dispatched.set()

    monkeypatch.setattr(beat, "ensure_sweeper", ensure)
    for name in ("rounds.sweep", "heartbeats.worker_lives", "heartbeats.worker_left", "close_old_connections"):
        monkeypatch.setattr(f"runs.operations.maintenance.{name}", lambda *_: None)
    thread = Housekeeping()
    thread.start()
    assert dispatched.wait(patience(10))
    thread.stop()
    thread.join(10)


def test_beat_has_one_bell_a_flow_and_it_follows_the_schedule():
    flow = sample_flow("Nightly")
    assert beat_tasks() == []
    flow.cron, flow.time_zone = "0 2 * * *", "Europe/Berlin"
    save_flow(flow)
    assert beat_tasks() == [(f"flow:{flow.pk}", f"[{flow.pk}]", "Europe/Berlin", True)]
    pause_flow(flow, True)
    assert beat_tasks()[0][3] is False
    flow.refresh_from_db()
    flow.cron = "0 2 L * *"  # beat does not know it; the sweeper does
    save_flow(flow)
    assert beat_tasks() == []
    flow.cron, flow.paused = "0 3 * * mon-fri", False
    save_flow(flow)
    assert len(beat_tasks()) == 1
    delete_flow(flow)
    assert beat_tasks() == []


def test_the_bell_rings_for_what_is_due_and_only_for_that():
    flow = flow_of()
    Flow.objects.update(decided_until=datetime.now(UTC) - timedelta(hours=1, minutes=1))
    jobs.tick(flow.pk)
    jobs.tick(flow.pk)
    jobs.tick(flow.pk + 1)
    assert Run.objects.count() == 1
