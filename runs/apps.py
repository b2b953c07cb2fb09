"""The app of Django."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """What happened: runs, task runs, attempts, transitions."""

    name = "runs"
