"""The round of repairs that every process which executes runs makes again and again.

A Heartbeat row lets one process a round through, so any number may call.
"""

import logging

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from runs.alerts.watching import watch
from runs.clock import ago
from runs.engine.recovery import dispatch_again, fail_what_never_started, finish_cancels, reap, release_stalled
from runs.engine.release import queue_due
from runs.models import Heartbeat
from runs.operations.metrics import count_moves
from runs.operations.openlineage import send_lineage
from runs.operations.retention import prune
from runs.operations.runtime_builds import dispatch_what_waits
from runs.operations.syncing import sync_what_is_due
from runs.scheduling.following import follow_all
from runs.scheduling.ticking import tick_all

log = logging.getLogger("dex.sweep")
STALLED_AFTER_SWEEPS = 6
COUNT_EVERY_SWEEPS = 2
PRUNE_EVERY_S, PRUNE_S = 24 * 3600, 1
SYNC_EVERY_S = 20


def sweep(*, force: bool = False) -> bool:
    """One round of repairs; False when another process had its round just now.

    In: `force`, for the engine's start: repair whoever had a round when, and dispatch all that is queued, since the
    messages of an earlier process were lost with it.
    """
    if not (_my_turn("sweep", settings.SWEEP_S / 2) or force):
        return False
    losses = reap()
    queue_due()
    tick_all()
    follow_all()
    finish_cancels()
    fail_what_never_started()
    # A lost worker took the messages with it that it had fetched and not answered yet.
    dispatch_again(patient=not losses, all_of_them=force)
    if _my_turn("count", settings.SWEEP_S * COUNT_EVERY_SWEEPS):
        count_moves()
        send_lineage()
    release_stalled(all_of_them=_my_turn("release", settings.SWEEP_S * STALLED_AFTER_SWEEPS) or force)
    if _my_turn("sync", SYNC_EVERY_S):
        sync_what_is_due()
        dispatch_what_waits()
    if _my_turn("watch", settings.SWEEP_S) or force:
        _watch()
    if _my_turn("prune", PRUNE_EVERY_S):
        _prune()
    return True


def _prune() -> None:
    """Delete a little of what is too old; the rest in the next rounds, because repairs wait meanwhile."""
    try:
        if not prune(timezone.now(), seconds=PRUNE_S).finished:
            Heartbeat.objects.filter(pk="prune").update(at=ago(PRUNE_EVERY_S))
    except Exception:  # a full disk or a busy database must not hold up repairs
        log.exception("pruning")


def _watch() -> None:
    try:
        watch()
    except Exception:  # messages must not hold up repairs
        log.exception("messages")


def _my_turn(name: str, interval: float) -> bool:
    with transaction.atomic():
        if Heartbeat.objects.filter(pk=name, at__lte=ago(interval)).update(at=Now()):
            return True
        _, created = Heartbeat.objects.get_or_create(pk=name, defaults={"at": Now()})
    return created
