"""What a lost or stopped attempt leaves behind is dispatched at once, and an orderly stop costs no budget."""

import threading

import pytest
from celery import current_app
from django.db import connection
from django.db.models.functions import Now

from nodes.tasks import AttemptOutcome
from runs import dispatch, jobs
from runs.clock import after, ago
from runs.engine import alarms, lanes, pools, recovery
from runs.engine.claims import HOST, claim, finish, hand_over, mark_lost
from runs.engine.executor import execute_task_run
from runs.engine.release import next_due, queue_due
from runs.engine.shutdown import draining
from runs.models import Attempt, Lane, Pool, PoolSlot, TaskRun
from runs.operations import rounds
from runs.operations.embedded import Engine
from runs.operations.invariants import check
from tests.helpers.engines import finished
from tests.helpers.graphs import drain, open_graph

pytestmark = pytest.mark.django_db


@pytest.fixture
def dispatched(monkeypatch, django_capture_on_commit_callbacks):
    """Says what is dispatched by a call, when what it wrote is committed."""
    messages = []
    monkeypatch.setattr(dispatch, "_send", lambda job, arguments: messages.append((job, *arguments)))

    def by(call, *arguments, **options):
        messages.clear()
        with django_capture_on_commit_callbacks(execute=True):
            call(*arguments, **options)
        return list(messages)

    return by


@pytest.fixture
def stopping_worker():
    draining.set()
    yield
    draining.clear()


def expire(row):
    TaskRun.objects.filter(pk=row.pk).update(lease_until=ago(1))


def started(run, name="a"):
    row = run.task_runs.get(identifier=name)
    return claim(row.pk, "w1", lane_id=row.lane_id)


def in_a_lane(run, **fields):
    lane = Lane.objects.create(run=run, **fields)
    run.task_runs.update(lane=lane)
    return lane


def test_a_task_whose_worker_died_is_dispatched_when_the_loss_is_noticed(dispatched):
    run = open_graph({"a": ()})
    row = run.task_runs.get(pk=started(run).task_run_id)
    expire(row)
    assert dispatched(recovery.reap) == [("execute_task_run", row.pk)]


def test_a_holder_that_sees_its_process_killed_by_the_reaper_cannot_call_it_a_failure_of_the_task(monkeypatch):
    run = open_graph({"a": ()})
    held = started(run)
    Attempt.objects.update(host=HOST, pid=1, pid_start=1)
    expire(run.task_runs.get())
    said = []

    def killed(*process):
        ended = AttemptOutcome("failed", "killed by signal 9", retryable=False)
        said.append((process[:2], finish(held, ended), keeper_renews(held)))

    monkeypatch.setattr(recovery.process, "kill_leftover", killed)
    assert recovery.reap() == 1
    assert said == [((1, 1), None, 0)]
    row = run.task_runs.get()
    assert (row.state, row.infra_attempts, row.owner) == ("queued", 1, "")
    assert [attempt.outcome for attempt in Attempt.objects.all()] == ["lost"]


def keeper_renews(held) -> int:
    """What a heartbeat of the holder renews, at the moment."""
    rows = TaskRun.objects.filter(pk=held.task_run_id, owner=held.owner, state="running")
    return rows.update(lease_until=after(30))


def test_a_lane_whose_worker_died_is_dispatched_also_when_nothing_of_it_was_running(dispatched):
    run = open_graph({"a": (), "b": ()})
    lane = in_a_lane(run, owner="gone", fence=1, lease_until=ago(1))
    assert dispatched(recovery.reap) == [("drive_lane", lane.pk)]


def test_tasks_of_one_dead_worker_are_taken_back_together_though_their_leases_end_at_different_times(dispatched):
    """A beat renews a task a few milliseconds before its lane and its slot."""
    run = open_graph({"a": ()})
    held = started(run)
    lane = in_a_lane(run, owner="w1", fence=1)
    PoolSlot.objects.create(pool="file", slot=0, holder=f"lane:{lane.pk}:1", owner="w1", lease_until=after(0.6))
    Lane.objects.update(lease_until=after(0.4))
    TaskRun.objects.filter(pk=held.task_run_id).update(lease_until=ago(0.1))
    others = open_graph({"b": ()})
    other = claim(others.task_runs.get().pk, "w2")
    TaskRun.objects.filter(pk=other.task_run_id).update(lease_until=after(0.4))
    recovery.reap()
    lane.refresh_from_db()
    assert (lane.owner, run.task_runs.get().state, PoolSlot.objects.get().holder) == ("", "queued", "")
    assert others.task_runs.get().state == "running"


