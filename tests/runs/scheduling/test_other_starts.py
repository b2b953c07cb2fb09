"""Flows start when another flow succeeded, at a time that somebody planned, and a little after their due time."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from flows.models import Flow, Follow, Tick
from flows.parameters import ParameterError
from nodes.document import document_of, from_yaml, to_yaml
from nodes.services import delete_flow, import_flow, pause_flow, restore_flow, save_flow
from runs import dispatch
from runs.engine.release import settle
from runs.models import Run, Trigger
from runs.scheduling.following import follow_all
from runs.scheduling.planned import plan_start, withdraw_start
from runs.scheduling.ticking import tick_all
from runs.services import RunError, start_run
from runs.states import RunState
from runs.transitions import move_run
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db


def ends(run, state=RunState.SUCCEEDED):
    move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor="test", reason="")
    assert move_run(run.pk, RunState.RUNNING, state, actor="test", reason="over")


def succeeds(flow):
    run = start_run(flow, trigger=Trigger.MANUAL, actor="ann")
    ends(run)
    return run


@pytest.fixture
def pair():
    load, build = sample_flow("Load"), sample_flow("Build")
    save_flow(build, after=[load])
    return load, build


# --- after another flow ------------------------------------------------------------------------------------
def test_a_flow_starts_once_when_the_flow_before_it_succeeded(pair):
    load, build = pair
    assert follow_all() == 0
    run = succeeds(load)
    assert follow_all() == 1 and follow_all() == 0
    started = build.runs.get()
    assert (started.trigger, started.moved_by) == (Trigger.FLOW, "schedule")
    tick = build.ticks.get()
    assert (tick.cause, tick.outcome, tick.reason) == ("flow", "run", f"after Load #{run.pk}")
    ends(started)
    succeeds(load)
    assert follow_all(load.pk) == 1 and build.runs.count() == 2


def test_a_failed_or_cancelled_flow_is_not_followed(pair):
    load, build = pair
    for state in (RunState.FAILED, RunState.CANCELLED):
        ends(start_run(load, trigger=Trigger.MANUAL, actor="ann"), state)
    assert follow_all() == 0 and not build.runs.exists()


def test_a_flow_after_two_waits_for_both(pair):
    load, build = pair
    other = sample_flow("Rates")
    save_flow(build, after=[load, other])
    succeeds(load)
    succeeds(load)
    assert follow_all() == 0
    succeeds(other)
    assert follow_all() == 1
    ends(build.runs.get())
    succeeds(other)
    assert follow_all() == 0, "Load has not succeeded again since"
    succeeds(load)
    assert follow_all() == 1


def test_runs_that_succeeded_before_a_flow_follows_start_nothing():
    load, build = sample_flow("Load"), sample_flow("Build")
    succeeds(load)
    save_flow(build, after=[load])
    assert follow_all() == 0
    since = Follow.objects.get().since
    save_flow(build, after=[load])
    assert Follow.objects.get().since == since


def test_overlap_and_pause_count_for_followers_too(pair):
    load, build = pair
    succeeds(load)
    follow_all()
    succeeds(load)
    assert follow_all() == 1 and build.runs.count() == 1
    assert [row.outcome for row in build.ticks.all()] == ["skipped", "run"]
    assert "was still running" in build.ticks.first().reason
    ends(build.runs.get())
    pause_flow(build, True)
    succeeds(load)
    follow_all()
    assert build.ticks.first().outcome == "paused" and build.runs.count() == 1


def test_circles_of_flows_are_refused_and_named(pair):
    load, build = pair
    marts = sample_flow("Marts")
    save_flow(marts, after=[build])
    with pytest.raises(ValidationError, match="cycle") as refused:
        save_flow(load, after=[marts])
    for name in ("Load", "Build", "Marts"):
        assert name in str(refused.value)
    assert not load.follows.exists()
    with pytest.raises(ValidationError):
        save_flow(load, after=[load])


def test_the_form_of_settings_refuses_a_circle_where_it_was_typed_and_keeps_the_rest(pair):
    load, build = pair
    ann = Person("ann", "everything")
    page = ann.open(f"/flows/{load.pk}/settings/")
    answer = ann.post(page, page.form("settings"), {"after": str(build.pk), "description": "kept"})
    assert answer.status == 422 and "circle" in answer.html and "Load → Build → Load" in answer.html
    assert "kept" in answer.html
    page = ann.open(f"/flows/{build.pk}/settings/")
    assert page.form("settings").fields["after"] == [str(load.pk)]
    ann.post(page, page.form("settings"), {"after": [], "spread": "10"})
    build.refresh_from_db()
    assert not build.follows.exists() and build.spread == 10
    assert "starts after the flows: Load → nothing" in build.changes.first().details


def test_what_a_flow_follows_is_part_of_export_import_and_history(pair):
    load, build = pair
    text = to_yaml(document_of(build))
    assert "schedule:\n  after:\n    - Load\n" in text
    save_flow(build, after=[])
    import_flow(from_yaml(text))
    assert [row.up.name for row in build.follows.all()] == ["Load"]
    save_flow(build, after=[])
    restore_flow(build, build.changes.order_by("version")[1].version)
    assert [row.up.name for row in build.follows.all()] == ["Load"]
    with pytest.raises(ValidationError, match="There is no flow Loud"):
        import_flow(from_yaml(text.replace("- Load", "- Loud")))
    delete_flow(load)
    assert not build.follows.exists()


def test_a_document_from_before_these_settings_is_read_as_without_them(pair):
    _, build = pair
    old = build.changes.order_by("version").first()
    del old.document["schedule"]["spread"], old.document["schedule"]["after"]
    old.save()
    restore_flow(build, old.version)
    assert not build.follows.exists()
    assert build.changes.first().details == ["starts after the flows: Load → nothing"]


def test_the_end_of_a_run_rings_for_the_flows_after_it(pair, monkeypatch, django_capture_on_commit_callbacks):
    load, _ = pair
    dispatched = []
    monkeypatch.setattr(dispatch, "_send", lambda job, arguments: dispatched.append((job, arguments)))
    run = start_run(load, trigger=Trigger.MANUAL, actor="ann")
    move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor="test", reason="")
    task = run.task_runs.create(
        unique_id="model.a", identifier="a", kind="gate", state="succeeded", ended_at=run.created_at
    )
    with django_capture_on_commit_callbacks(execute=True):
        assert settle(run.pk)
    assert ("follow", [run.pk]) in dispatched and task.pk


@pytest.mark.django_db(transaction=True)
def test_many_schedulers_follow_one_success_once(pair):
    load, build = pair
    succeeds(load)
    gate = threading.Barrier(6)

    def scheduler():
        gate.wait()
        follow_all()
        connection.close()

    threads = [threading.Thread(target=scheduler) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.runs.count() == 1 and build.ticks.count() == 1


# --- planned once ------------------------------------------------------------------------------------------
DECLARED = [{"name": "day", "type": "date", "required": True}]


def test_a_planned_start_comes_at_its_time_with_its_values_and_is_recorded():
    flow = sample_flow("Backfill", parameters=DECLARED)
    at = timezone.now() + timedelta(hours=2)
    tick = plan_start(flow, at, parameters={"day": "2026-01-31"})
    assert (tick.outcome, tick.planned_by) == ("planned", "system")
    assert tick_all(at - timedelta(seconds=1)) == 0 and not Run.objects.exists()
    assert tick_all(at + timedelta(seconds=1)) == 1 and tick_all(at + timedelta(seconds=2)) == 0
    run = Run.objects.get()
    assert (run.trigger, run.tick, run.parameters) == (Trigger.ONCE, tick, {"day": "2026-01-31"})
    tick.refresh_from_db()
    assert tick.outcome == "run"


def test_a_planned_start_replaces_the_due_time_of_the_schedule_it_falls_on():
    start = timezone.now().replace(minute=30, second=0, microsecond=0)
    flow = sample_flow("Hourly", cron="0 * * * *", decided_until=start)
    at = start.astimezone(UTC) + timedelta(hours=1, minutes=30)
    plan_start(flow, at)
    tick_all(at + timedelta(seconds=30))
    assert flow.runs.count() == 1 and flow.ticks.filter(due_at=at).get().cause == "once"


def test_a_planned_start_of_a_paused_flow_is_left_out_and_a_late_one_follows_the_policy():
    paused, late, strict = (sample_flow(name, parameters=[]) for name in ("Paused", "Late", "Strict"))
    Flow.objects.filter(pk=strict.pk).update(missed=Flow.Missed.SKIP)
    at = timezone.now() + timedelta(hours=1)
    for flow in (paused, late, strict):
        plan_start(flow, at)
    pause_flow(paused, True)
    assert tick_all(at + timedelta(days=2)) == 3
    found = {row.flow.name: row.outcome for row in Tick.objects.select_related("flow")}
    assert found == {"Paused": "paused", "Late": "run", "Strict": "missed"}


@pytest.mark.parametrize(
    ("after", "said"), [(-1, "has passed"), (367 * 24 * 60, "at most a year"), (60, "already planned for this time")]
)
def test_times_that_cannot_be_planned_are_refused(after, said):
    flow = sample_flow("Backfill")
    now = timezone.now()
    plan_start(flow, now + timedelta(minutes=60))
    with pytest.raises(RunError, match=said):
        plan_start(flow, now + timedelta(minutes=after))
    with pytest.raises(ParameterError):
        plan_start(flow, now + timedelta(minutes=5), parameters={"unknown": 1})


def test_a_withdrawn_start_never_comes_and_one_that_came_cannot_be_withdrawn():
    flow = sample_flow("Backfill")
    at = timezone.now() + timedelta(hours=1)
    first, second = plan_start(flow, at), plan_start(flow, at + timedelta(hours=1))
    assert withdraw_start(first) and not withdraw_start(first)
    tick_all(at + timedelta(minutes=1))
    assert not Run.objects.exists()
    tick_all(at + timedelta(minutes=61))
    assert not withdraw_start(second) and Run.objects.count() == 1


def test_an_operator_plans_and_withdraws_on_the_page_in_the_zone_of_the_flow():
    flow = sample_flow("Backfill", parameters=DECLARED, time_zone="America/New_York")
    ann = Person("ann", "flows.view_flow", "runs.add_run", "runs.view_run", staff=False)
    page = ann.open(f"/flows/{flow.pk}/plan/")
    (form,) = [form for form in page.forms if "when-at" in form.fields]
    assert form.fields["when-zone"] == ["America/New_York"]
    year = timezone.now().year + (1 if timezone.now().month > 6 else 0)
    wrong = ann.post(page, form, {"when-at": f"{year - 2}-02-03T10:00", "values-day": "soon"})
    assert wrong.status == 422 and "a date such as" in wrong.html and f"{year - 2}-02-03T10:00" in wrong.html
    listed = ann.post(page, form, {"when-at": f"{year}-02-03T10:00", "values-day": "2026-01-31"})
    assert listed.status == 200 and "planned by ann" in listed.html and "day=2026-01-31" in listed.html
    tick = flow.ticks.get()
    assert tick.due_at == datetime(year, 2, 3, 15, 0, tzinfo=UTC)
    (form,) = [form for form in listed.forms if form.action.endswith("/withdraw/")]
    ann.post(listed, form, {})
    assert not flow.ticks.exists()


def test_a_time_that_the_clocks_jump_over_is_refused_beside_the_field():
    flow = sample_flow("Backfill", time_zone="Europe/Berlin")
    ann = Person("ann", "everything")
    page = ann.open(f"/flows/{flow.pk}/plan/")
    (form,) = [form for form in page.forms if "when-at" in form.fields]
    assert "does not exist in Europe/Berlin" in ann.post(page, form, {"when-at": "2027-03-28T02:30"}).html
    assert "Unknown time zone" in ann.post(page, form, {"when-at": "2027-03-28T04:30", "when-zone": "Mars/Base"}).html


# --- a little later ----------------------------------------------------------------------------------------
def test_flows_that_share_a_minute_start_at_their_own_moment_the_same_every_day():
    start = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
    flows = [sample_flow(f"Nightly {n}", cron="0 2 * * *", spread=10, decided_until=start) for n in range(40)]
    delays = {flow.pk: flow.delay for flow in flows}
    assert all(timedelta() <= delay <= timedelta(minutes=10) for delay in delays.values())
    assert len(set(delays.values())) > 30 and delays == {flow.pk: Flow.objects.get(pk=flow.pk).delay for flow in flows}
    for day in range(2):
        due = datetime(2026, 11, 22 + day, 2, 0, tzinfo=UTC)
        seen = {}
        for second in range(0, 601, 5):
            tick_all(due + timedelta(seconds=second))
            for tick in Tick.objects.filter(due_at=due).exclude(flow__in=seen):
                seen[tick.flow_id] = timedelta(seconds=second)
        assert set(seen) == set(delays), "the due time itself is what is recorded"
        assert all(timedelta() <= seen[pk] - delay < timedelta(seconds=5) for pk, delay in delays.items())
        for run in Run.objects.filter(state=RunState.QUEUED):
            ends(run)


def test_a_due_time_that_still_waits_for_its_moment_is_among_the_next_ones():
    flow = sample_flow("Spread", cron="* * * * *", spread=60)
    due = (timezone.now() - flow.delay).replace(second=0, microsecond=0) + timedelta(minutes=1)
    first = due + flow.delay
    html = Person("una", "flows.view_flow").open(f"/flows/{flow.pk}/due/").html
    nexts = html[html.index("Next:") : html.index("after each due time")]
    assert first.isoformat() in nexts or (first + timedelta(minutes=1)).isoformat() in nexts
