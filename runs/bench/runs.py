"""How long the list of runs and Home take on an installation that has run a lot."""

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from flows.models import Environment, Flow, Project
from runs.models import Run, TaskRun, Transition, Trigger
from runs.states import RunState, TaskState

FLOWS, TASKS, ROUNDS = 100, 3, 21
DAYS = 90
BATCH = 5000
HTMX = {"HX-Request": "true"}


def runs(size: int = 10_000) -> dict[str, Any]:
    """Milliseconds of server time a request, the whole stack but the network: the median of 20.

    `size` runs of FLOWS flows in two environments within DAYS days, with TASKS tasks each; every tenth failed, the
    latest goes on. The page, its fragment (as a filter or a poll brings it), a poll while nothing moves, a page in the
    middle, what is rare (a trigger, a name, a day), and Home.
    """
    going = _rows(size)
    client = Client(headers={"host": "localhost"})
    client.force_login(get_user_model().objects.create_superuser("bench"))
    seen = Transition.objects.order_by("-pk").values_list("pk", flat=True)[0]
    poll = f"/runs/?seen={seen}&top={going}&watch={going}"
    day = (timezone.now() - timedelta(days=DAYS // 2)).date()
    requests: dict[str, Callable[[], Any]] = {
        "page": lambda: client.get("/runs/"),
        "fragment": lambda: client.get("/runs/", headers=HTMX),
        "poll": lambda: client.get(poll, headers=HTMX),
        "middle": lambda: client.get(f"/runs/?before={size // 2}", headers=HTMX),
        "failed": lambda: client.get("/runs/?state=failed", headers=HTMX),
        "trigger": lambda: client.get("/runs/?trigger=once", headers=HTMX),
        "flow": lambda: client.get(f"/runs/?flow={Flow.objects.values_list('pk', flat=True)[0]}", headers=HTMX),
        "name": lambda: client.get("/runs/?q=flow+77", headers=HTMX),
        "day": lambda: client.get(f"/runs/?since={day}&until={day}", headers=HTMX),
        "home": lambda: client.get("/"),
    }
    figures: dict[str, Any] = {"bench": "runs", "runs": size}
    for name, ask in requests.items():
        took = [_ms(ask) for _ in range(ROUNDS)]
        figures[f"{name}_ms"] = round(statistics.median(took[1:]), 1)
    return figures


def _rows(size: int) -> int:
    """The rows; the id of the run that goes on."""
    project = Project.objects.create(name="bench", path="/nowhere")
    where = [Environment.objects.create(project=project, name=name) for name in ("main", "other")]
    flows = [
        Flow.objects.create(name=f"flow {number}", environment=where[number % 10 == 9], cron="0 * * * *")
        for number in range(FLOWS)
    ]
    now = timezone.now()
    step = timedelta(days=DAYS) / size
    for start in range(0, size, BATCH):
        numbers = range(start, min(start + BATCH, size))
        made = Run.objects.bulk_create(_run(flows, number, now - step * (size - number), size) for number in numbers)
        TaskRun.objects.bulk_create(
            [_task(run, number) for run in made for number in range(TASKS)],
            batch_size=500,
        )
        for number, run in zip(numbers, made, strict=True):
            run.created_at = now - step * (size - number)  # auto_now_add has its own idea
        Run.objects.bulk_update(made, ["created_at"], batch_size=500)
    return made[-1].pk


def _run(flows: list[Flow], number: int, begun: Any, size: int) -> Run:
    flow = flows[number % FLOWS]
    state = RunState.RUNNING if number == size - 1 else RunState.FAILED if number % 10 == 0 else RunState.SUCCEEDED
    return Run(
        flow=flow,
        flow_name=flow.name,
        environment_name=str(flow.environment),
        state=state,
        trigger=Trigger.ONCE if number % 5000 == 1 else Trigger.SCHEDULE,
        started_at=begun,
        ended_at=None if state == RunState.RUNNING else begun + timedelta(seconds=30 + number % 60),
    )


def _task(run: Run, number: int) -> TaskRun:
    last = number == TASKS - 1
    failed = run.state == RunState.FAILED and last
    state = TaskState.FAILED if failed else TaskState.SUCCEEDED
    if run.state == RunState.RUNNING and last:
        state = TaskState.QUEUED
    return TaskRun(
        run=run,
        kind="noop",
        unique_id=f"model.shop.m{number}",
        identifier=f"m{number}",
        position=number,
        state=state,
        reason="Catalog Error: no such table" if failed else "",
        started_at=run.started_at,
        ended_at=None if state == TaskState.QUEUED else run.ended_at or run.started_at,
    )


def _ms(ask: Callable[[], Any]) -> float:
    start = time.perf_counter()
    answer = ask()
    took = (time.perf_counter() - start) * 1000
    if answer.status_code not in (200, 204):
        raise RuntimeError(f"{answer.status_code}: {answer.content[:200]!r}")
    return took
