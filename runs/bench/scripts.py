"""How soon a script's process starts once its task is claimed, with an environment that is there and without."""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from flows.models import Environment, Flow, Project
from nodes.kinds.script import SCRIPT
from nodes.models import Node
from nodes.services import save_node
from nodes.services.sync import sync
from runs.logs import store
from runs.models import Attempt, Run, Trigger
from runs.operations.embedded import Engine
from runs.services import start_run
from runs.states import RUN_OVER

_CODE = "import time; started = time.time()\nimport six\nprint('STARTED', started)\n"


def scripts(size: int = 20) -> dict[str, Any]:
    """One script with one requirement, run `size` times after a first that builds its virtualenv.

    Out: seconds of the first run's attempt, and milliseconds from the claim to the first line of Python of the others:
    median and slowest; bubblewrap, another user, limits and the start of Python are in it.
    """
    with tempfile.TemporaryDirectory(prefix="dex-bench-") as name:
        folder = Path(name)
        (folder / "models").mkdir()
        (folder / "models" / "a.sql").write_text("select 1 as id")
        (folder / "dbt_project.yml").write_text("name: bench\nprofile: bench\nversion: '1.0'\n")
        package = folder / "dex-custom-scripts" / "job"
        package.mkdir(parents=True)
        (package / "__main__.py").write_text(_CODE)
        (package / "requirements.txt").write_text("six==1.17.0\n")
        project = Project.objects.create(name="bench", path=str(folder))
        environment = Environment.objects.create(project=project, name="main")
        sync(environment)
        flow = Flow.objects.create(name="bench", environment=environment)
        save_node(Node(flow=flow, name="job", kind=SCRIPT.name, package="job", uses_warehouse=False))
        engine = Engine()
        engine.start()
        try:
            first = _attempt(flow)
            rest = [_latency(_attempt(flow)) for _ in range(size)]
        finally:
            engine.stop(grace=0)
    assert first.ended_at is not None
    return {
        "bench": "scripts",
        "runs": size,
        "first_s": round((first.ended_at - first.started_at).total_seconds(), 2),
        "claim_to_python_ms": round(statistics.median(rest), 1),
        "slowest_ms": round(max(rest), 1),
    }


def _attempt(flow: Flow) -> Attempt:
    run = start_run(flow, trigger=Trigger.COMMAND, actor="bench")
    while not Run.objects.filter(pk=run.pk, state__in=RUN_OVER).exists():
        time.sleep(0.02)
    return Attempt.objects.get(task_run__run=run)


def _latency(attempt: Attempt) -> float:
    line = next(line for line in store.read(attempt.log_path).text.splitlines() if line.startswith("STARTED"))
    return (float(json.loads(line.split()[1])) - attempt.started_at.timestamp()) * 1000
