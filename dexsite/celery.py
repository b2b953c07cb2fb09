"""The Celery application: `celery -A dexsite worker` and `celery -A dexsite beat`."""

import os
from typing import Any

from celery import Celery
from celery.fixups import django as fixups

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dexsite.settings")


class _Connections(fixups.DjangoWorkerFixup):
    """A thread of a worker keeps its connection to the database from task to task, as Django's requests do.

    Celery would close it before and after each. Opening one costs more than half of what a short task needs:
    PostgreSQL starts a process, SQLite reads the schema. CONN_MAX_AGE and CONN_HEALTH_CHECKS hold.
    """

    def install(self) -> "_Connections":
        self._close_database()  # none is there when the worker forks
        super().install()
        return self

    def close_database(self, **_: Any) -> None:
        from django.db import close_old_connections

        close_old_connections()


fixups.DjangoWorkerFixup = _Connections
app = Celery("dex")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["runs"], related_name="jobs")
app.autodiscover_tasks(["runs.operations"], related_name="worker")
