"""The calendar of many flows: how long the server takes, how much it sends, how much memory it needs."""

import random
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from flows.models import Environment, Flow, Project
from nodes.models import Node, Task
from runs.models import Run, Trigger
from runs.pages.calendar.drawing import Axis
from runs.pages.calendar.page import Calendar, calendar_of
from runs.states import RunState

ROUNDS = 9
MODELS, EACH = 2000, 20  # of the project, and built by one flow
HISTORY = 100  # runs of a flow
#: Of a hundred flows: so many every minute, every five, every quarter of an hour, every hour; the others every day.
OFTEN = ((2, "* * * * *"), (8, "*/5 * * * *"), (10, "*/15 * * * *"), (20, "{minute} * * * *"))


def calendar(size: int = 500) -> dict[str, Any]:
    """`size` flows, from every minute to once a day, with HISTORY runs each, that build EACH of MODELS models.

    Out: milliseconds of the page for 7 days and for 24 hours (median and first), how many starts they hold and how
    many kilobytes they send, and the megabytes that 7 days take at the peak. Needs a database of its own.
    """
    _make(size)
    client = Client(headers={"host": "localhost"})
    client.force_login(get_user_model().objects.create_superuser("bench"))
    figures: dict[str, Any] = {"bench": "calendar", "flows": size}
    for days in (7, 1):
        took, sent = [], b""
        for _ in range(ROUNDS):
            start = time.perf_counter()
            sent = client.get(f"/calendar/?days={days}").content
            took.append((time.perf_counter() - start) * 1000)
        made = _calendar(days)
        figures |= {
            f"days_{days}_ms": round(statistics.median(took[1:]), 1),
            f"days_{days}_first_ms": round(took[0], 1),
            f"days_{days}_starts": made.starts,
            f"days_{days}_collisions": made.trouble.count,
            f"days_{days}_kb": round(len(sent) / 1024),
        }
    tracemalloc.start()
    _calendar(7)
    figures["days_7_peak_mb"] = round(tracemalloc.get_traced_memory()[1] / 2**20, 1)
    tracemalloc.stop()
    return figures


def _calendar(days: int) -> Calendar:
    now = timezone.now()
    return calendar_of(Axis(now, now + timedelta(days=days), ZoneInfo("UTC")), now)


def _make(size: int) -> None:
    chosen = random.Random(1)
    environment = Environment.objects.create(project=Project.objects.create(name="bench", path="/bench"), name="main")
    flows = Flow.objects.bulk_create(
        Flow(name=f"flow {number}", environment=environment, cron=_cron(number % 100, chosen)) for number in range(size)
    )
    nodes = Node.objects.bulk_create(Node(flow=flow, name="all") for flow in flows)
    Task.objects.bulk_create((task for node in nodes for task in _tasks(node, chosen)), batch_size=5000)
    begun = timezone.now() - timedelta(days=1)
    Run.objects.bulk_create(
        (
            Run(
                flow=flow,
                flow_name=flow.name,
                trigger=Trigger.SCHEDULE,
                state=RunState.SUCCEEDED,
                started_at=begun,
                ended_at=begun + timedelta(seconds=chosen.randrange(5, 50 if flow.cron.startswith("*") else 1500)),
            )
            for flow in flows
            for _ in range(HISTORY)
        ),
        batch_size=5000,
    )


def _cron(place: int, chosen: random.Random) -> str:
    minute = chosen.randrange(60)
    for number, cron in OFTEN:
        if place < number:
            return cron.format(minute=minute)
        place -= number
    return f"{minute} {chosen.randrange(24)} * * *"


def _tasks(node: Node, chosen: random.Random) -> Iterator[Task]:
    for number in chosen.sample(range(MODELS), EACH):
        yield Task(node=node, unique_id=f"model.shop.m{number}", identifier=f"marts.m{number}", resource_type="model")
