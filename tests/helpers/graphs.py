"""Small runs of obedient tasks, and a loop that does what workers would."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from runs.bench.orchestration import bench_flow
from runs.engine.executor import execute_task_run
from runs.engine.release import queue_due, release
from runs.models import Run, TaskRun, Trigger
from runs.states import RunState, TaskState
from runs.transitions import move_run, open_run, open_task_runs

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def open_graph(
    graph: Mapping[str, tuple[str, ...]] = DIAMOND,
    specs: Mapping[str, dict[str, Any]] | None = None,
    *,
    kinds: Mapping[str, str] | None = None,
    waits_for: Mapping[str, str] | None = None,
    start: bool = True,
) -> Run:
    """A RUNNING run whose tasks are no-ops: name -> names upstream, in an order where upstream comes first."""
    flow = bench_flow()
    with transaction.atomic():  # an engine that is up would plan a run that it sees queued
        run = open_run(flow, actor="test", trigger=Trigger.MANUAL)
        names = list(graph)
        rows = [
            TaskRun(
                run=run,
                kind=(kinds or {}).get(name, "noop"),
                unique_id=name,
                identifier=name,
                position=number,
                waits_for=(waits_for or {}).get(name, "success"),
                spec=(specs or {}).get(name, {}),
            )
            for number, name in enumerate(names)
        ]
        edges = [(names.index(up), names.index(down)) for down, ups in graph.items() for up in ups]
        open_task_runs(rows, edges, actor="test")
        move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor="test", started_at=Now())
    if start:
        release(run.pk)
    return run


def drain(run: Run) -> Run:
    """Execute what is queued until nothing is, as a single worker would."""
    while True:
        queue_due(run.pk)
        queued = list(TaskRun.objects.filter(run=run, state=TaskState.QUEUED).values_list("pk", flat=True))
        for pk in queued:
            execute_task_run(pk)
        if not queued:
            run.refresh_from_db()
            return run


def states(run: Run) -> dict[str, str]:
    """Task name -> state."""
    return dict(run.task_runs.values_list("identifier", "state"))
