import threading
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction

from runs.engine import executor, in_flight, pools
from runs.engine.claims import claim, waiting
from runs.models import Pool, PoolSlot, TaskRun
from runs.services import start_run
from runs.states import TaskState
from runs.transitions import IllegalMoveError, move
from tests.helpers.graphs import bench_flow, drain, open_graph
from tests.helpers.waiting import patience, until

pytestmark = pytest.mark.django_db


def test_a_move_with_a_condition_on_another_table_is_refused():
    """PostgreSQL would not look at it again after waiting for a lock, and two workers would both have moved the row."""
    joined = TaskRun.objects.filter(run__cancel_requested_at__isnull=True)
    with pytest.raises(IllegalMoveError):
        move(joined, TaskState.QUEUED, TaskState.RUNNING, actor="x")


def test_a_lane_task_is_not_taken_by_a_single_doorbell():
    run = open_graph({"a": ()})
    assert claim(run.task_runs.get().pk, "w", lane_id=None) is not None


def test_a_pool_gives_as_many_slots_as_it_has():
    Pool.objects.create(name="api", slots=2)
    assert [pools.acquire("api", f"task:{n}", "me") for n in range(3)] == [True, True, False]
    assert pools.acquire("api", "task:0", "me")  # who has one keeps it
    pools.give_back("api", "task:0", "me")
    assert pools.acquire("api", "task:2", "me")
    assert sorted(pools.holders("api")) == ["task:1", "task:2"]


def test_slots_are_given_back_whatever_happens_unless_their_task_still_runs():
    def broken():
        with pools.Slots(("api", "", "file"), "task:1", "me") as slots:
            assert slots.are_held and pools.holders("api") == pools.holders("file") == ["task:1"]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert pools.holders("api") == pools.holders("file") == []
    with pools.Slots(("api",), "task:2", "me") as kept:
        kept.keep()
    assert pools.holders("api") == ["task:2"]
    with pools.Slots(("file", "api"), "task:3", "me") as refused:
        assert not refused.are_held and pools.holders("file") == []
    assert pools.holders("api") == ["task:2"], "who was refused gives nothing back"
    kept.give_back()
    kept.give_back()
    assert pools.holders("api") == []


def test_a_model_that_could_not_be_claimed_for_an_error_does_not_keep_the_slot_of_its_pool(monkeypatch):
    run = open_graph({"a": ()})
    run.task_runs.update(pool="api")

    def broken(*args, **options):
        assert pools.holders("api")
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(in_flight, "claim", broken)
    session = SimpleNamespace(client=SimpleNamespace(pid=1, pid_start=1))
    with pytest.raises(RuntimeError):
        in_flight.RunningTasks(1, session, ()).start(run.task_runs.get())
    assert pools.holders("api") == []


def test_a_slot_whose_lease_ended_is_free_only_after_the_reaper_killed_its_process():
    from runs.clock import ago
    from runs.engine import recovery

    pools.acquire("file", "lane:1", "gone")
    PoolSlot.objects.update(lease_until=ago(1))
    assert not pools.acquire("file", "lane:2", "me")
    recovery.reap()
    assert pools.acquire("file", "lane:2", "me")


def test_tasks_of_one_pool_take_turns():
    run = open_graph(dict.fromkeys("abc", ()))
    run.task_runs.update(pool="one at a time")
    assert drain(run).state == "succeeded"


def test_the_same_key_opens_one_run():
    flow = bench_flow()
    first = start_run(flow, trigger="manual", actor="ada", key="click-1")
    assert start_run(flow, trigger="manual", actor="ada", key="click-1") == first
    assert start_run(flow, trigger="manual", actor="ada", key="click-2") != first


def test_the_database_refuses_what_the_engine_should_never_write():
    run = open_graph({"a": ()})
    for wrong in ({"state": "succeeded"}, {"state": "running"}, {"attempts": 5}):
        with pytest.raises(IntegrityError), transaction.atomic():
            TaskRun.objects.filter(run=run).update(**wrong)


@pytest.mark.django_db(transaction=True)
def test_a_doorbell_that_rings_twice_frees_no_slot_of_what_it_started(monkeypatch):
    """Two threads hear it and see the same queued load; the second must not give back the first one's slot."""
    run = open_graph({"load": ()}, {"load": {"seconds": 1.5}})
    run.task_runs.update(pool="api", warehouse_pool="duckdb:/srv/shop.duckdb")
    pk, both = run.task_runs.get().pk, threading.Barrier(2)

    def seen_by_both(task_run_id):
        row = waiting(task_run_id)
        both.wait(patience(10))
        return row

    monkeypatch.setattr(executor, "waiting", seen_by_both)
    deliveries = [threading.Thread(target=deliver, args=(pk,)) for _ in range(2)]
    for thread in deliveries:
        thread.start()
    until(lambda: TaskRun.objects.get().state == TaskState.RUNNING, 10)
    until(lambda: sum(thread.is_alive() for thread in deliveries) == 1, 10, "the second has seen that it is too late")
    assert TaskRun.objects.get().state == TaskState.RUNNING
    assert not pools.acquire("api", "task:another", "w") and not pools.acquire("duckdb:/srv/shop.duckdb", "lane:1", "w")
    for thread in deliveries:
        thread.join()
    assert pools.acquire("api", "task:another", "w") and run.task_runs.get().tries.count() == 1


def deliver(pk):
    executor.execute_task_run(pk)
    connection.close()
