"""How long runs and tasks usually take: medians of what succeeded lately. The one place that says so."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from statistics import median

from django.db import connection

from flows.models import Environment, Flow
from runs.models import Run, TaskRun
from runs.states import RunState, TaskState

RUNS = 20  # latest successes of a flow that say how long it usually takes
TASK_RUNS = 10  # the same of a task: latest runs of its flow
# From each flow to its twentieth newest success and what came since, along the index of a flow's runs: numbering all
# runs would read the whole history. CROSS JOIN keeps SQLite to this order, and means nothing else to PostgreSQL.
_NEWEST = """SELECT r.flow_id, r.started_at, r.ended_at
FROM (SELECT f.id FROM flows_flow f {where}) f CROSS JOIN runs_run r
WHERE r.flow_id = f.id AND r.state = %s AND r.retry_of_id IS NULL AND r.started_at IS NOT NULL AND r.id >= COALESCE(
    (SELECT s.id FROM runs_run s WHERE s.flow_id = f.id AND s.state = %s AND s.retry_of_id IS NULL
     ORDER BY s.id DESC LIMIT 1 OFFSET %s), 0)
"""


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


def usual_duration(run: Run) -> timedelta | None:
    """The median of the flow's latest successes before this run; reruns, which do a part, do not count."""
    if run.flow_id is None:
        return None
    rows = Run.objects.filter(flow=run.flow_id, state=RunState.SUCCEEDED, retry_of=None, pk__lt=run.pk)
    took = [
        (end - start).total_seconds()
        for start, end in rows.order_by("-ended_at").values_list("started_at", "ended_at")[:RUNS]
        if start and end
    ]
    return timedelta(seconds=median(took)) if took else None


def usual_seconds(flow: Flow, keys: Iterable[str]) -> dict[str, float]:
    """key -> median seconds of the task's latest successes in this flow's last runs."""
    runs = Run.objects.filter(flow=flow).order_by("-pk").values_list("pk", flat=True)[:TASK_RUNS]
    rows = TaskRun.objects.filter(run__in=list(runs), state=TaskState.SUCCEEDED, started_at__isnull=False)
    took: dict[str, list[float]] = {}
    for key, start, end in rows.filter(unique_id__in=list(keys)).values_list("unique_id", "started_at", "ended_at"):
        if start and end:
            took.setdefault(key, []).append((end - start).total_seconds())
    return {key: median(seconds) for key, seconds in took.items()}
