"""The Celery application: `celery -A dexsite worker` and `celery -A dexsite beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dexsite.settings")

app = Celery("dex")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["runs"], related_name="jobs")
app.autodiscover_tasks(["runs.operations"], related_name="worker")
