"""Drives a lane: executes the models of one run on one dbt session, as many at a time as it has threads."""

import logging
import threading
import time
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from flows.infra.log_context import about
from flows.infra.process import boot_id
from flows.infra.redaction import Redactor
from flows.models import Revision
from nodes.dbt.client import COMMAND
from nodes.dbt.runtime import Runtime
from nodes.ordering import HOOK
from nodes.runtimes.builds import runtime_of
from nodes.runtimes.wanted import RuntimeProblem
from nodes.tasks import AttemptOutcome
from runs import dispatch
from runs.clock import after
from runs.engine import pools, sessions
from runs.engine.claims import COLUMNS, HOST, claim, finish
from runs.engine.in_flight import RunningTasks
from runs.engine.leases import Held, keeper, retry_until_committed
from runs.engine.plans import plan_of
from runs.engine.release import queue_due
from runs.engine.sessions import Session
from runs.engine.shutdown import draining, working
from runs.logs.masking import secrets_of
from runs.logs.store import LogWriter
from runs.models import Lane, TaskRun
from runs.states import TaskState

log = logging.getLogger("dex.lanes")
POLL_S = 1.0  # how often a driver looks for work that another worker released
LINGER_S = 1.0  # how long a driver without work stays, so that a short gap does not cost a hand-over


def drive(lane_id: int) -> None:
    """Answer a message: take the lane if nobody has it, and execute what it has until nothing is left."""
    if draining.is_set():
        if Lane.objects.filter(pk=lane_id, owner="").exists():
            dispatch.hand_back("drive_lane", lane_id)
        return
    has_work = TaskRun.objects.filter(lane=OuterRef("pk"), state__in=[TaskState.QUEUED, TaskState.WAITING])
    taken = Lane.objects.filter(Exists(has_work), pk=lane_id, owner="").update(
        owner=keeper.owner, fence=F("fence") + 1, lease_until=after(settings.LEASE_S), dispatched_at=Now()
    )
    if not taken:
        return
    lane = Lane.objects.select_related("run", "revision__environment").get(pk=lane_id)
    with working() as stop_now:
        driver = Driver(lane, stop_now)
        try:
            with about(run=lane.run_id):
                driver.work()
        except Exception as error:  # a bug of dex's own must neither spin nor leave a run without an end
            log.exception("lane %s", lane_id)
            driver.crashed(f"{type(error).__name__}: {error}")
        finally:
            driver.leave()


