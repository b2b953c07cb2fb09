"""How long the server takes for the pages that people wait for while they type, on a large project."""

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client

from flows.models import Environment, Flow, Project, Revision
from nodes.dbt.manifest import decode
from nodes.models import Node
from nodes.services import save_node
from runs.bench.select import synthetic_manifest

ROUNDS = 15


def pages(size: int = 5000) -> dict[str, Any]:
    """Milliseconds of server time for each request, the whole stack but the network: median, and the slowest.

    The preview is asked for with selections of a tenth of the models with their neighbours (`preview_ms`), and of
    all (`preview_all_ms`); a node is saved with half of them (`save_ms`). Needs a database of its own: it makes an
    environment of `size` models and a flow.
    """
    flow = _flow(size)
    client = Client(headers={"host": "localhost"})
    client.force_login(get_user_model().objects.create_superuser("bench"))
    typed = {"command": "build", "indirect_selection": "buildable"}
    preview = f"/flows/{flow.pk}/preview/"
    requests: dict[str, Callable[[], Any]] = {
        "preview": lambda: client.post(preview, {**typed, "include": "+tag:finance+", "exclude": "tag:weekly"}),
        "preview_all": lambda: client.post(preview, typed),
        "why_not": lambda: client.post(preview, {**typed, "include": "tag:finance", "why": "sales_9_4551"}),
        "suggest": lambda: client.get(f"/flows/{flow.pk}/suggest/?q=%2Bfin"),
        "search": lambda: client.get("/search/?q=finance_3"),
        "catalogue": lambda: client.get("/models/?q=finance"),
        "lineage_all": lambda: client.get("/models/model.shop.finance_0_0/graph/?up=all&down=all"),
        "canvas": lambda: client.get(f"/flows/{flow.pk}/canvas/"),
        "flows": lambda: client.get("/flows/"),
        "save": _saves(client, flow),
    }
    figures: dict[str, Any] = {"models": size}
    for name, ask in requests.items():
        took = [_ms(ask) for _ in range(ROUNDS)]
        figures[f"{name}_first_ms"], figures[f"{name}_ms"] = took[0], round(statistics.median(took[1:]), 1)
    return figures


def _saves(client: Client, flow: Flow) -> Callable[[], Any]:
    """Saves one of the flow's nodes by its form, each time with another selection."""
    node = flow.nodes.earliest("pk")
    choices = itertools.cycle(["tag:finance\ntag:sales", "+tag:finance"])

    def save() -> Any:
        flow.refresh_from_db()
        typed = {"name": node.name, "include": next(choices), "command": "build", "indirect_selection": "buildable"}
        address = f"/flows/{flow.pk}/nodes/{node.pk}/"
        return client.post(address, {**typed, "version": flow.version}, headers={"hx-request": "true"})

    return save


def _flow(size: int) -> Flow:
    folder = Path(settings.DEX_HOME) / "bench"
    (folder / "project").mkdir(parents=True)
    raw = synthetic_manifest(size)
    (folder / "manifest.json").write_bytes(raw)
    (folder / "compact").write_bytes(decode(raw).to_compact())
    project = Project.objects.create(name="bench", path=str(folder / "project"))
    environment = Environment.objects.create(project=project, name="main")
    environment.current_revision = Revision.objects.create(
        environment=environment,
        key="bench",
        fingerprint="bench",
        project_dir=str(folder / "project"),
        profiles_dir=str(folder),
        target_dir=str(folder),
        manifest_path=str(folder / "manifest.json"),
        compact_path=str(folder / "compact"),
    )
    environment.save()
    flow = Flow.objects.create(name="Bench", environment=environment)
    for domain in ("finance", "sales", "marketing"):
        save_node(Node(flow=flow, name=domain, include=[f"tag:{domain}"]))
    return flow


def _ms(ask: Callable[[], HttpResponse]) -> float:
    start = time.perf_counter()
    answer = ask()
    took = (time.perf_counter() - start) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code}: {answer.content[:200]!r}")
    return round(took, 1)
