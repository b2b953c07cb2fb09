"""Starts that nobody watches: on a schedule, after other flows, planned. Nobody gives a value to a parameter then."""

from collections.abc import Iterator

from django.db.models import Exists, OuterRef

from flows.models import Environment, Flow, Follow, Tick
from flows.parameters import Declarations, ParameterError, check_values, without_a_value


def refusal(declared: Declarations, *, cron: str, follows: bool) -> str:
    """Why each start of a flow by itself would be refused, and what to do; "" where none would.

    In: the flow's declared parameters, its schedule, and whether it starts after other flows.
    """
    names = without_a_value(declared)
    if not names or not (cron or follows):
        return ""
    by = " and ".join(["by its schedule"] * bool(cron) + ["after other flows"] * follows)
    away = " or ".join(["the schedule"] * bool(cron) + ["the flows before it"] * follows)
    return (
        f"The flow starts {by}, so nobody can enter a value for {', '.join(names)}. Every start would fail. "
        f"Give {'it' if len(names) == 1 else 'each'} a default, or remove {away}."
    )


def refusal_of_planned(flow: Flow, declared: Declarations) -> str:
    """Why a start that is planned already would be refused with these parameters; "" where none would."""
    if flow.pk is None:
        return ""
    for tick in flow.ticks.filter(outcome=Tick.Outcome.PLANNED).order_by("due_at"):
        try:
            check_values(declared, tick.parameters)
        except ParameterError as error:
            message = f"A start is planned for {tick.due_at:%Y-%m-%d %H:%M} UTC, which would fail: {error}"
            return f"{message} Set a default, or cancel that start first."
    return ""


def cannot_start(environment: Environment | None = None) -> Iterator[tuple[Flow, str]]:
    """Flows whose starts by themselves would all be refused, by name, and why. One query."""
    rows = Flow.objects.filter(paused=False).exclude(parameters=[]).order_by("name")
    rows = rows.annotate(after_others=Exists(Follow.objects.filter(flow=OuterRef("pk"))))
    if environment is not None:
        rows = rows.filter(environment=environment)
    for flow in rows:
        if reason := refusal(flow.parameters, cron=flow.cron, follows=flow.after_others):
            yield flow, reason
