"""Many flows that are due at the same minute: when all are recorded, and how long pages take meanwhile."""

import statistics
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from flows.models import Environment, Flow, Tick
from nodes.models import Node
from nodes.services import save_flow, save_node
from runs.management.demo import shop_flow
from runs.models import Run
from runs.states import RUN_OVER

PORT = 8765
AHEAD_S = 10  # between the start of dex and the due time
WATCHED_S = 60
PAGES = ("/", "/flows/", "/calendar/", "/healthz")


def schedule(size: int = 500) -> dict[str, Any]:
    """`size` flows of one model each, due at one minute; dex runs as `manage.py up`, pages are asked over HTTP.

    Out: seconds after the due time until all are recorded, with their runs (`recorded_s`), how many runs were over a
    minute after it, and milliseconds of the pages asked meanwhile: median, 95 of 100, slowest.
    """
    environment = shop_flow(script=False).environment
    Flow.objects.all().delete()
    due = (timezone.now() + timedelta(seconds=AHEAD_S + size * 0.08)).replace(second=0, microsecond=0)
    due += timedelta(minutes=1)
    for number in range(size):
        _flow(environment, number, f"{due.minute} {due.hour} * * *")
    if timezone.now() > due - timedelta(seconds=AHEAD_S):
        raise RuntimeError("making the flows took longer than expected; choose a smaller --size")
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("bench"))
    manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
    up = subprocess.Popen([*manage, "up", "--port", str(PORT)], env=settings.OWN_ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        time.sleep(max((due - datetime.now(UTC)).total_seconds(), 0))
        return {"bench": "schedule", "flows": size, **_watch(client, due, size)}
    finally:
        up.terminate()
        up.wait(60)


def _flow(environment: Environment, number: int, cron: str) -> None:
    flow = Flow(name=f"flow {number}", environment=environment, cron=cron)
    save_flow(flow)
    save_node(Node(flow=flow, name="Seeds", include=["resource_type:seed"]))


def _watch(client: Client, due: datetime, size: int) -> dict[str, Any]:
    recorded, took = None, []
    while (late := (datetime.now(UTC) - due).total_seconds()) < WATCHED_S:
        if recorded is None and Tick.objects.count() >= size:
            recorded = late
        took += [_ms(client, page) for page in PAGES]
    took.sort()
    return {
        "recorded_s": recorded and round(recorded, 1),
        "runs": Run.objects.count(),
        "runs_over_after_60_s": Run.objects.filter(state__in=RUN_OVER).count(),
        "pages": len(took),
        "page_ms": round(statistics.median(took), 1),
        "page_p95_ms": round(took[int(len(took) * 0.95)], 1),
        "page_slowest_ms": round(took[-1], 1),
    }


def _ms(client: Client, page: str) -> float:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{page}", headers={"Cookie": cookies})
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        answer.read()
    return (time.monotonic() - started) * 1000
