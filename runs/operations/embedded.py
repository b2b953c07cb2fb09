"""The engine of an installation without servers: worker, beat and broker in this process."""

import fcntl
import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from celery import current_app
from celery.beat import Service
from celery.worker import state as worker_state
from django.conf import settings
from django.db import connections

from runs import dispatch
from runs.engine import sessions, shutdown
from runs.engine.leases import keeper
from runs.operations import rounds
from runs.operations.maintenance import Housekeeping

log = logging.getLogger("dex.engine")


class EngineRunningError(Exception):
    """Another process of this DEX_HOME holds the engine."""


class Engine:
    """Celery worker on threads, beat and the in-memory broker. One per DEX_HOME: a file lock says whose it is."""

    def __init__(self) -> None:
        self._lock: IO[str] | None = None
        self._listener: socket.socket | None = None
        self._worker: Any = None
        self._beat: Service | None = None
        self._housekeeping = Housekeeping()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take the lock and start; raises EngineRunningError when another process has it."""
        home = Path(settings.DEX_HOME)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (home / "engine.lock").open("a")  # not "w": a second start must not erase whose it is
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise EngineRunningError("dex is already running on this DEX_HOME") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        shutdown.draining.clear()
        dispatch.engine_is_here()
        self._listen()
        worker_state.should_stop = worker_state.should_terminate = None
        self._worker = current_app.WorkController(
            app=current_app,
            pool_cls="threads",
            concurrency=settings.WORKER_THREADS,
            hostname=f"engine@{keeper.owner}",
            loglevel="WARNING",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            quiet=True,
        )
        self._run("worker", self._worker.start)
        self._beat = Service(
            current_app, scheduler_cls=settings.CELERY_BEAT_SCHEDULER, max_interval=min(5, settings.SWEEP_S)
        )
        self._run("beat", lambda: self._beat and self._beat.start(embedded_process=False))
        self._housekeeping.start()
        rounds.sweep(force=True)  # go on where the last engine stopped

    def _run(self, name: str, target: Callable[[], Any]) -> None:
        thread = threading.Thread(target=target, name=f"dex-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _listen(self) -> None:
        path = dispatch.socket_path()
        path.unlink(missing_ok=True)  # the lock is ours, so what lies there is left over
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._run("listener", self._answer_knocks)

    def _answer_knocks(self) -> None:
        listener = self._listener
        while listener is not None and self._listener is listener:
            try:
                job, arguments = json.loads(listener.recv(4096))
            except OSError:
                return
            except (ValueError, TypeError):
                continue
            if job in dispatch.JOBS and isinstance(arguments, list):
                current_app.send_task(f"dex.{job}", arguments, ignore_result=True)

    def close_sessions(self) -> None:
        """Close warm sessions, so that the next run starts cold."""
        sessions.close_all()

    def hurry(self) -> None:
        """End what still runs at once; for the second Ctrl-C."""
        shutdown.end_work()

    def stop(self, grace: float | None = None) -> None:
        """Take nothing new, let what runs finish for `grace` seconds, end the rest; what was lost is queued again."""
        grace = settings.SHUTDOWN_GRACE_S if grace is None else grace
        shutdown.draining.set()
        self._housekeeping.stop()
        if self._beat is not None:
            self._beat.stop(wait=False)
        if self._listener is not None:
            listener, self._listener = self._listener, None
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # close() alone would not wake the thread that receives
            listener.close()
            dispatch.socket_path().unlink(missing_ok=True)
        shutdown.wait_for_work(grace)
        worker_state.should_stop = 0
        for _ in range(2):  # the consumer looks at the flag between two messages, and waits for one more before it ends
            current_app.send_task("dex.wake", ignore_result=True)
        for thread in self._threads:
            thread.join(5)
        sessions.close_all()
        dispatch.engine_left()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        shutdown.draining.clear()  # another engine may start in this process
        connections.close_all()
