"""A worker keeps what it holds alive, notices cancels and losses, and gives up before others take over."""

import threading
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from runs.clock import after, ago
from runs.engine import pools
from runs.engine.claims import claim
from runs.engine.leases import Held, LeaseKeeper, retry_until_committed
from runs.models import PoolSlot, TaskRun
from tests.helpers.graphs import open_graph
from tests.helpers.waiting import patience, until


@pytest.fixture
def worker():
    keeper = LeaseKeeper()
    yield keeper
    keeper.stop()


def hold(worker, pk, fence=1, **options):
    """What a worker holds without its threads; the names of what it was told, in order."""
    calls = []
    held = Held("task", pk, fence, lambda: calls.append("lost"), lambda: calls.append("cancel"), **options)
    worker._held[held.kind, held.pk, held.fence] = held
    return SimpleNamespace(held=held, calls=calls)


def claimed_by(worker, run):
    row = run.task_runs.get()
    assert claim(row.pk, worker.owner).fence == 1
    return row.pk


@pytest.mark.parametrize("fault", ["the database is away", "the thread hangs"])
def test_a_worker_that_commits_no_heartbeat_gives_up_its_work_in_time(worker, settings, monkeypatch, caplog, fault):
    settings.HEARTBEAT_S = settings.CANCEL_POLL_S = 0.05
    settings.SELF_FENCE_S = 0.5
    ended, released = threading.Event(), threading.Event()

    def renew():
        if fault == "the thread hangs":
            released.wait(patience(60))
            return
        raise OperationalError("the database is away")

    monkeypatch.setattr(worker, "renew", renew)
    held = worker.hold(Held("task", 1, 1, on_lost=ended.set))
    assert ended.wait(patience(10)) and held.lost.is_set()
    until(lambda: not worker._holding(), what="the work is dropped")
    released.set()
    assert "no heartbeat was committed for 0.5 s: giving up 1 leases" in caplog.text
    if fault == "the database is away":
        assert "no heartbeat: the database is away" in caplog.text


@pytest.mark.django_db
def test_a_heartbeat_renews_what_the_worker_holds_and_nothing_that_it_left_behind(worker):
    mine, left = claimed_by(worker, open_graph({"a": ()})), claimed_by(worker, open_graph({"a": ()}))
    TaskRun.objects.update(lease_until=ago(1))
    assert pools.acquire("api", "task:mine", worker.owner) and pools.acquire("api2", "task:left", worker.owner)
    PoolSlot.objects.update(lease_until=ago(1))
    hold(worker, mine, holder="task:mine")
    worker.renew()
    assert set(TaskRun.objects.filter(lease_until__gt=Now()).values_list("pk", flat=True)) == {mine} != {left}
    assert list(PoolSlot.objects.filter(lease_until__gt=Now()).values_list("holder", flat=True)) == ["task:mine"]


@pytest.mark.django_db
def test_a_cancel_reaches_the_worker_once(worker):
    run = open_graph({"a": ()})
    work = hold(worker, claimed_by(worker, run))
    worker.poll()
    assert work.calls == []
    type(run).objects.filter(pk=run.pk).update(cancel_requested_at=Now())
    worker.poll()
    worker.poll()
    assert work.calls == ["cancel"] and not work.held.lost.is_set()


@pytest.mark.django_db
@pytest.mark.parametrize("closing", [False, True])
def test_a_worker_ends_work_that_was_taken_from_it_unless_it_has_just_finished_it(worker, closing):
    pk = claimed_by(worker, open_graph({"a": ()}))
    work = hold(worker, pk, closing=closing)
    TaskRun.objects.filter(pk=pk).update(fence=2, owner="another", lease_until=after(60))
    worker.poll()
    worker.poll()
    assert work.calls == ([] if closing else ["lost"])
    assert (work.held in worker._holding()) == closing


def test_the_end_of_a_task_is_written_as_soon_as_the_database_is_back_and_not_when_the_task_was_lost(settings):
    settings.SELF_FENCE_S = 0.1
    lost, tries = threading.Event(), []

    def write():
        tries.append(len(tries))
        if len(tries) < 3:
            raise OperationalError("away")

    retry_until_committed(write, lost)
    assert tries == [0, 1, 2]
    lost.set()
    retry_until_committed(write, lost)
    assert tries == [0, 1, 2]
