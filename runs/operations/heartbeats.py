"""Signs of life: which parts of dex showed that they live, and which schedules did not start what they should."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Q
from django.db.models.functions import Now
from django.utils import timezone

from flows.infra import process
from flows.infra.private_files import exposed
from flows.models import Environment, Flow, Tick
from runs.clock import ago
from runs.models import Heartbeat, Run
from runs.scheduling.upcoming import first_undecided
from runs.states import RUN_ACTIVE

SILENT_AFTER = timedelta(minutes=2)
FORGOTTEN_AFTER_S = 3600
LOOKS_BACK = timedelta(days=1)
WORKER = "worker:"
BEAT = "beat"
SWEEPER = "sweep"


def beat_of(name: str, **detail: object) -> None:
    """Record that a part of dex lives: `name` is BEAT, or WORKER with the name of a process."""
    Heartbeat.objects.update_or_create(pk=name, defaults={"at": Now(), "detail": detail})


def worker_lives(owner: str, host: str) -> None:
    """Record that a process that executes runs lives; forget those that have long been gone."""
    keeps = process.isolation()
    beat_of(
        WORKER + owner,
        host=host,
        pid=os.getpid(),
        threads=settings.WORKER_THREADS,
        isolation=keeps.level,
        other_user=keeps.other_user,
        missing=keeps.missing,
        exposed=[str(path) for path in exposed(settings.DEX_HOME, settings.DATABASE_FILE)],
    )
    Heartbeat.objects.filter(pk__startswith=WORKER, at__lt=ago(FORGOTTEN_AFTER_S)).delete()


def worker_left(owner: str) -> None:
    """A process that executes runs stops in order."""
    Heartbeat.objects.filter(pk=WORKER + owner).delete()


@dataclass(frozen=True)
class Overdue:
    """A flow whose schedule should have been looked at, and was not."""

    flow: Flow
    due_at: datetime


@dataclass(frozen=True)
class Health:
    """What is known of the parts of dex. Times are aware; None: never seen."""

    sweeper: datetime | None
    beat: datetime | None
    workers: list[Heartbeat]
    now: datetime

    @property
    def alive(self) -> list[Heartbeat]:
        """The workers that showed themselves lately."""
        return [worker for worker in self.workers if self.now - worker.at < SILENT_AFTER]

    @property
    def scheduler_is_silent(self) -> bool:
        """Whether nothing looks at schedules and queues."""
        return self.sweeper is None or self.now - self.sweeper >= SILENT_AFTER

    @property
    def beat_is_silent(self) -> bool:
        """Whether beat is silent; harmless as long as a worker sweeps."""
        return self.beat is None or self.now - self.beat >= SILENT_AFTER


def health(now: datetime | None = None) -> Health:
    """What the parts of dex last said. One query."""
    rows = {row.pk: row for row in Heartbeat.objects.all()}
    workers = sorted((row for name, row in rows.items() if name.startswith(WORKER)), key=lambda row: row.pk)
    at = {name: row.at for name, row in rows.items()}
    return Health(at.get(SWEEPER), at.get(BEAT), workers, now or timezone.now())


def something_waits_for_the_engine(environment: Environment | None = None) -> bool:
    """Whether a silent engine matters: something is going on, or would start by itself."""
    flows = Flow.objects.filter(paused=False).filter(_of(environment))
    return (
        Run.objects.filter(state__in=RUN_ACTIVE).exists()
        or flows.filter(~Q(cron="") | Q(follows__isnull=False)).exists()
        or Tick.objects.filter(outcome=Tick.Outcome.PLANNED).exists()
    )


def overdue(environment: Environment | None = None, now: datetime | None = None) -> Iterator[Overdue]:
    """Flows with a due time that is over by more than two minutes and has no recorded outcome. One query."""
    at = now or timezone.now()
    for flow in Flow.objects.filter(_of(environment), paused=False).exclude(cron=""):
        if flow.decided_until is not None and (due := first_undecided(flow)) + flow.delay <= at - SILENT_AFTER:
            yield Overdue(flow, due)


def did_not_start(environment: Environment | None = None, now: datetime | None = None) -> list[dict[str, object]]:
    """Flows with due times of the last day that were missed or refused, the latest first.

    Out: {"flow": id, "flow__name", "number", "latest" (due time), "refused" (number)}. One query.
    """
    since = (now or timezone.now()) - LOOKS_BACK
    failed = Tick.objects.filter(due_at__gte=since, outcome__in=[Tick.Outcome.MISSED, Tick.Outcome.REFUSED])
    if environment is not None:
        failed = failed.filter(flow__environment=environment)
    counted = (
        failed.order_by()
        .values("flow", "flow__name")
        .annotate(number=Count("pk"), latest=Max("due_at"), refused=Count("pk", filter=Q(outcome=Tick.Outcome.REFUSED)))
    )
    return [dict(row) for row in counted.order_by("-latest")]


def _of(environment: Environment | None) -> Q:
    return Q() if environment is None else Q(environment=environment)
