"""What history and definitions say of flows: how long a run usually takes, and which models two of them share."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db import connection
from django.db.models import Count, QuerySet

from flows.models import Environment
from nodes.models import Node, Task
from runs.states import RunState

RUNS = 20  # of which the duration is taken
# From each flow to its twentieth newest success and what came since, along the index of a flow's runs: numbering all
# runs would read the whole history. CROSS JOIN keeps SQLite to this order, and means nothing else to PostgreSQL.
_NEWEST = """SELECT r.flow_id, r.started_at, r.ended_at
FROM (SELECT f.id FROM flows_flow f {where}) f CROSS JOIN runs_run r
WHERE r.flow_id = f.id AND r.state = %s AND r.retry_of_id IS NULL AND r.started_at IS NOT NULL AND r.id >= COALESCE(
    (SELECT s.id FROM runs_run s WHERE s.flow_id = f.id AND s.state = %s AND s.retry_of_id IS NULL
     ORDER BY s.id DESC LIMIT 1 OFFSET %s), 0)
"""


@dataclass(frozen=True)
class Shared:
    """Which models several flows of one environment build: the flows that share them, and their names in order."""

    groups: dict[tuple[int, ...], list[str]]

    def partners(self) -> dict[int, set[int]]:
        """Flow -> the flows that it shares a model with."""
        made: dict[int, set[int]] = defaultdict(set)
        for group in self.groups:
            for flow_id in group:
                made[flow_id].update(group)
        for flow_id, others in made.items():
            others.discard(flow_id)
        return dict(made)

    def models(self, one: int, other: int) -> list[str]:
        """What both of two flows build, by name."""
        return sorted(name for group, names in self.groups.items() if one in group and other in group for name in names)


def durations(environment: Environment | None = None, *, flows: Collection[int] | None = None) -> dict[int, timedelta]:
    """Flow -> the median duration of its last RUNS runs that succeeded; flows without any are left out. One query.

    Reruns, which do a part, do not count.

    Of one environment, or of these flows alone, when they are given.
    """
    where, values = ("", []) if environment is None else ("WHERE f.environment_id = %s", [environment.pk])
    if flows is not None:
        where, values = f"WHERE f.id IN ({', '.join(['%s'] * len(flows))})", list(flows)
    took: dict[int, list[float]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            _NEWEST.format(where=where), [*values, RunState.SUCCEEDED.value, RunState.SUCCEEDED.value, RUNS - 1]
        )
        for flow_id, started_at, ended_at in cursor.fetchall():
            took[flow_id].append((_moment(ended_at) - _moment(started_at)).total_seconds())
    return {flow_id: timedelta(seconds=max(median(seconds), 0)) for flow_id, seconds in took.items()}


def _moment(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)  # SQLite keeps texts


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
    found = rows.filter(unique_id__in=several).order_by("identifier")
    for where, unique_id, identifier, flow_id in found.values_list(
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
