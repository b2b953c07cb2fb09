"""Drives a lane: executes the models of one run on one dbt session, as many at a time as it has threads."""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import F, Q
from django.db.models.functions import Now

from flows.process import boot_id
from nodes.dbt.client import SessionClosed
from nodes.kinds.base import Ended
from runs import bell
from runs.clock import after
from runs.engine import pools, sessions
from runs.engine.claims import COLUMNS, HOST, Claim, claim, finish, lose
from runs.engine.heart import Held, heart
from runs.engine.release import queue_due
from runs.engine.results import ended_of, write_compiled
from runs.engine.sessions import Session
from runs.logs import LogWriter
from runs.masking import redactor_of
from runs.models import Lane, TaskRun
from runs.states import TaskState

log = logging.getLogger("dex.lanes")
POLL_S = 1.0  # how often a driver looks for work that another worker released
LINGER_S = 1.0  # how long a driver without work stays, so that a short gap does not cost a hand-over
draining = threading.Event()  # the worker is stopping: nothing new is claimed
_drivers: set["Driver"] = set()


def wait_for_drivers(grace: float) -> None:
    """Wait until what this process executes is over, at most `grace` seconds; then end it."""
    end = time.monotonic() + grace
    while _drivers and time.monotonic() < end:
        time.sleep(0.05)
    end_drivers()
    end = time.monotonic() + 15
    while _drivers and time.monotonic() < end:
        time.sleep(0.05)


def end_drivers() -> None:
    """End what this process executes; it is queued again for the next worker."""
    for driver in list(_drivers):
        driver.stop_now.set()


@dataclass
class Flying:
    """A task run that the session executes now."""

    claim: Claim
    held: Held
    log: LogWriter
    node: Any
    deadline: float
    pool: str = ""
    timed_out: bool = False
    stop_by: float | None = None  # when to kill the session because a cancel did not work


def drive(lane_id: int) -> None:
    """Answer a doorbell: take the lane if nobody has it, and execute what it has until nothing is left."""
    if draining.is_set():
        return
    taken = (
        Lane.objects.filter(Q(owner=""), pk=lane_id)
        .filter(task_runs__state__in=[TaskState.QUEUED, TaskState.WAITING])
        .distinct()
        .values_list("pk", flat=True)
    )
    rows = Lane.objects.filter(pk__in=list(taken), owner="")
    if not rows.update(owner=heart.owner, fence=F("fence") + 1, lease_until=after(settings.LEASE_S), rung_at=Now()):
        return
    lane = Lane.objects.select_related("run", "revision__environment").get(pk=lane_id)
    driver = Driver(lane)
    _drivers.add(driver)
    try:
        driver.work()
    except Exception as error:  # a bug of dex's own must neither spin nor leave a run without an end
        log.exception("lane %s", lane_id)
        driver.crashed(f"{type(error).__name__}: {error}")
    finally:
        driver.leave()
        _drivers.discard(driver)


