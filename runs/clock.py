"""Time as the database tells it, so that a worker with a wrong clock cannot expire another's lease."""

from datetime import timedelta

from django.db.models.expressions import Combinable
from django.db.models.functions import Now


def after(seconds: float) -> Combinable:
    """The database's time `seconds` from now (UTC)."""
    return Now() + timedelta(seconds=seconds)


def ago(seconds: float) -> Combinable:
    """The database's time `seconds` ago (UTC)."""
    return Now() - timedelta(seconds=seconds)
