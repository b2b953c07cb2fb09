"""The Django project: settings, URLs, Celery, the admin site."""

from dexsite.celery import app as celery_app

__all__ = ["celery_app"]
