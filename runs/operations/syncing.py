"""When environments are synced: after a push, at an interval, or because somebody clicked; always by a worker. What a
repository says is never read by the process that answers requests."""

import logging
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from flows.models import Environment
from nodes.services.sync import SyncError, SyncStopped, sync
from runs import dispatch
from runs.engine.shutdown import draining

log = logging.getLogger("dex.sync")
PATIENCE = timedelta(seconds=60)  # a sync that was asked for and has not happened yet is dispatched again


def ask_to_sync(environments: QuerySet[Environment]) -> int:
    """Want these environments synced by a worker; how many they are."""
    pks = list(environments.values_list("pk", flat=True))
    Environment.objects.filter(pk__in=pks).update(sync_requested_at=timezone.now())
    dispatch.syncs(pks)
    return len(pks)


def sync_if_requested(environment_id: int) -> None:
    """Sync an environment if somebody still wants that; the request ends with the sync, so a crash loses nothing."""
    row = (
        Environment.objects.select_related("project").filter(pk=environment_id, sync_requested_at__isnull=False).first()
    )
    if row is None:
        return
    try:
        sync(row, stop=draining.is_set)
    except SyncStopped:  # still wanted: whoever comes next does it
        return
    except SyncError as error:  # noted on the environment, which keeps its last good revision
        log.info("%s does not sync: %s", row, error)
    except Exception as error:  # a full disk, a fault of dex: whoever waits for it must see an end
        log.exception("%s could not be synced", row)
        message = f"It could not be synced: {type(error).__name__}: {error}"
        Environment.objects.filter(pk=row.pk).update(sync_error=message[:2000], synced_at=timezone.now())
    Environment.objects.filter(pk=row.pk, sync_requested_at=row.sync_requested_at).update(sync_requested_at=None)


def sync_what_is_due() -> None:
    """Ask for the environments whose interval is over, and again for those that were asked for long ago."""
    now = timezone.now()
    rows = Environment.objects.filter(sync_every__gt=0, sync_requested_at=None).values_list(
        "pk", "sync_every", "synced_at"
    )
    due = [pk for pk, every, at in rows if at is None or at <= now - timedelta(minutes=every)]
    if due:
        ask_to_sync(Environment.objects.filter(pk__in=due))
    late = Environment.objects.filter(sync_requested_at__lt=now - PATIENCE).exclude(pk__in=due)
    dispatch.syncs(late.values_list("pk", flat=True))


def is_late(row: Environment) -> bool:
    """Whether a sync was asked for so long ago that one may wonder about workers."""
    return row.sync_requested_at is not None and timezone.now() - row.sync_requested_at > PATIENCE
