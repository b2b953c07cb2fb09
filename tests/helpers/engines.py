"""Real runs in tests: the embedded engine in this process, real dbt on a DuckDB file of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.models import Environment, Flow, Project
from nodes.models import Node
from nodes.services import save_node
from nodes.services.sync import sync
from runs.models import Run, Trigger
from runs.services import start_run
from runs.states import RUN_OVER
from tests.helpers.waiting import until

PROJECT_YML = "name: small\nprofile: small\nversion: '1.0'\n"


def write_project(folder: Path, models: Mapping[str, str], **files: str) -> Path:
    """A dbt project: model name -> SQL; further files by path with `__` for `/`."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text(files.pop("dbt_project", PROJECT_YML))
    for name, sql in models.items():
        (folder / "models" / f"{name}.sql").write_text(sql)
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def make_flow(folder: Path, nodes: Mapping[str, Mapping[str, Any]] | None = None, **fields: Any) -> Flow:
    """A synced project, an environment, and a flow with these nodes (name -> fields)."""
    environment_fields = {key: fields.pop(key) for key in ("threads", "target") if key in fields}
    project = Project.objects.create(name=folder.name, path=str(folder))
    environment = Environment.objects.create(project=project, name="test", **environment_fields)
    sync(environment)
    flow = Flow.objects.create(name=f"flow of {folder.name}", environment=environment, **fields)
    for name, node in (nodes or {"all": {}}).items():
        save_node(Node(flow=flow, name=name, **node))
    return flow


def finished(run: Run, seconds: float = 90) -> Run:
    """The run, when it is over."""
    until(lambda: Run.objects.filter(pk=run.pk, state__in=RUN_OVER).exists(), seconds, f"end of {run}")
    run.refresh_from_db()
    return run


def run_to_end(flow: Flow, **options: Any) -> Run:
    return finished(start_run(flow, trigger=Trigger.MANUAL, actor="test", **options))


def start(flow: Flow, **options: Any) -> Run:
    return start_run(flow, trigger=Trigger.MANUAL, actor="test", **options)
