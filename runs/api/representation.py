"""Rows as JSON, for the API and for commands: times in ISO 8601 and UTC with a Z, numbers as ids, whole addresses."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db.models import Count, F, QuerySet
from django.urls import reverse

from flows.infra.times import instant
from flows.models import Flow
from flows.scheduling.cron import in_words
from nodes.ordering import GATE
from runs.engine.recorded import Batch, batches_of
from runs.models import Run, TaskRun
from runs.scheduling.upcoming import next_starts_of
from runs.states import TaskState

NEXT = 5  # due times
Whole = Callable[[str], str]  # path -> address: of a request, its build_absolute_uri


def flow_line(whole: Whole, flow: Flow) -> dict[str, Any]:
    """A flow in a list."""
    return {
        "id": flow.pk,
        "name": flow.name,
        "environment": str(flow.environment),
        "tags": flow.tags,
        "paused": flow.paused,
        "url": whole(reverse("nodes:editor", args=[flow.pk])),
    }


def whole_flow(whole: Whole, flow: Flow, latest: Run | None) -> dict[str, Any]:
    """A flow by itself. Two queries."""
    schedule = None
    if flow.cron:
        schedule = {"cron": flow.cron, "time_zone": flow.time_zone, "sentence": in_words(flow.cron)}
    return {
        **flow_line(whole, flow),
        "description": flow.description,
        "parameters": flow.parameters,
        "schedule": schedule,
        "next_starts": [instant(start.at) for start in next_starts_of(flow, NEXT)],
        "latest_run": runs_as_json(whole, [latest])[0] if latest else None,
    }


def readable_runs() -> QuerySet[Run]:
    """Runs with what `runs_as_json` reads of other tables."""
    heavy = (f"revision__{name}" for name in ("warehouse", "variables", "resources"))
    return Run.objects.select_related("flow", "revision", "triggered_by").defer(*heavy)


def runs_as_json(whole: Whole, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs, each with the counts of its tasks by state. One query for all."""
    counts = {run.pk: dict.fromkeys((state.value for state in TaskState), 0) for run in runs}
    tasks = TaskRun.objects.filter(run__in=counts).exclude(kind=GATE).order_by()
    for run_id, state, number in tasks.values_list("run_id", "state").annotate(number=Count("pk")):
        counts[run_id][state] = number
    return [_run(whole, run, counts[run.pk]) for run in runs]


def _run(whole: Whole, run: Run, tasks: dict[str, int]) -> dict[str, Any]:
    return {
        "id": run.pk,
        "flow": {"id": run.flow_id, "name": run.flow_name},
        "environment": run.environment_name,
        "state": run.state,
        "trigger": run.trigger,
        "started_by": run.triggered_by.get_username() if run.triggered_by else None,
        "parameters": run.parameters,
        "created_at": instant(run.created_at),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.ended_at),
        "cancel_requested_at": instant(run.cancel_requested_at),
        "cancel_requested_by": run.cancel_requested_by or None,
        "tasks": tasks,
        "error": run.error,
        "reason": run.reason,
        "commit": (run.revision.commit if run.revision else "") or None,
        "local_changes": run.revision.local_changes if run.revision and run.revision.commit else None,
        "rerun_of": run.retry_of_id,
        "url": whole(reverse("runs:run", args=[run.pk])),
    }


def readable_tasks(run_id: int) -> QuerySet[TaskRun]:
    """The tasks of a run in the order of the plan, with what `task_as_json` reads of their results."""
    rows = TaskRun.objects.filter(run=run_id).exclude(kind=GATE).defer("spec", "result")
    return rows.annotate(kept_batches=F("result__batches")).order_by("pk")


def task_as_json(task: TaskRun) -> dict[str, Any]:
    """A task of `readable_tasks`."""
    return {
        "id": task.pk,
        "identifier": task.identifier,
        "unique_id": task.unique_id,
        "resource_type": task.resource_type,
        "node": task.node_name,
        "state": task.state,
        "attempts": task.attempts,
        "started_at": instant(task.started_at),
        "finished_at": instant(task.ended_at),
        "reason": task.reason,
        "batches": [_batch(each) for each in batches_of(task.kept_batches)],  # type: ignore[attr-defined]
    }


def _batch(batch: Batch) -> dict[str, Any]:
    start, end = (instant(datetime.fromisoformat(moment)) if moment else None for moment in (batch.start, batch.end))
    return {**asdict(batch), "start": start, "end": end}


def run_with_tasks(whole: Whole, run_id: int) -> dict[str, Any]:
    """{"run", "tasks"}: what the API answers about a run, and all of its tasks."""
    (run,) = runs_as_json(whole, list(readable_runs().filter(pk=run_id)))
    return {"run": run, "tasks": [task_as_json(row) for row in readable_tasks(run_id)]}
