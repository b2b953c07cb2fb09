"""Waiting in tests: patient where the cores are busy, since only what never comes is waited for to the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: How many times longer than on a quiet, fast machine things may take: cores are slow, and the suite keeps them busy.
PATIENCE = 5


def patience(seconds: float) -> float:
    """How long to wait for what comes within so many seconds on a quiet machine."""
    return seconds * PATIENCE


def comes(condition: Callable[[], Any], seconds: float = 60, pause: float = 0.05) -> Any:
    """The condition's value as soon as it is true, or what it was when the time was up."""
    deadline = time.monotonic() + patience(seconds)
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return value


def until(condition: Callable[[], Any], seconds: float = 60, what: str | Callable[[], str] = "") -> Any:
    """Wait for a condition; its value. Fails, saying `what` did not come."""
    if value := comes(condition, seconds):
        return value
    raise AssertionError(f"not within {patience(seconds):g} s: {what() if callable(what) else what or condition}")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block waits for nothing that takes longer; a guard, never a measurement."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < patience(seconds), f"took {took:.1f} s"
