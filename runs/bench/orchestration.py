"""What the engine itself costs: a layered graph of tasks that do nothing, each with its own message."""

import os
import resource
import time
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from flows.models import Environment, Flow, Project
from runs.engine.release import release
from runs.models import Run, TaskRun, Trigger
from runs.operations.embedded import Engine
from runs.states import RUN_OVER, RunState
from runs.transitions import move_run, open_run, open_task_runs

LAYERS = 10
UPSTREAMS = 2


def bench_flow() -> Flow:
    """The flow that benchmark runs belong to."""
    project, _ = Project.objects.get_or_create(name="bench", defaults={"path": "/nonexistent"})
    environment, _ = Environment.objects.get_or_create(project=project, name="bench")
    return Flow.objects.get_or_create(name="bench", defaults={"environment": environment})[0]


@transaction.atomic  # a run that stays QUEUED for long would be planned by the engine that runs beside it
def open_layered_run(size: int, spec: dict[str, Any] | None = None) -> Run:
    """A RUNNING run of `size` no-op tasks in LAYERS layers, each after UPSTREAMS tasks of the layer before."""
    run = open_run(bench_flow(), actor="bench", trigger=Trigger.COMMAND)
    width = max(1, size // LAYERS)
    rows = [
        TaskRun(
            run=run,
            kind="noop",
            unique_id=f"noop.{n}",
            identifier=f"layer_{n // width}.task_{n % width}",
            position=n,
            spec=spec or {},
        )
        for n in range(size)
    ]
    edges = [
        (up, n)
        for n in range(width, size)
        for up in {(n // width - 1) * width + (n * 7 + k * 13) % width for k in range(UPSTREAMS)}
    ]
    open_task_runs(rows, edges, actor="bench")
    move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor="bench", started_at=Now())
    return run


def _cpu() -> float:
    own, children = os.times(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.user + own.system + children.ru_utime + children.ru_stime


def orchestration(size: int = 1000) -> dict[str, Any]:
    """{"tasks", "wall_s", "cpu_s", "cpu_ms_per_task"} of one such run, from its first message to its end.

    The embedded engine runs in this process, so CPU is that of all processes together; state is on disk.
    """
    engine = Engine()
    engine.start()
    try:
        run = open_layered_run(size)
        wall, cpu = time.monotonic(), _cpu()
        release(run.pk)
        while not Run.objects.filter(pk=run.pk, state__in=RUN_OVER).exists():
            time.sleep(0.2)
        wall, cpu = time.monotonic() - wall, _cpu() - cpu
    finally:
        engine.stop(grace=5)
    run.refresh_from_db()
    if run.state != RunState.SUCCEEDED:
        raise RuntimeError(f"the benchmark's run ended {run.state}: {run.reason}")
    return {
        "bench": "orchestration",
        "tasks": size,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "cpu_ms_per_task": round(1000 * cpu / size, 2),
    }