class Driver:
    """One worker's time with one lane."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.client: Session | None = None
        self.flying: dict[str, Flying] = {}
        self.held = heart.hold(Held("lane", lane.pk, lane.fence, on_lost=self._abandon))
        self.holder = f"lane:{lane.pk}"
        self.key = f"{lane.revision_id}:{lane.threads}"
        self.has_slot = False
        self.stop_now = threading.Event()
        self.broken = False
        self.sessions = 0  # how many sessions this driver needed
        self._log: LogWriter | None = None

    # --- the loop ----------------------------------------------------------------------------------------
    def work(self) -> None:
        """Execute until the lane is empty, lost, or waits for others."""
        if not pools.acquire(self.lane.pool, self.holder, heart.owner):
            Lane.objects.filter(pk=self.lane.pk).update(waits_for_pool=True)
            return
        self.has_slot = True
        Lane.objects.filter(pk=self.lane.pk).update(waits_for_pool=False)
        idle_since: float | None = None
        look_at = 0.0
        while not self.held.lost.is_set() and not self.stop_now.is_set():
            try:
                now = time.monotonic()
                if now >= look_at and not draining.is_set():
                    look_at = now + POLL_S
                    queue_due(self.lane.run_id)
                    self._start_more()
                if self.flying:
                    idle_since = None
                else:
                    idle_since = idle_since or now
                    if draining.is_set() or now - idle_since >= LINGER_S or not self._has_future():
                        return
                if self._handle_events(min(look_at - time.monotonic(), 0.25)):
                    look_at = 0.0
                self._enforce_deadlines()
            except (DatabaseError, InterfaceError) as error:
                # A short outage is waited for; a long one ends with the heart giving the lane up.
                log.warning("lane %s: %s", self.lane.pk, error)
                connection.close()
                time.sleep(0.2)

    def _has_future(self) -> bool:
        """Whether anything of this lane is still to come soon, or may come from another worker."""
        rows = TaskRun.objects.filter(lane=self.lane)
        return rows.filter(state__in=[TaskState.QUEUED, TaskState.PENDING, TaskState.WAITING]).exists()

    def _candidates(self) -> list[TaskRun]:
        due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
        rows = TaskRun.objects.filter(due, lane=self.lane, state=TaskState.QUEUED).order_by("position", "pk")
        return list(rows.only(*COLUMNS)[: self.lane.threads * 8])

    def _start_more(self) -> None:
        """Claim and start queued task runs, as many as there are free threads."""
        room = self.lane.threads - len(self.flying)
        if room <= 0:
            return
        for candidate in self._candidates():
            if room <= 0:
                return
            busy = sum(1 for flying in self.flying.values() if flying.node == candidate.node_id)
            if busy >= (candidate.spec.get("threads") or self.lane.threads):
                continue
            if self.client is None and not self._open_session():
                return
            room -= self._start(candidate)

    def _start(self, candidate: TaskRun) -> bool:
        assert self.client is not None
        holder = f"task:{candidate.pk}"
        if not pools.acquire(candidate.pool, holder, heart.owner):
            return False
        claimed = claim(
            candidate.pk,
            heart.owner,
            lane_id=self.lane.pk,
            row=candidate,
            pid=self.client.client.pid,
            pid_start=self.client.client.pid_start,
            boot_id=boot_id(),
        )
        if claimed is None:
            pools.give_back(candidate.pool, holder, heart.owner)
            return False
        task = f"{claimed.task_run_id}.{claimed.fence}"
        client = self.client
        held = Held(
            "task",
            claimed.task_run_id,
            claimed.fence,
            on_lost=lambda: client.cancel(task),
            on_cancel=lambda: client.cancel(task),
        )
        timeout = float(claimed.spec.get("timeout") or settings.TASK_TIMEOUT_S)
        self.flying[task] = Flying(
            claim=claimed,
            held=held,
            log=LogWriter(claimed.log_path, redactor_of(claimed.run_id)),
            node=candidate.node_id,
            deadline=time.monotonic() + timeout,
            pool=candidate.pool,
        )
        heart.hold(held)
        self._send(task, claimed)
        return True

    def _send(self, task: str, claimed: Claim) -> None:
        assert self.client is not None
        spec = claimed.spec
        try:
            if claimed.kind == "hook":
                self.client.client.hooks(task, claimed.unique_id)
            else:
                self.client.client.execute(
                    task,
                    spec["unique_id"],
                    unit_tests=spec["unit_tests"],
                    tests=spec["tests"] if spec["unique_id"] not in spec["tests"] else (),
                    run_model=spec["builds"] or spec["unique_id"] in spec["tests"],
                    full_refresh=spec["full_refresh"],
                    compiled=True,
                )
        except SessionClosed:
            pass  # its last event says so, and what flies is handled there

    # --- the session -------------------------------------------------------------------------------------
    def _open_session(self) -> bool:
        """Get a session for this lane, warm or new; False when it cannot be opened (what waited has failed then)."""
        revision = self.lane.revision
        client = sessions.take(self.key)
        problem = ""
        if revision is None or not revision.exists_on_disk:
            self._fail_queued("the revision that this run was planned on is gone", retryable=False)
            return False
        is_new = client is None
        self.sessions += 1
        if client is None:
            client = Session(self.key)
        client.sink = self._session_output
        self.client = client
        self._remember_process()
        if is_new:
            problem = client.open(revision, self.lane.threads)
        if not problem:
            wanted = TaskRun.objects.filter(lane=self.lane).exclude(kind="hook").values_list("spec", flat=True)
            problem = client.begin(
                {name for spec in wanted for name in (spec["unique_id"], *spec["tests"])},
                f"dex-{settings.INSTALLATION}-lane-{self.lane.pk}",
                leftovers=self.lane.fence > 1 or self.sessions > 1,
            )
        if problem:
            client.kill()
            self.client = None
            if not self.held.lost.is_set():
                self._fail_queued(f"dbt could not start: {problem}")
            return False
        return True

    def _remember_process(self) -> None:
        """Write which process executes this lane, so that the reaper of this host can end it."""
        assert self.client is not None
        Lane.objects.filter(pk=self.lane.pk, fence=self.lane.fence, owner=heart.owner).update(
            host=HOST,
            boot_id=boot_id(),
            pid=self.client.client.pid,
            pid_start=self.client.client.pid_start,
        )

    def _session_output(self, data: bytes) -> None:
        if self._log is None:
            path = f"{self.lane.run_id}/lane-{self.lane.pk}.{self.lane.fence}.log"
            self._log = LogWriter(path, redactor_of(self.lane.run_id))
        self._log.append(data)

    def _fail_queued(self, reason: str, *, retryable: bool = True) -> None:
        for candidate in self._candidates():
            claimed = claim(candidate.pk, heart.owner, lane_id=self.lane.pk)
            if claimed is not None:
                writer = LogWriter(claimed.log_path, redactor_of(claimed.run_id))
                writer.line(reason)
                writer.close()
                finish(claimed, Ended("failed", reason.splitlines()[0], retryable=retryable))

    # --- what the session says ---------------------------------------------------------------------------
    def _handle_events(self, timeout: float) -> bool:
        """Take what the session said within `timeout` s; whether something ended, so that more may start."""
        if self.client is None:
            time.sleep(max(0.0, timeout))
            return False
        ended = False
        for event in self.client.events(max(0.0, timeout)):
            match event["event"]:
                case "log":
                    flying = self.flying.get(event["task"])
                    if flying is not None:
                        flying.log.line(event["text"])
                case "result":
                    ended |= self._result(event)
                case "died" | "fatal":
                    self._session_died(str(event.get("message") or self.client.died))
                    return True
        return ended

    def _result(self, event: dict[str, Any]) -> bool:
        flying = self.flying.pop(event["task"], None)
        if flying is None:
            return False
        claimed = flying.claim
        if flying.held.lost.is_set():
            flying.log.close()
            return True
        ended = ended_of(event, timed_out=flying.timed_out, limit=claimed.spec.get("timeout"))
        ended.result.update(write_compiled(claimed, event.get("compiled_code") or ""))
        self._close(flying, ended)
        return True

    def _close(self, flying: Flying, ended: Ended) -> None:
        dropped = flying.log.close()
        heart.drop(flying.held)
        finish(flying.claim, Ended(**{**vars(ended), "log_dropped": dropped}))
        self._free(flying)

    def _free(self, flying: Flying) -> None:
        if flying.pool:
            pools.give_back(flying.pool, f"task:{flying.claim.task_run_id}", heart.owner)

    def _session_died(self, message: str) -> None:
        """Only what was in flight is lost: it is tried again, on a new session, by the infrastructure's budget."""
        flying, self.flying = list(self.flying.values()), {}
        if self.client is not None:
            self.client.kill()
            self.client = None
        for one in flying:
            one.log.line(f"the dbt session ended: {message}")
            if one.timed_out:
                self._close(one, Ended("failed", "timeout", result={}))
                continue
            one.log.close()
            heart.drop(one.held)
            if one.held.cancelled.is_set():
                finish(one.claim, Ended("cancelled", "cancelled; its session was ended"))
            elif not one.held.lost.is_set():
                lose(
                    one.claim.task_run_id,
                    one.claim.fence,
                    actor=heart.owner,
                    reason=f"dbt session died: {message}",
                )
            self._free(one)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for task, flying in self.flying.items():
            if now >= flying.deadline and not flying.timed_out:
                flying.timed_out = True
                flying.log.line("timeout: it is being stopped")
                if self.client is not None:
                    self.client.cancel(task)
            if flying.stop_by is None and (flying.timed_out or flying.held.cancelled.is_set()):
                flying.stop_by = now + settings.KILL_GRACE_S
            if flying.stop_by is not None and now >= flying.stop_by and self.client is not None:
                log.warning("%s did not stop: ending the session of lane %s", flying.claim.identifier, self.lane.pk)
                self.client.kill()
                flying.stop_by = now + 3600

    def crashed(self, message: str) -> None:
        """Driving broke: the sweeper rings again after a while; the third time, what waits is failed."""
        self.broken = True
        rows = Lane.objects.filter(pk=self.lane.pk)
        rows.update(crashes=F("crashes") + 1, rung_at=Now())
        if rows.get().crashes >= settings.INFRA_ATTEMPTS:
            self._fail_queued(f"dex could not execute it: {message}", retryable=False)

    # --- the end -----------------------------------------------------------------------------------------
    def _abandon(self) -> None:
        """The lane was lost: its session must not touch the warehouse any more."""
        if self.client is not None:
            self.client.kill()

    def leave(self) -> None:
        """Put everything back: what still flies is lost, the session is kept warm, slot and lane are free."""
        heart.drop(self.held)
        lost = self.held.lost.is_set()
        if self.flying:
            self._session_died("its worker is stopping")
        if self.client is not None:
            if lost or self.broken or self.client.end():
                self.client.kill()
            else:
                sessions.keep(self.client)
        if self._log is not None:
            self._log.close()
        if self.has_slot:
            pools.give_back(self.lane.pool, self.holder, heart.owner)
        if not lost:
            Lane.objects.filter(pk=self.lane.pk, fence=self.lane.fence, owner=heart.owner).update(
                owner="", lease_until=None, pid=None, pid_start=None
            )
        self._ring_next()

    def _ring_next(self) -> None:
        """Ring this lane again if something was queued meanwhile, and who waits for the slot that is free now."""
        if (
            not draining.is_set()
            and not self.broken
            and TaskRun.objects.filter(lane=self.lane, state=TaskState.QUEUED).exists()
        ):
            if not self.has_slot:
                return  # who has the slot rings when it is free
            bell.ring_lanes([self.lane.pk])
        if self.has_slot and self.lane.pool:
            waiting = Lane.objects.filter(pool=self.lane.pool, waits_for_pool=True, owner="").order_by("pk")
            bell.ring_lanes(waiting.values_list("pk", flat=True)[:1])
