"""Keeps this process's leases alive, notices cancels and losses, and fences the process off in time.

One thread beats for everything the process holds: a heartbeat costs three UPDATEs however many task runs
there are. A second thread watches the first against the monotonic clock: when no heartbeat was committed for
SELF_FENCE_S, everything held is given up and its processes are killed, long before the lease ends and the
reaper hands the work to another.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection
from django.db.models import Q

from runs.clock import after
from runs.engine.claims import HOST
from runs.models import Lane, PoolSlot, Run, TaskRun
from runs.states import RunState, TaskState

log = logging.getLogger("dex.leases")
Kind = Literal["task", "lane", "plan"]


@dataclass
class Held:
    """Something this process holds by lease. `on_lost` must kill what executes it; it is called once."""

    kind: Kind
    pk: int
    fence: int
    on_lost: Callable[[], None]
    on_cancel: Callable[[], None] = lambda: None
    lost: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    closing: bool = False  # its end is being written: that its row changes is no loss
    holder: str = ""  # the name under which it has slots of pools

    def give_up(self) -> None:
        """Give it up: somebody else holds it, or will."""
        if not self.lost.is_set():
            self.lost.set()
            self.on_lost()


class LeaseKeeper:
    """The heartbeat of one process. `owner` names the process in every lease it holds."""

    def __init__(self) -> None:
        self.owner = f"{HOST}:{uuid.uuid4().hex[:12]}"
        self._held: dict[tuple[Kind, int, int], Held] = {}
        self._lock = threading.Lock()
        self._renewed_at = time.monotonic()
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()

    def hold(self, held: Held) -> Held:
        """Keep the lease of `held` until `drop`; starts the threads at the first call."""
        with self._lock:
            if not self._held:
                self._renewed_at = time.monotonic()  # the claim itself was the first heartbeat
            self._held[held.kind, held.pk, held.fence] = held
            if not self._threads:
                for target in (self._renew_forever, self._watch_forever):
                    thread = threading.Thread(target=target, name=f"dex-{target.__name__}", daemon=True)
                    thread.start()
                    self._threads.append(thread)
        return held

    def drop(self, held: Held) -> None:
        """Stop keeping the lease of `held`."""
        with self._lock:
            self._held.pop((held.kind, held.pk, held.fence), None)

    def stop(self) -> None:
        """End both threads; for the end of the process and for tests."""
        self._stop.set()

    def _holding(self, kind: Kind | None = None) -> list[Held]:
        with self._lock:
            return [held for held in self._held.values() if kind in (None, held.kind)]

    def _renew_forever(self) -> None:
        next_renewal = time.monotonic()
        while not self._stop.wait(min(settings.CANCEL_POLL_S, settings.HEARTBEAT_S)):
            if not self._holding():
                next_renewal = time.monotonic() + settings.HEARTBEAT_S
                self._renewed_at = time.monotonic()
                continue
            try:
                close_old_connections()
                started = time.monotonic()
                if started >= next_renewal:
                    self.renew()
                    self._renewed_at = started
                    next_renewal = started + settings.HEARTBEAT_S
                self.poll()
            except (DatabaseError, InterfaceError) as error:
                log.warning("no heartbeat: %s", error)
                connection.close()

    def _watch_forever(self) -> None:
        while not self._stop.wait(min(1.0, settings.SELF_FENCE_S / 10)):
            if time.monotonic() - self._renewed_at < settings.SELF_FENCE_S:
                continue
            holding = self._holding()
            if holding:
                log.error(
                    "no heartbeat was committed for %s s: giving up %d leases",
                    settings.SELF_FENCE_S,
                    len(holding),
                )
            for held in holding:
                held.give_up()
                self.drop(held)

    def renew(self) -> None:
        """Renew the leases of what this process holds, and of nothing else that carries its name.

        A row that was left behind by an error between two steps must expire, or nobody would ever take it back.
        """
        until = after(settings.LEASE_S)
        tasks = [held.pk for held in self._holding("task")]
        lanes = [held.pk for held in self._holding("lane")]
        plans = [held.pk for held in self._holding("plan")]
        if tasks:
            rows = TaskRun.objects.filter(pk__in=tasks, owner=self.owner, state=TaskState.RUNNING)
            rows.update(lease_until=until)
        if lanes:
            Lane.objects.filter(pk__in=lanes, owner=self.owner).update(lease_until=until)
        if plans:
            rows_of_runs = Run.objects.filter(pk__in=plans, planner=self.owner, state=RunState.QUEUED)
            rows_of_runs.update(planner_until=until)
        holders = [held.holder for held in self._holding() if held.holder]
        if holders:
            PoolSlot.objects.filter(holder__in=holders, owner=self.owner).update(lease_until=until)

    def poll(self) -> None:
        """Notice what was taken from this process, and what somebody wants cancelled."""
        tasks = self._holding("task")
        lanes = self._holding("lane")
        # Held first, then asked: what was claimed after the question is not missing from the answer.
        rows = TaskRun.objects.filter(owner=self.owner, state=TaskState.RUNNING)
        mine = dict(rows.values_list("pk", "fence")) if tasks else {}
        requested = Q(run__cancel_requested_at__isnull=False) | Q(cancel_requested_at__isnull=False)
        cancelled = set(rows.filter(requested).values_list("pk", flat=True)) if tasks else set()
        lanes_mine = dict(Lane.objects.filter(owner=self.owner).values_list("pk", "fence")) if lanes else {}
        for held in tasks:
            if mine.get(held.pk) != held.fence:
                self._missing(held)
            elif held.pk in cancelled and not held.cancelled.is_set():
                held.cancelled.set()
                held.on_cancel()
        for held in lanes:
            if lanes_mine.get(held.pk) != held.fence:
                self._missing(held)

    def _missing(self, held: Held) -> None:
        with self._lock:
            dropped = (held.kind, held.pk, held.fence) not in self._held
        if dropped or held.closing:
            return  # it ended between the question and now
        log.error("lease of %s %s (fence %s) is gone: giving it up", held.kind, held.pk, held.fence)
        held.give_up()
        self.drop(held)


keeper = LeaseKeeper()


def retry_until_committed(write: Callable[[], Any], lost: threading.Event) -> None:
    """Do an idempotent write, again and again while the database is away and the lease is not lost.

    When the lease was lost the write is left to who has it now.
    """
    while not lost.is_set():
        try:
            write()
            return
        except (OperationalError, InterfaceError) as error:
            log.warning("waiting for the database: %s", error)
            connection.close()
            time.sleep(min(0.5, settings.SELF_FENCE_S / 10))
