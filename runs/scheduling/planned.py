"""Starts that somebody plans for one time: the due time is written at once, and decided when it comes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from flows.access import require
from flows.models import Flow, Tick
from flows.parameters import check_values
from runs.services import RunError

FURTHEST = timedelta(days=366)
MOST = 100  # of one flow


def plan_start(flow: Flow, at: datetime, *, parameters: Mapping[str, Any] | None = None) -> Tick:
    """Plan one start of `flow`, beside its schedule, at an aware time to the minute or finer.

    In: `parameters`, values for the flow's declared parameters. Out: its due time, PLANNED. Raises RunError for a time
    that is over, too far off or taken, and flows.parameters.ParameterError.
    """
    actor = require("runs.add_run")
    values = check_values(flow.parameters, parameters or {})
    now = timezone.now()
    if at <= now:
        raise RunError("This time has passed. Choose a later one.")
    if at > now + FURTHEST:
        raise RunError("A start can be planned at most a year ahead.")
    if flow.ticks.filter(outcome=Tick.Outcome.PLANNED).count() >= MOST:
        raise RunError(f"{MOST} starts of this flow are already planned. Use a schedule instead.")
    try:
        with transaction.atomic():
            return Tick.objects.create(
                flow=flow,
                due_at=at,
                cause=Tick.Cause.ONCE,
                outcome=Tick.Outcome.PLANNED,
                planned_by=actor.name,
                parameters=values,
            )
    except IntegrityError:
        raise RunError("A start of this flow is already planned for this time.") from None


def withdraw_start(tick: Tick) -> bool:
    """Take back a planned start; False when its time came meanwhile, or somebody took it back before."""
    require("runs.add_run")
    return bool(Tick.objects.filter(pk=tick.pk, outcome=Tick.Outcome.PLANNED).delete()[0])
