"""The health of the parts that dex needs: scheduler, workers, database, broker. Nothing here makes a page wait."""

import logging
import threading
import time
from dataclasses import dataclass

from celery import current_app
from django.conf import settings
from django.db import connection

from runs.operations.heartbeats import Vitals

log = logging.getLogger("dex.overview")
ASKED_EVERY_S = 30
WAITED_S = 0.3  # by the page that asks first; later ones take what is known
SLOW_MS = 100


@dataclass(frozen=True)
class Part:
    """One part: `state` is a state's name for colour and icon, `said` says it in words."""

    name: str
    state: str
    said: str


def parts(signs: Vitals) -> list[Part]:
    """All parts, the most needed first. One query."""
    return [_scheduler(signs), _workers(signs), _database(), _broker()]


def _scheduler(signs: Vitals) -> Part:
    if signs.scheduler_is_silent:
        return Part("Scheduler", "failed", "silent" if signs.sweeper else "not seen yet")
    if not settings.EMBEDDED and signs.beat_is_silent:
        return Part("Scheduler", "waiting", "works, beat is silent")
    return Part("Scheduler", "succeeded", "works")


def _workers(signs: Vitals) -> Part:
    number = len(signs.alive)
    threads = sum(int(worker.detail.get("threads", 0)) for worker in signs.alive)
    if not number:
        return Part("Workers", "failed", "none")
    return Part("Workers", "succeeded", f"{number}, {threads} thread{'' if threads == 1 else 's'}")


def _database() -> Part:
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    took = (time.perf_counter() - began) * 1000
    state = "succeeded" if took < SLOW_MS else "waiting"
    return Part("Database", state, f"{connection.display_name}, {took:.1f} ms")


class _Broker:
    """What is known of the broker; asked in a thread of its own, because a dead one may take long to say nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self.answers: bool | None = None

    def known(self) -> bool | None:
        """Whether it answered when it was asked last; None: it has not been heard yet."""
        with self._lock:
            fresh = time.monotonic() - self._asked < ASKED_EVERY_S
            if not fresh:
                self._asked = time.monotonic()
        if not fresh:
            thread = threading.Thread(target=self._ask, name="dex-broker", daemon=True)
            thread.start()
            if self.answers is None:
                thread.join(WAITED_S)
        return self.answers

    def _ask(self) -> None:
        try:
            with current_app.connection_for_write(connect_timeout=2) as link:
                link.ensure_connection(max_retries=1, timeout=2)
            self.answers = True
        except Exception as error:  # whatever a transport raises
            log.warning("the broker does not answer: %s", error)
            self.answers = False


_asked = _Broker()


def _broker() -> Part:
    if settings.EMBEDDED:
        return Part("Broker", "succeeded", "embedded")
    answers = _asked.known()
    if answers is None:
        return Part("Broker", "waiting", "has not answered yet")
    kind = settings.CELERY_BROKER_URL.partition("://")[0]
    return Part("Broker", "succeeded", kind) if answers else Part("Broker", "failed", f"{kind} does not answer")
