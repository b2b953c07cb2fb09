"""What a `celery -A dexsite worker` process does beside answering messages: repair, and stop without loss."""

import threading
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings

from runs import dispatch
from runs.engine import sessions, shutdown
from runs.operations.maintenance import Housekeeping

_housekeeping: list[Housekeeping] = []


@worker_ready.connect
def _began(**_: Any) -> None:
    if not dispatch.is_engine_here():  # the embedded engine has its own
        thread = Housekeeping()
        thread.start()
        _housekeeping.append(thread)


@worker_shutting_down.connect
def _stopping(**_: Any) -> None:
    """Celery waits for running jobs; nothing new is taken, and what outlasts the grace is broken off."""
    shutdown.draining.set()
    for thread in _housekeeping:
        thread.stop()
    threading.Thread(target=shutdown.wait_for_work, args=[settings.SHUTDOWN_GRACE_S], daemon=True).start()


@worker_shutdown.connect
def _stopped(**_: Any) -> None:
    sessions.close_all()
