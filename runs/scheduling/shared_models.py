"""Which models more than one flow of an environment builds."""

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from flows.models import Environment
from nodes.models import Node, Task


@dataclass(frozen=True)
class Shared:
    """Which models several flows of one environment build: the flows that share them, and their names in order."""

    groups: dict[tuple[int, ...], list[str]]

    def partners(self) -> dict[int, set[int]]:
        """Flow -> the flows that it shares a model with."""
        pairs: dict[int, set[int]] = defaultdict(set)
        for group in self.groups:
            for flow_id in group:
                pairs[flow_id].update(group)
        for flow_id, others in pairs.items():
            others.discard(flow_id)
        return dict(pairs)

    def models(self, one: int, other: int) -> list[str]:
        """What both of two flows build, by name."""
        return sorted(name for group, names in self.groups.items() if one in group and other in group for name in names)


def shared_models(environment: Environment | None = None) -> Shared:
    """The models and tables that more than one flow of the same environment makes. At most three queries.

    Tests and hooks build nothing, and a node that only tests does not either.
    """
    rows = Task.objects.filter(runs=True, built_by="").exclude(node__command=Node.Command.TEST)
    rows = rows.exclude(resource_type__in=("test", "unit_test", "operation", "hook"))
    if environment is not None:
        rows = rows.filter(node__flow__environment=environment)
    several = (
        rows.order_by()
        .values("unique_id")
        .annotate(number=Count("node__flow_id", distinct=True))
        .filter(number__gt=1)
        .values("unique_id")
    )
    builders: dict[tuple[int, str, str], set[int]] = defaultdict(set)
    tasks = rows.filter(unique_id__in=several).order_by("identifier")
    for where, unique_id, identifier, flow_id in tasks.values_list(
        "node__flow__environment_id", "unique_id", "identifier", "node__flow_id"
    ):
        builders[where, unique_id, identifier].add(flow_id)
    _add_parts(builders, rows)
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for (_, _, identifier), ids in sorted(builders.items(), key=lambda item: item[0][2]):
        if len(ids) > 1:
            groups[tuple(sorted(ids))].append(identifier)
    return Shared(dict(groups))


def _add_parts(builders: dict[tuple[int, str, str], set[int]], rows: QuerySet[Task]) -> None:
    """What tasks make that make several things, and whoever makes one of those alone."""
    columns = ("node__flow__environment_id", "node__flow_id")
    parts: set[str] = set()
    for where, flow_id, makes in rows.exclude(makes={}).values_list(*columns, "makes"):
        parts |= makes.keys()
        for unique_id, identifier in makes.items():
            builders[where, unique_id, identifier].add(flow_id)
    alone = rows.filter(unique_id__in=parts) if parts else rows.none()
    for where, flow_id, unique_id, identifier in alone.values_list(*columns, "unique_id", "identifier"):
        builders[where, unique_id, identifier].add(flow_id)