class Driver:
    """One worker's time with one lane."""

    def __init__(self, lane: Lane, stop_now: threading.Event) -> None:
        self.lane = lane
        self.running: RunningTasks | None = None  # with the session that executes them
        self.slots = pools.Slots((lane.pool,), pools.holder_of_lane(lane.pk, lane.fence), keeper.owner)
        self.held = keeper.hold(Held("lane", lane.pk, lane.fence, on_lost=self._abandon, holder=self.slots.holder))
        self.key = f"{lane.revision_id}:{lane.threads}:{lane.executor}"
        self.by_command = lane.executor == COMMAND
        self.planned: set[int] = set()  # by commands of dbt: what waits for nothing else than what was planned with it
        self.stop_now = stop_now
        self.broken = False
        self.sessions = 0  # how many sessions this driver needed
        self._log: LogWriter | None = None
        self._secrets: list[str] | None = None

    def work(self) -> None:
        """Execute until the lane is empty, lost, or waits for others."""
        self.slots.acquire()
        Lane.objects.filter(pk=self.lane.pk).update(waits_for_pool=not self.slots.are_held)
        idle_since: float | None = None
        look_at = 0.0
        while self.slots.are_held and not self.held.lost.is_set() and not self.stop_now.is_set():
            try:
                now = time.monotonic()
                if now >= look_at and not draining.is_set():
                    look_at = now + POLL_S
                    queue_due(self.lane.run_id)
                    self._start_more()
                if self.running:
                    idle_since = None
                else:
                    idle_since = idle_since or now
                    if draining.is_set() or now - idle_since >= LINGER_S or not self._has_future():
                        return
                if self._follow(max(0.0, min(look_at - time.monotonic(), 0.25))):
                    look_at = 0.0
            except (OperationalError, InterfaceError) as error:
                # A short outage is waited for; a long one ends with the lease of the lane given up.
                log.warning("lane %s: %s", self.lane.pk, error)
                connection.close()
                time.sleep(0.2)

    def _has_future(self) -> bool:
        """Whether anything of this lane is still to come soon, or may come from another worker."""
        rows = TaskRun.objects.filter(lane=self.lane)
        return rows.filter(state__in=[TaskState.QUEUED, TaskState.PENDING, TaskState.WAITING]).exists()

    def _may_start(self) -> QuerySet[TaskRun]:
        due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
        return TaskRun.objects.filter(due, lane=self.lane, state=TaskState.QUEUED)

    def _queued(self, most: int | None = None) -> list[TaskRun]:
        return list(self._may_start().order_by("position", "pk").only(*COLUMNS)[:most])

    def _start_more(self) -> None:
        """Claim and start queued task runs, as many as there are free threads.

        By commands of dbt only one: dbt goes on by itself with what may follow it, and says so (see RunningTasks).
        """
        threads = 1 if self.by_command else self.lane.threads
        if self.running is not None and len(self.running) >= threads:
            return
        for row in self._queued(threads * 8):
            running = self.running if self.running is not None else self._open_session()
            if running is None or len(running) >= threads:
                return
            if self.by_command:
                self._plan_around(row, running.session)
            if running.of_node(row.node_id) < (row.spec.get("threads") or threads):
                running.start(row)

    def _plan_around(self, row: TaskRun, session: Session) -> None:
        """Say what may run along with a task run, unless the last plan still holds: one reads the whole lane."""
        if row.pk in self.planned and not row.attempts:
            return
        items = plan_of(self.lane)
        session.plan(items)
        keys = {item["key"] for item in items}
        self.planned = {int(item["key"]) for item in items if keys.issuperset((*item["needs"], *item["after"]))}

    def _follow(self, timeout: float) -> bool:
        """Take what the session said within `timeout` s; whether more may start now."""
        if self.running is None:
            time.sleep(timeout)
            return False
        ended, died = self.running.follow(self.running.session.events(timeout))
        if died:
            self._drop_session(died)
            return True
        self.running.enforce()
        return ended

    # --- the session -------------------------------------------------------------------------------------
    def _open_session(self) -> RunningTasks | None:
        """Get a session for this lane, warm or new; None when it cannot be opened (what waited has failed then)."""
        revision = self.lane.revision
        if revision is None or not revision.exists_on_disk:
            self._fail_queued("the revision of this run is no longer on disk", retryable=False)
            return None
        if self._secrets is None:
            self._secrets = secrets_of(self.lane.run)
        self.sessions += 1
        self.planned = set()
        warm = sessions.take(self.key)
        try:
            session = warm or Session(self.key, revision, self._runtime_of(revision), self.lane.executor)
        except RuntimeProblem as error:
            if not error.stopped:  # else it waits for another worker
                self._fail_queued(str(error), retryable=error.passing)
            return None
        except ValueError as error:  # WarehouseError, VariableError: a field names what is not there any more
            self._fail_queued(str(error), retryable=False)
            return None
        session.sink = self._session_output
        self.running = RunningTasks(self.lane.pk, session, self._secrets)
        self._remember_process(session)
        problem = "" if warm else session.open(revision, self.lane.threads)
        if not problem:
            specs = list(TaskRun.objects.filter(lane=self.lane).exclude(kind=HOOK).values_list("spec", flat=True))
            problem = session.begin(
                {name for spec in specs for name in (spec["unique_id"], *spec["tests"])},
                f"dex-{settings.INSTALLATION}-lane-{self.lane.pk}",
                leftovers=self.lane.fence > 1 or self.sessions > 1,
                invocation={**self.lane.invocation, "started_at": _iso(self.lane.run.started_at)},
            )
        if problem:
            self._drop_session(problem)
            if not self.held.lost.is_set():
                self._fail_queued(f"dbt could not start: {problem}")
        return self.running

    def _runtime_of(self, revision: Revision) -> Runtime:
        """The dbt that the revision was parsed with; one that was pruned is built again meanwhile."""

        def stop() -> bool:
            return self.held.lost.is_set() or self.stop_now.is_set()

        return runtime_of(revision, told=self._session_output, stop=stop)

    def _remember_process(self, session: Session) -> None:
        """Write which process executes this lane, so that the reaper of this host can end it."""
        Lane.objects.filter(pk=self.lane.pk, fence=self.lane.fence, owner=keeper.owner).update(
            host=HOST, boot_id=boot_id(), pid=session.client.pid, pid_start=session.client.pid_start
        )

    def _session_output(self, data: bytes) -> None:
        if self._log is None:
            path = f"{self.lane.run_id}/lane-{self.lane.pk}.{self.lane.fence}.log"
            self._log = LogWriter(path, Redactor(self._secrets or ()))
        self._log.append(data)

    def _drop_session(self, reason: str, *, in_order: bool = False) -> None:
        """End the session; what flew on it is lost, or handed over `in_order`."""
        running, self.running = self.running, None
        if running is not None:
            running.session.kill()
            running.crash(reason, in_order=in_order)

    def _fail_queued(self, reason: str, *, retryable: bool = True) -> None:
        first = next((line for line in reason.splitlines() if line.strip()), reason)
        for row in self._queued():
            claimed = claim(row.pk, keeper.owner, lane_id=self.lane.pk, row=row)
            if claimed is not None:
                writer = LogWriter(claimed.log_path, Redactor(self._secrets or ()))
                writer.line(reason)
                writer.close()
                finish(claimed, AttemptOutcome("failed", first, retryable=retryable))

    def _abandon(self) -> None:
        """The lane was lost: its session must not touch the warehouse any more."""
        if self.running is not None:
            self.running.session.kill()

    # --- the end -----------------------------------------------------------------------------------------
    def crashed(self, message: str) -> None:
        """Driving broke: it is dispatched again after a while; the third time, what waits is failed."""
        self.broken = True
        rows = Lane.objects.filter(pk=self.lane.pk)
        rows.update(crashes=F("crashes") + 1, dispatched_at=Now())
        if rows.get().crashes >= settings.INFRA_ATTEMPTS:
            self._fail_queued(f"dex could not execute it: {message}", retryable=False)

    def leave(self) -> None:
        """Put everything back: what still flies is lost, the session is kept warm, slot and lane are free.

        What cannot be put back is not renewed any more, and the reaper takes it back.
        """
        try:
            if self.running is not None and self.broken:
                self._drop_session("driving it broke")
            elif self.running:
                self._drop_session("its worker is stopping", in_order=self.stop_now.is_set())
            if self.running is not None:
                session = self.running.session
                if session.end() or self.held.lost.is_set():
                    session.kill()
                else:
                    sessions.keep(session)
            if self._log is not None:
                self._log.close()
        finally:
            self.held.closing = True
            retry_until_committed(self._free, self.held.lost)
            keeper.drop(self.held)
        if not self.held.lost.is_set():
            self._ring_next()

    def _free(self) -> None:
        if self.slots.are_held:
            self.slots.free()
        Lane.objects.filter(pk=self.lane.pk, fence=self.lane.fence, owner=keeper.owner).update(
            owner="", lease_until=None, pid=None, pid_start=None
        )

    def _ring_next(self) -> None:
        """Dispatch this lane again if something was queued meanwhile, and wake who waits for the slot that is free now.

        Another worker answers when this one stops. What waits for its time is dispatched then (see queue_due).
        """
        if not self.slots.are_held:
            # Who has the slot wakes others when it is free, but not a lane that is held, as this one was just now.
            if pools.has_free_slot(self.lane.pool):
                dispatch.lanes([self.lane.pk])
            return
        if not self.broken and self._may_start().exists():
            dispatch.lanes([self.lane.pk])
        self.slots.wake()


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