def test_a_task_that_waits_for_the_slot_of_a_dead_worker_is_dispatched(dispatched):
    run = open_graph({"waits": ()})
    run.task_runs.update(pool="api")
    other = open_graph({"a": ()})
    lane = in_a_lane(other, pool="api", waits_for_pool=True)
    PoolSlot.objects.create(pool="api", slot=0, holder="task:1:x", owner="gone", lease_until=ago(1))
    assert dispatched(recovery.reap) == [("execute_task_run", run.task_runs.get().pk), ("drive_lane", lane.pk)]


def test_more_slots_are_offered_to_who_waits_for_them(dispatched):
    Pool.objects.create(name="api", slots=1)
    run = open_graph(dict.fromkeys("abc", ()))
    run.task_runs.update(pool="api")
    assert len(dispatched(pools.set_slots, "api", 3)) == 2
    assert dispatched(pools.set_slots, "api", 3) == []


def test_a_message_for_something_cancelled_meanwhile_is_handed_to_the_next_in_line(dispatched):
    run = open_graph({"a": (), "b": ()})
    run.task_runs.update(pool="api")
    first, second = run.task_runs.order_by("pk")
    TaskRun.objects.filter(pk=first.pk).update(state="cancelled", ended_at=Now())
    assert dispatched(execute_task_run, first.pk) == [("execute_task_run", second.pk)]


def test_a_task_with_two_pools_takes_a_slot_of_both_or_of_none():
    assert pools.acquire("warehouse", "task:1:x", "w1")
    assert not pools.acquire_all(["api", "warehouse"], "task:2:x", "w2")
    assert not PoolSlot.objects.filter(holder="task:2:x").exists()
    pools.give_back("warehouse", "task:1:x", "w1")
    assert pools.acquire_all(["api", "warehouse"], "task:2:x", "w2")


def test_a_slot_is_offered_to_who_can_use_it_and_not_to_who_waits_for_another_pool_too(dispatched):
    run = open_graph({"a": (), "b": ()})
    first, second = run.task_runs.order_by("pk")
    run.task_runs.update(pool="api")
    TaskRun.objects.filter(pk=first.pk).update(warehouse_pool="file")
    assert pools.acquire("file", "lane:1:1", "w1")
    assert dispatched(pools.wake_next, "api") == [("execute_task_run", second.pk)]
    pools.give_back("file", "lane:1:1", "w1")
    assert dispatched(pools.wake_next, "file") == [("execute_task_run", first.pk)]


def test_a_lane_whose_slot_was_freed_while_it_was_turned_away_is_dispatched_again(dispatched, monkeypatch):
    """A lane that somebody holds is not dispatched for, and this one is held until its driver has left."""
    lane = in_a_lane(open_graph({"a": ()}), pool="file")
    monkeypatch.setattr(pools, "acquire", lambda *args: False)
    assert dispatched(lanes.drive, lane.pk) == [("drive_lane", lane.pk)]
    PoolSlot.objects.create(pool="file", slot=0, holder="lane:1:1", owner="w1", lease_until=after(60))
    assert dispatched(lanes.drive, lane.pk) == []


def test_after_a_second_loss_the_task_is_retried_after_its_delay_by_any_sweeper(dispatched, settings):
    settings.INFRA_BACKOFF_S = 30
    run = open_graph({"a": ()})
    row = run.task_runs.get()
    assert dispatched(mark_lost, row.pk, started(run).fence, actor="reaper", reason="gone") == [
        ("execute_task_run", row.pk)
    ]
    assert dispatched(mark_lost, row.pk, started(run).fence, actor="reaper", reason="gone") == []
    assert 25 < next_due() <= 30
    assert dispatched(queue_due) == []
    TaskRun.objects.filter(pk=row.pk).update(not_before=ago(0), dispatched_at=ago(30))
    assert dispatched(queue_due) == [("execute_task_run", row.pk)]
    assert dispatched(queue_due) == []  # once is enough
    assert drain(run).state == "succeeded"


def test_a_script_that_meets_more_deployments_than_there_are_tries_goes_on(dispatched, settings):
    settings.INFRA_ATTEMPTS = 3
    run = open_graph({"a": (), "b": ("a",)})
    row = run.task_runs.get(identifier="a")
    for _ in range(5):
        held = started(run)
        assert dispatched(hand_over, row.pk, held.fence, actor="w1", reason="its worker is stopping") == [
            ("execute_task_run", row.pk)
        ]
    row.refresh_from_db()
    assert (row.state, row.attempts, row.infra_attempts, row.not_before) == ("queued", 0, 0, None)
    assert drain(run).state == "succeeded"
    assert list(Attempt.objects.filter(task_run=row).values_list("outcome", flat=True)) == ["stopped"] * 5 + [
        "succeeded"
    ]
    assert check(run.pk) == []


