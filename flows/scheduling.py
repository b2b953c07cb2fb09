"""The clock's side of dex: what django-celery-beat rings. The only importer of django_celery_beat."""

from django.conf import settings
from django.contrib import admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

SWEEPER = "dex:sweep"


def ensure_sweeper() -> None:
    """Have beat ring the sweeper at an interval. Safe to repeat; schedules are shared rows and never edited."""
    interval, _ = IntervalSchedule.objects.get_or_create(
        every=max(1, round(settings.SWEEP_S)), period=IntervalSchedule.SECONDS
    )
    PeriodicTask.objects.update_or_create(
        name=SWEEPER, defaults={"task": "dex.sweep", "interval": interval, "enabled": True}
    )


def hide_from_admin() -> None:
    """Its own admin lets whoever may edit a row call any Celery task with any arguments."""
    for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
        if admin.site.is_registered(model):
            admin.site.unregister(model)
