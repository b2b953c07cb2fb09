"""A thread that repairs at an interval; every process that executes runs has one."""

import logging
import threading
import time

from django.conf import settings
from django.db import close_old_connections

from flows.scheduling import beat
from runs.engine import alarms, sessions
from runs.engine.claims import HOST
from runs.engine.leases import keeper
from runs.engine.release import next_due, queue_due
from runs.operations import heartbeats, rounds

log = logging.getLogger("dex.housekeeping")


class Housekeeping(threading.Thread):
    """Sweeps every SWEEP_S seconds, queues retries when they are due, closes idle sessions, until stop()."""

    def __init__(self) -> None:
        super().__init__(name="dex-housekeeping", daemon=True)
        self._stopping = threading.Event()

    def run(self) -> None:
        """The thread's work."""
        shown, has_schedule, sweep_at = float("-inf"), False, time.monotonic() + settings.SWEEP_S
        while not self._stopping.is_set():
            went_off = alarms.due.wait(max(0.0, sweep_at - time.monotonic()))
            if self._stopping.is_set():
                return
            try:
                close_old_connections()
                if went_off and time.monotonic() < sweep_at:
                    queue_due()
                    continue
                sweep_at = time.monotonic() + settings.SWEEP_S
                if time.monotonic() - shown >= settings.HEARTBEAT_S:
                    heartbeats.worker_lives(keeper.owner, HOST)
                    shown = time.monotonic()
                rounds.sweep()
                sessions.expire()
                if not has_schedule:  # so that beat has something to send, whatever was away when this process began
                    beat.ensure_sweeper()
                    has_schedule = True
                if (seconds := next_due()) is not None and seconds < settings.SWEEP_S:
                    alarms.due.set(seconds)  # set by another process, perhaps by one that is gone
            except Exception as error:  # the next round may succeed; a dead sweeper would lose work
                log.warning("sweep: %s", error)

    def stop(self) -> None:
        """End after the current round."""
        self._stopping.set()
        alarms.due.set(0)
        try:
            heartbeats.worker_left(keeper.owner)
        except Exception as error:  # the database may be gone already; a silent worker is forgotten in an hour
            log.info("ended without signing off: %s", error)
