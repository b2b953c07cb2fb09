"""What django-celery-beat sends for dex, and when. The only importer of django_celery_beat."""

import json
import re
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from flows.models import Flow

SWEEPER = "dex:sweep"
_Row = TypeVar("_Row", CrontabSchedule, IntervalSchedule)


def ensure_sweeper() -> None:
    """Have beat start a round of repairs at an interval. Safe to repeat; schedules are shared rows, never edited."""
    every = max(1, round(settings.SWEEP_S))
    interval = _shared(IntervalSchedule, every=every, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.update_or_create(
        name=SWEEPER, defaults={"task": "dex.sweep", "interval": interval, "enabled": True}
    )


def mirror(flow: Flow) -> None:
    """Have beat send a message at the due times of a flow, or no more. The flow's ticks decide what is due.

    Beat knows less than cron (no L, no #, and of two restricted day fields it wants both), so it may send too seldom;
    the sweeper looks at every schedule anyway.
    """
    name = f"flow:{flow.pk}"
    row = _crontab(flow)
    if row is None:
        PeriodicTask.objects.filter(name=name).delete()
        return
    PeriodicTask.objects.update_or_create(
        name=name,
        defaults={"task": "dex.tick", "args": json.dumps([flow.pk]), "crontab": row, "enabled": not flow.paused},
    )


def forget(flow_id: int) -> None:
    """The flow is deleted: delete its schedule."""
    PeriodicTask.objects.filter(name=f"flow:{flow_id}").delete()


def _crontab(flow: Flow) -> CrontabSchedule | None:
    if not flow.cron or re.search(r"[L#W]", flow.cron):
        return None
    minute, hour, day, month, weekday = flow.cron.lower().split()
    return _shared(
        CrontabSchedule,
        minute=minute,
        hour=hour,
        day_of_month=day,
        month_of_year=month,
        day_of_week=weekday,
        timezone=flow.time_zone,
    )


def _shared(model: type[_Row], **fields: Any) -> _Row:
    """A row with these fields: any, since nothing keeps two processes that begin at once from making one each."""
    return model.objects.filter(**fields).order_by("pk").first() or model.objects.create(**fields)


def hide_from_admin() -> None:
    """Its own admin lets whoever may edit a row call any Celery task with any arguments."""
    for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
        if admin.site.is_registered(model):
            admin.site.unregister(model)
