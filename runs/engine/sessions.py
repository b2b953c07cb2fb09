"""Warm dbt sessions of this process: kept open for a while after a run, for the next one of the same revision."""

import threading
import time
from dataclasses import dataclass

from django.conf import settings

from nodes.dbt.client import DbtClient

MOST_IDLE = 3  # a session of a large project takes some 300 MB


@dataclass
class _Idle:
    key: str
    client: DbtClient
    since: float


_idle: list[_Idle] = []
_lock = threading.Lock()


def take(key: str) -> DbtClient | None:
    """A living warm session for `key`, which is the caller's from now on; None when there is none."""
    with _lock:
        for entry in reversed(_idle):
            if entry.key == key:
                _idle.remove(entry)
                if entry.client.alive:
                    return entry.client
    return None


def keep(key: str, client: DbtClient) -> None:
    """Keep an open session that nobody uses; the oldest goes when there are too many."""
    with _lock:
        _idle.append(_Idle(key, client, time.monotonic()))
        surplus = [entry for entry in _idle[:-MOST_IDLE]]
        for entry in surplus:
            _idle.remove(entry)
    for entry in surplus:
        entry.client.close()


def expire() -> None:
    """Close what was idle longer than SESSION_WARM_S."""
    limit = time.monotonic() - settings.SESSION_WARM_S
    with _lock:
        old = [entry for entry in _idle if entry.since < limit or not entry.client.alive]
        for entry in old:
            _idle.remove(entry)
    for entry in old:
        entry.client.close()


def close_all() -> None:
    """Close every idle session; for the end of the process."""
    with _lock:
        old = _idle[:]
        _idle.clear()
    for entry in old:
        entry.client.close()
