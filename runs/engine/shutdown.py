"""The end of a worker: nothing new is taken, what executes may finish for a while, the rest is broken off."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

draining = threading.Event()  # the worker is stopping: nothing new is claimed
_working: set[threading.Event] = set()
LAST_S = 15  # how long what was broken off may take to put everything back


@contextmanager
def working() -> Iterator[threading.Event]:
    """Say that this thread executes something; the event says when to break it off."""
    stop_now = threading.Event()
    _working.add(stop_now)
    try:
        yield stop_now
    finally:
        _working.discard(stop_now)


def wait_for_work(grace: float) -> None:
    """Wait until what this process executes is over, at most `grace` seconds; then break it off."""
    _wait(grace)
    end_work()
    _wait(LAST_S)


def end_work() -> None:
    """Break off what this process executes; it is queued again for the next worker."""
    for stop_now in list(_working):
        stop_now.set()


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while _working and time.monotonic() < end:
        time.sleep(0.05)
