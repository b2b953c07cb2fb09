"""Sends work to workers. A message carries an id and may be lost, doubled or late: the database is the truth.

Distributed: a Celery message. Embedded: the engine process is the broker, so another process (the web, a
command) wakes the engine through its socket and the engine looks into the database at once.
"""

import hashlib
import json
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, transaction

from runs.models import Lane, Run, TaskRun

log = logging.getLogger("dex.dispatch")
_here = threading.Event()  # set in the process that holds the embedded engine
lost_messages = 0
PASS_ON_S = 0.1  # so that a worker whose consumer is still ending does not play with itself
LONGEST_SOCKET = 100  # sun_path has 108 bytes
JOBS = (
    *("plan_run", "execute_task_run", "drive_lane", "follow", "sweep", "announce", "send_message"),
    *("sync_environment", "check_connection", "renew_virtualenv", "build_runtime"),
)


def engine_is_here() -> None:
    """Declare this process the embedded engine: messages go to its own broker."""
    _here.set()


def is_engine_here() -> bool:
    """Whether this process holds the embedded engine."""
    return _here.is_set()


def engine_left() -> None:
    """The embedded engine of this process stopped."""
    _here.clear()


def socket_path() -> Path:
    """Where the embedded engine listens; elsewhere when DEX_HOME is too long for the name of a socket."""
    path = Path(settings.DEX_HOME) / "engine.sock"
    if len(bytes(path)) < LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(bytes(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dex-{os.getuid()}-{digest}.sock"


def run(run_id: int) -> None:
    """A run waits for its plan."""
    _after_commit("plan_run", [run_id])


def followers(run_id: int) -> None:
    """A run has succeeded that other flows start after."""
    _after_commit("follow", [run_id])


def announcement(run_id: int) -> None:
    """A run is over: people may want to know."""
    _after_commit("announce", [run_id])


def message(delivery_id: int) -> None:
    """A message waits to be sent."""
    _after_commit("send_message", [delivery_id])


def syncs(environment_ids: Iterable[int]) -> None:
    """These environments are to be synced."""
    for environment_id in environment_ids:
        _after_commit("sync_environment", [environment_id])


def connection_check(check_id: int) -> None:
    """Somebody requested a check of a connection."""
    _after_commit("check_connection", [check_id])


def warehouse_check(check_id: int) -> None:
    """Somebody requested a test of a warehouse."""
    _after_commit("check_warehouse", [check_id])


def renewal(virtualenv_id: int) -> None:
    """Somebody requested the renewal of a virtualenv."""
    _after_commit("renew_virtualenv", [virtualenv_id])


def runtime_build(build_id: int) -> None:
    """Somebody requested that a dbt runtime is built."""
    _after_commit("build_runtime", [build_id])


def tasks(task_run_ids: Iterable[int]) -> None:
    """These task runs wait for a worker."""
    for task_run_id in task_run_ids:
        _after_commit("execute_task_run", [task_run_id])


def lanes(lane_ids: Iterable[int]) -> None:
    """These lanes have task runs that wait."""
    for lane_id in lane_ids:
        _after_commit("drive_lane", [lane_id])


def hand_back(job: str, identifier: int) -> None:
    """Give a message back to the broker: this worker is stopping, and another may answer it at once.

    The embedded engine has no other, and looks for everything that is queued when it starts again.
    """
    if not settings.EMBEDDED:
        time.sleep(PASS_ON_S)
        _send(job, [identifier])


def _after_commit(job: str, arguments: list[Any]) -> None:
    transaction.on_commit(lambda: _send(job, arguments), robust=True)


def _send(job: str, arguments: list[Any]) -> None:
    global lost_messages
    if settings.EMBEDDED and not _here.is_set():
        wake_engine(job, arguments)
        return
    try:
        current_app.send_task(f"dex.{job}", arguments, retry=False, ignore_result=True)
    except Exception as error:  # any broker error: the next round of repairs sends it again
        lost_messages += 1
        log.warning("could not send %s%s (%s); the next repair pass sends it", job, arguments, error)
        _forget_dispatch(job, arguments)


def _forget_dispatch(job: str, arguments: list[Any]) -> None:
    """What is known not to have been sent is not waited for: the next round of repairs sends it."""
    rows = {"plan_run": Run, "execute_task_run": TaskRun, "drive_lane": Lane}.get(job)
    if rows is None:
        return
    try:
        rows._default_manager.filter(pk__in=arguments).update(dispatched_at=None)
    except DatabaseError as error:  # then it is waited for
        log.warning("could not note that %s%s was not sent: %s", job, arguments, error)


def wake_engine(job: str, arguments: list[Any]) -> bool:
    """Ask the embedded engine of this DEX_HOME for a job; False when none listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(json.dumps([job, arguments]).encode(), str(socket_path()))
        except OSError:
            return False
    return True