def test_a_run_that_is_being_cancelled_takes_the_stop_of_its_worker_as_the_end():
    run = open_graph({"a": ()})
    held = started(run)
    type(run).objects.filter(pk=run.pk).update(cancel_requested_at=Now(), cancel_requested_by="ada")
    hand_over(held.task_run_id, held.fence, actor="w1", reason="its worker is stopping")
    run.refresh_from_db()
    assert (run.task_runs.get().state, run.state) == ("cancelled", "cancelled")


def test_a_worker_that_stops_gives_messages_to_the_others(dispatched, settings, stopping_worker, monkeypatch):
    settings.EMBEDDED = False
    monkeypatch.setattr(dispatch, "PASS_ON_S", 0)
    run = open_graph({"a": (), "b": ()})
    pk = run.task_runs.first().pk
    assert dispatched(jobs.execute_task_run, pk) == [("execute_task_run", pk)]
    assert dispatched(jobs.plan_run, run.pk) == [("plan_run", run.pk)]
    lane = in_a_lane(run)
    assert dispatched(lanes.drive, lane.pk) == [("drive_lane", lane.pk)]


def test_a_message_that_the_broker_refused_is_sent_again_in_the_next_round(monkeypatch, settings):
    settings.EMBEDDED = False
    run = open_graph({"a": ()})
    TaskRun.objects.update(dispatched_at=Now())

    def away(*args, **options):
        raise ConnectionError("the broker is away")

    monkeypatch.setattr(current_app, "send_task", away)
    dispatch._send("execute_task_run", [run.task_runs.get().pk])
    assert run.task_runs.get().dispatched_at is None


def test_a_loss_makes_the_sweeper_dispatch_what_the_lost_worker_had_fetched(dispatched, settings):
    """Its messages are gone with it; other workers are busy, so the sweeper would otherwise wait for a minute."""
    busy = open_graph({"b": ()})
    lost = open_graph({"a": (), "fetched": ()})
    row = lost.task_runs.get(pk=started(lost).task_run_id)
    fetched = lost.task_runs.get(identifier="fetched")
    TaskRun.objects.filter(pk=fetched.pk).update(dispatched_at=ago(settings.SWEEP_S + 1))
    claim(busy.task_runs.get().pk, "w2")
    assert ("execute_task_run", fetched.pk) not in dispatched(rounds.sweep)
    expire(row)
    rounds.Heartbeat.objects.filter(pk="sweep").update(at=ago(60))
    assert ("execute_task_run", fetched.pk) in dispatched(rounds.sweep)


def test_an_alarm_wakes_at_the_earliest_time_that_was_set():
    alarm = alarms.Alarm()
    alarm.set(30)
    threading.Timer(0.05, lambda: alarm.set(0.05)).start()
    assert alarm.wait(20)
    assert not alarm.wait(0)


@pytest.mark.django_db(transaction=True)
def test_a_retry_starts_when_its_delay_is_over_and_not_only_at_the_next_sweep(engine, settings):
    settings.SWEEP_S = 300
    run = open_graph({"a": ()}, {"a": {"end": "fail", "retries": 1, "retry_delay": 1}})
    assert finished(run, 20).task_runs.get().attempts == 2


@pytest.mark.django_db(transaction=True)
def test_an_engine_that_starts_again_rings_at_once_for_what_the_last_one_had_fetched(settings, monkeypatch):
    """The messages of the embedded broker die with its process, and nothing tells so."""
    settings.SWEEP_S = 300
    run = open_graph(dict.fromkeys("abc", ()), start=False)
    with monkeypatch.context() as away:
        away.setattr(dispatch, "_send", lambda job, arguments: None)
        recovery.release(run.pk)
    # Other attempts begin all the time: a message is not taken for lost before a minute is over.
    busy = open_graph({"d": ()})
    finish(claim(busy.task_runs.get().pk, "w1"), AttemptOutcome("succeeded"))
    engine = Engine()
    engine.start()
    try:
        assert finished(run, 20).state == "succeeded"
    finally:
        engine.stop(grace=0)
        draining.clear()
        connection.close()
