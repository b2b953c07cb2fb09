"""Which flow starts after which: never in a circle."""

from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter

from django.core.exceptions import ValidationError
from django.utils import timezone

from flows.models import Environment, Flow, Follow


def circle_through(flow: Flow, ups: Collection[Flow]) -> list[str]:
    """The names of the flows of the circle that would be closed if `flow` started after `ups`; empty without one."""
    arrows = Follow.objects.exclude(flow=flow.pk).values_list("flow_id", "up_id")
    waits_for: dict[int, set[int]] = {}
    for down, up in [*arrows, *((flow.pk, each.pk) for each in ups)]:
        waits_for.setdefault(down, set()).add(up)
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        ring = error.args[1][:-1]
        first = ring.index(flow.pk) if flow.pk in ring else 0
        ids = [*ring[first:], *ring[:first], ring[first]]
        names = dict(Flow.objects.filter(pk__in=ids).values_list("pk", "name")) | {flow.pk: flow.name}
        return [names[pk] for pk in ids]
    return []


def follow(flow: Flow, ups: Collection[Flow]) -> None:
    """Let `flow` start after each success of all of `ups`, instead of those before. Belongs into a transaction.

    What succeeded until now starts nothing. Raises ValidationError for a circle.
    """
    existing = {row.up_id: row for row in flow.follows.all()}
    up_ids = {up.pk for up in ups}
    if set(existing) == up_ids:
        return
    # Two people who each close one half of a circle at the same moment: the second sees the first one's half.
    list(Environment.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    if circle := circle_through(flow, ups):
        raise ValidationError({"after": circle_said(circle)})
    flow.follows.exclude(up__in=up_ids).delete()
    now = timezone.now()
    Follow.objects.bulk_create(Follow(flow=flow, up_id=pk, since=now) for pk in sorted(up_ids - set(existing)))


def circle_said(circle: list[str]) -> str:
    """A circle in words; each flow starts after the one before it."""
    return f"This would create a cycle: {' → '.join(circle)}."
