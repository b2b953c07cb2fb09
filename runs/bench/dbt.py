"""What a run of cheap models costs beside plain `dbt run`: same project, same threads, same machine, same minute."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from flows.infra.process.table import cpu_seconds, descendants
from flows.models import Environment, Executor, Flow, Project
from nodes.models import Node
from nodes.services import save_node
from nodes.services.sync import sync
from runs.models import Lane, Run, Trigger
from runs.operations.embedded import Engine
from runs.planning.reruns import rerun
from runs.services import start_run
from runs.states import RUN_OVER, RunState

THREADS = 4
LAYERS = 10
DBT = "from dbt.cli.main import cli; cli()"


def write_project(folder: Path, size: int) -> None:
    """A project of `size` views in LAYERS layers, each on two of the layer before."""
    models = folder / "models"
    models.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: bench\nprofile: bench\nversion: '1.0'\n")
    output = f"{{type: duckdb, path: \"{{{{ env_var('DEX_DUCKDB_PATH', 'bench.duckdb') }}}}\", threads: {THREADS}}}"
    (folder / "profiles.yml").write_text(f"bench:\n  target: dev\n  outputs:\n    dev: {output}\n")
    width = max(1, size // LAYERS)
    for n in range(size):
        if n < width:
            sql = f"select {n} as id"
        else:
            base = (n // width - 1) * width
            ups = [base + n % width, base + (n + 1) % width]
            sql = " union all ".join(f"select id from {{{{ ref('m{up}') }}}}" for up in ups)
            sql = f"select min(id) as id from ({sql})"
        (models / f"m{n}.sql").write_text(sql)


def _cpu() -> float:
    """CPU seconds of this process, of its ended children, and of those that live."""
    own, ended = os.times(), resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = sum(cpu_seconds(pid) for pid in descendants(os.getpid()))
    return own.user + own.system + ended.ru_utime + ended.ru_stime + alive


def _plain(project: Path, home: Path) -> tuple[float, float]:
    folders = {
        "project-dir": project,
        "profiles-dir": project,
        "target-path": home / "target",
        "log-path": home,
    }
    common = [part for name, folder in folders.items() for part in (f"--{name}", str(folder))]
    environment = {
        **settings.OWN_ENVIRONMENT,
        "DEX_DUCKDB_PATH": str(home / "plain.duckdb"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
    }
    command = [sys.executable, "-c", DBT]
    subprocess.run([*command, "parse", *common], env=environment, check=True, stdout=subprocess.DEVNULL)
    # Once to make the schema and warm the page cache, once to be measured.
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.monotonic()
        subprocess.run(
            [*command, "run", "--threads", str(THREADS), *common],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall = time.monotonic() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _timed(start: Any) -> tuple[Run, float, float]:
    wall, cpu = time.monotonic(), _cpu()
    run = start()
    while Run.objects.filter(pk=run.pk).exclude(state__in=RUN_OVER).exists():
        time.sleep(0.02)
    wall, cpu = time.monotonic() - wall, _cpu() - cpu
    run.refresh_from_db()
    if run.state != RunState.SUCCEEDED:
        raise RuntimeError(f"the benchmark's run ended {run.state}: {run.error or run.reason}")
    return run, wall, cpu


def _wait_until_idle() -> None:
    """A session is put away a moment after its run ended."""
    while Lane.objects.exclude(owner="").exists():
        time.sleep(0.02)


def dbt(size: int = 100) -> dict[str, Any]:
    """Plain `dbt run`, then dex: cold (session started for it), warm (session kept), one model again, by commands.

    `command_of_plain`: the wall time of a run by commands of dbt, as a part of that of plain dbt.
    """
    home = Path(settings.DEX_HOME)
    project = home / "bench-project"
    write_project(project, size)
    plain_wall, plain_cpu = _plain(project, home / "plain")
    made = Project.objects.create(name="bench-dbt", path=str(project))
    environment = Environment.objects.create(project=made, name="bench", threads=THREADS)
    sync(environment)
    flow = Flow.objects.create(name="bench-dbt", environment=environment)
    save_node(Node(flow=flow, name="all", include=[], command=Node.Command.RUN))
    engine = Engine()
    engine.start()

    def start() -> Run:
        return start_run(flow, trigger=Trigger.COMMAND, actor="bench")

    try:
        _timed(start)  # makes the schema; its session is closed again
        _wait_until_idle()
        engine.close_sessions()
        _, cold_wall, cold_cpu = _timed(start)
        _wait_until_idle()
        run, warm_wall, warm_cpu = _timed(start)
        _wait_until_idle()
        _, single, _ = _timed(lambda: rerun(run, actor="bench", keys=["model.bench.m0"]))
        _wait_until_idle()
        Environment.objects.filter(pk=environment.pk).update(executor=Executor.COMMAND)
        _, command_wall, command_cpu = _timed(start)
    finally:
        engine.stop(grace=5)
    figures = {
        "plain_wall_s": plain_wall,
        "plain_cpu_s": plain_cpu,
        "cold_wall_s": cold_wall,
        "cold_cpu_s": cold_cpu,
        "warm_wall_s": warm_wall,
        "warm_cpu_s": warm_cpu,
        "single_warm_s": single,
        "command_wall_s": command_wall,
        "command_cpu_s": command_cpu,
        "command_of_plain": command_wall / plain_wall,
    }
    return {"bench": "dbt", "models": size, **{name: round(value, 2) for name, value in figures.items()}}
