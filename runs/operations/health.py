"""The health of the components that dex needs: scheduler, workers, database, broker. Nothing here makes a page wait."""

import logging
import threading
import time
from dataclasses import dataclass

from celery import current_app
from django.conf import settings
from django.db import connection

from runs.operations.heartbeats import Health

log = logging.getLogger("dex.overview")
ASKED_EVERY_S = 30
WAITED_S = 0.3  # by the page that asks first; later ones take what is known
SLOW_MS = 100


@dataclass(frozen=True)
class Component:
    """One component: `state` is a state's name for colour and icon, `said` says it in words."""

    name: str
    state: str
    said: str


def components(health: Health) -> list[Component]:
    """All components, the most needed first. One query."""
    return [_scheduler(health), _workers(health), _database(), _broker()]


def _scheduler(health: Health) -> Component:
    if health.scheduler_is_silent:
        return Component("Scheduler", "failed", "silent" if health.sweeper else "no heartbeat yet")
    if not settings.EMBEDDED and health.beat_is_silent:
        return Component("Scheduler", "waiting", "works, but beat is silent")
    return Component("Scheduler", "succeeded", "works")


def _workers(health: Health) -> Component:
    number = len(health.alive)
    threads = sum(int(worker.detail.get("threads", 0)) for worker in health.alive)
    if not number:
        return Component("Workers", "failed", "none")
    return Component("Workers", "succeeded", f"{number}, {threads} thread{'' if threads == 1 else 's'}")


def _database() -> Component:
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    took = (time.perf_counter() - began) * 1000
    state = "succeeded" if took < SLOW_MS else "waiting"
    return Component("Database", state, f"{connection.display_name}, {took:.1f} ms")


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


def _broker() -> Component:
    if settings.EMBEDDED:
        return Component("Broker", "succeeded", "embedded")
    answers = _asked.known()
    if answers is None:
        return Component("Broker", "waiting", "no answer yet")
    kind = settings.CELERY_BROKER_URL.partition("://")[0]
    return (
        Component("Broker", "succeeded", kind) if answers else Component("Broker", "failed", f"{kind} does not answer")
    )
