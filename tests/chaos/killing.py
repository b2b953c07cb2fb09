"""Workers are killed and started again at random, and witnesses that do not trust dex count what must never be.

    python -m tests.chaos.killing --seconds 500

Real Celery workers on PostgreSQL and Redis, default lease times, three flows that run again and again. Each model takes
an advisory lock in the warehouse while it is built and leaves a row there in the transaction that builds it; each
script takes a lock on a file and leaves a line. A lock that is taken already is an overlap: two attempts of one thing
at once.
Prints how fast what was lost or stopped went on, and ends with 1 when a witness or the history objects.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from tests.helpers.servers import Installation, Postgres, Redis, postgres_programs, require
from tests.helpers.waiting import until

#: What the installation's own defaults are, instead of the short times of the other chaos tests.
DEFAULTS = {
    "DEX_HEARTBEAT_S": "10",
    "DEX_SELF_FENCE_S": "30",
    "DEX_LEASE_S": "60",
    "DEX_SWEEP_S": "5",
    "DEX_CANCEL_POLL_S": "1",
    "DEX_INFRA_BACKOFF_S": "30",
}
FLOWS, MODELS = ("a", "b", "c"), ("base", "left", "right", "top")
WITNESS = """
create table built (model text, at timestamptz default clock_timestamp());
create sequence overlap_count;  -- it counts whatever becomes of the transaction
create table overlapped (model text, at timestamptz default clock_timestamp());
create function build(model text, seconds float) returns timestamptz language plpgsql volatile as $$
begin
    if not pg_try_advisory_xact_lock(hashtext(model)) then
        perform nextval('overlap_count');
        insert into overlapped (model) values (model);
    end if;
    perform pg_sleep(seconds);
    insert into built (model) values (model);
    return clock_timestamp();
end $$;
"""
SCRIPT = """
import fcntl, sys, time
folder, name, seconds = sys.argv[1:]
lock = open(f"{folder}/{name}.lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    with open(f"{folder}/overlaps", "a") as told:
        told.write(f"{name}\\n")
print("working", flush=True)
time.sleep(float(seconds))
with open(f"{folder}/{name}.rows", "a") as done:
    done.write("done\\n")
"""


@dataclass
class Kill:
    """One signal that a worker got."""

    at: float
    number: signal.Signals
    owner: str  # the worker's name in dex, "" where it had not said it yet


@dataclass
class Recovery:
    """What became of one attempt that its worker took with it: seconds."""

    how: str
    kind: str
    noticed: float | None  # from the signal to the end of the attempt
    started: float  # from there, and from the end of the pause, to the next attempt


@dataclass
class Report:
    """What the witnesses and dex say."""

    kills: list[Kill]
    recoveries: list[Recovery] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)
    rows: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # left, succeeded, lost or stopped


def main() -> int:
    """Parse, kill, report; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=500, help="how long workers are killed")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None, help="repeats the times and victims of an earlier run")
    parser.add_argument("--fast", action="store_true", help="short leases, for a test")
    parser.add_argument("--executor", choices=("session", "command"), default="session", help="how dbt is run")
    chosen = parser.parse_args()
    require(Redis=shutil.which("redis-server"), PostgreSQL=postgres_programs())
    seed = chosen.seed if chosen.seed is not None else random.randrange(10**6)
    say(f"seed {seed}, {chosen.workers} workers, {chosen.seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="dex-killing-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres, redis = Postgres(folder / "servers"), Redis(folder)
        times = {} if chosen.fast else DEFAULTS
        dex = Installation(
            folder / "home",
            DATABASE_URL=postgres.url,
            CELERY_BROKER_URL=redis.url,
            DEX_SHUTDOWN_GRACE_S="1",
            DEX_BUBBLEWRAP="0",  # a sandbox would keep scripts from their witness
            **times,
        )
        try:
            dex.manage("migrate", "-v0")
            os.environ.update(dex.environment)
            return _go_on(dex, postgres, folder, chosen, random.Random(seed))
        finally:
            dex.close()
            redis.stop()
            postgres.stop("immediate")


def _go_on(dex: Installation, postgres: Postgres, folder: Path, chosen: Any, dice: random.Random) -> int:
    import django

    django.setup()
    warehouse = _warehouse(postgres, chosen.executor)
    witness = folder / "witness"
    witness.mkdir(mode=0o777)
    witness.chmod(0o777)
    flows = [_flow(folder, name, postgres.port, witness, chosen.executor) for name in FLOWS]
    kills = _kill_at_random(dex, flows, chosen.seconds, chosen.workers, dice)
    left = _wait_for_the_rest(240)
    report = _report(kills, warehouse, witness)
    report.objections += [f"{run} did not end" for run in left]
    if told := dex.manage("check_history", check=False).stdout.strip():
        report.objections += [line for line in told.splitlines() if " run " in line]
    return _tell(report, dex)


def _warehouse(postgres: Postgres, executor: str) -> str:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("create database warehouse")
        if executor == "command":  # a session ends what another left behind; here the server has to look itself
            connection.execute("alter database warehouse set client_connection_check_interval = '200ms'")
    url = postgres.url.rpartition("/")[0] + "/warehouse"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(WITNESS)
    return url


def _flow(folder: Path, name: str, port: int, witness: Path, executor: str) -> Any:
    """A script, four models in a diamond after it, and a long script after them."""
    from flows.models import Environment, Flow, Project
    from nodes.models import Node
    from nodes.services import link, save_node
    from nodes.services.sync import sync
    from tests.helpers.engines import write_project

    sql = "select public.build('{model}', {seconds}) as built_at"
    ups = {"base": (), "left": ("base",), "right": ("base",), "top": ("left", "right")}
    models = {}
    for number, model in enumerate(MODELS):
        refs = "".join(f"-- {{{{ ref('{name}_{up}') }}}}\n" for up in ups[model])
        config = "{{ config(materialized='table') }}\n"
        models[f"{name}_{model}"] = config + refs + sql.format(model=f"{name}_{model}", seconds=1 + number)
    output = (
        f"{{type: postgres, host: 127.0.0.1, port: {port}, user: dex, password: unused, dbname: warehouse, "
        f"schema: marts_{name}, threads: 4}}"
    )
    project = write_project(
        folder / f"project_{name}",
        models,
        profiles_yml=f"small:\n  target: dev\n  outputs:\n    dev: {output}\n",
    )
    package = project / "dex-custom-scripts" / "witness"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(SCRIPT)
    row = Project.objects.create(name=name, path=str(project))
    environment = Environment.objects.create(project=row, name="test", executor=executor)
    sync(environment)
    flow = Flow.objects.create(name=f"flow {name}", environment=environment)
    steps = [save_node(_script(flow, "first", witness, name, 3)), save_node(Node(flow=flow, name="models"))]
    steps.append(save_node(_script(flow, "last", witness, name, 12)))
    for up, down in pairwise(steps):
        link(up, down)
    return flow


def _script(flow: Any, step: str, witness: Path, name: str, seconds: float) -> Any:
    from nodes.models import Node

    words = (("folder", str(witness)), ("name", f"{name}_{step}"), ("seconds", str(seconds)))
    arguments = [{"key": key, "value": value} for key, value in words]
    return Node(flow=flow, name=step, kind="script", package="witness", arguments=arguments)


def _kill_at_random(
    dex: Installation, flows: list[Any], seconds: float, number: int, dice: random.Random
) -> list[Kill]:
    from django.db import close_old_connections

    workers = [dex.worker() for _ in range(number)]
    until(lambda: len(_names()) >= number, what="workers")
    end, next_kill = time.monotonic() + seconds, time.monotonic() + 5
    names: dict[int, str] = {}
    kills: list[Kill] = []
    again: list[tuple[float, int]] = []  # when which worker starts again
    while time.monotonic() < end:
        close_old_connections()
        _start_what_is_over(flows)
        names |= _names()
        for at, place in list(again):
            if time.monotonic() >= at and workers[place].poll() is not None:
                again.remove((at, place))
                workers[place] = dex.worker()
        alive = [place for place, worker in enumerate(workers) if worker.poll() is None]
        ready = [place for place in alive if workers[place].pid in names and place not in {p for _, p in again}]
        if time.monotonic() >= next_kill and len(alive) > number // 2 and ready:
            place = dice.choice(ready)
            chosen = dice.choice((signal.SIGKILL, signal.SIGTERM))
            workers[place].send_signal(chosen)
            kills.append(Kill(time.time(), chosen, names[workers[place].pid]))
            say(f"{chosen.name} for {names[workers[place].pid]}")
            again.append((time.monotonic() + dice.uniform(0, 4), place))
            next_kill = time.monotonic() + dice.uniform(4, 14)
        time.sleep(0.2)
    for _, place in again:
        workers[place] = dex.worker()
    return kills


def _names() -> dict[int, str]:
    """Process id -> the name that a worker has in dex."""
    from runs.models import Heartbeat
    from runs.operations.heartbeats import WORKER

    rows = Heartbeat.objects.filter(pk__startswith=WORKER)
    return {row.detail["pid"]: row.pk.removeprefix(WORKER) for row in rows if row.detail.get("pid")}


def _start_what_is_over(flows: list[Any]) -> None:
    from runs.models import Run, Trigger
    from runs.services import start_run
    from runs.states import RUN_ACTIVE

    busy = set(Run.objects.filter(state__in=RUN_ACTIVE).values_list("flow_id", flat=True))
    for flow in flows:
        if flow.pk not in busy:
            start_run(flow, trigger=Trigger.COMMAND, actor="killing")


def _wait_for_the_rest(seconds: float) -> list[str]:
    from runs.models import Run
    from runs.states import RUN_ACTIVE

    say("no more signals: waiting for the runs to end")
    deadline = time.monotonic() + seconds
    while Run.objects.filter(state__in=RUN_ACTIVE).exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    return [str(run) for run in Run.objects.filter(state__in=RUN_ACTIVE)]


def _report(kills: list[Kill], warehouse: str, witness: Path) -> Report:
    from runs.models import Attempt, Run

    report = Report(kills)
    left: Counter[str] = Counter()
    with psycopg.connect(warehouse, autocommit=True) as connection:
        left.update(dict(connection.execute("select model, count(*) from built group by model").fetchall()))
        number, called = connection.execute("select last_value, is_called from overlap_count").fetchone() or (0, False)
        if called:
            known = [str(row[0]) for row in connection.execute("select model from overlapped").fetchall()]
            report.overlaps += known + ["a model whose transaction was undone"] * (int(number) - len(known))
    for path in witness.glob("*.rows"):
        left[path.stem] += len(path.read_text().splitlines())
    if (told := witness / "overlaps").exists():
        report.overlaps += told.read_text().split()
    succeeded: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    tries: dict[int, list[Any]] = defaultdict(list)
    for attempt in Attempt.objects.select_related("task_run__run").order_by("task_run_id", "fence"):
        name = _name(attempt)
        succeeded[name] += attempt.outcome == "succeeded"
        broken[name] += attempt.outcome in ("lost", "stopped")
        tries[attempt.task_run_id].append(attempt)
    for name in sorted({*left, *succeeded}):
        report.rows[name] = (left[name], succeeded[name], broken[name])
        if left[name] < succeeded[name]:
            report.objections.append(f"{name}: dex says {succeeded[name]} successes, the witness {left[name]}")
        if left[name] > succeeded[name] + broken[name]:
            report.objections.append(f"{name}: {left[name]} rows, but {succeeded[name]} + {broken[name]} attempts")
    report.recoveries = [found for attempts in tries.values() for found in _recoveries(attempts, kills)]
    for run in Run.objects.exclude(state="succeeded"):
        report.objections.append(f"{run} is {run.state}: {run.reason or run.error}")
    return report


def _name(attempt: Any) -> str:
    task = attempt.task_run
    return f"{task.run.flow_name[-1]}_{task.node_name}" if task.kind == "script" else str(task.identifier)


def _recoveries(attempts: list[Any], kills: list[Kill]) -> Iterator[Recovery]:
    from django.conf import settings

    losses = 0
    for attempt, following in pairwise(attempts):
        if attempt.outcome not in ("lost", "stopped"):
            continue
        pause = settings.INFRA_BACKOFF_S * losses**2 if attempt.outcome == "lost" else 0.0
        losses += attempt.outcome == "lost"
        by = [kill.at for kill in kills if kill.owner == attempt.owner]
        ended: datetime = attempt.ended_at
        noticed = ended.timestamp() - by[0] if by else None
        kind = "script" if attempt.task_run.kind == "script" else "model"
        how = attempt.outcome if not pause else f"lost again (after a pause of {pause:g} s)"
        yield Recovery(how, kind, noticed, (following.started_at - ended).total_seconds() - pause)


def _tell(report: Report, dex: Installation) -> int:
    counts = Counter(kill.number.name for kill in report.kills)
    print(f"\nsignals: {dict(counts)}")
    print("\n| attempt | of | number | signal to noticed, s: median, most | noticed to started, s: median, most |")
    print("|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[Recovery]] = defaultdict(list)
    for one in report.recoveries:
        groups[one.how, one.kind].append(one)
    for (how, kind), found in sorted(groups.items()):
        noticed = [one.noticed for one in found if one.noticed is not None]
        print(f"| {how} | {kind} | {len(found)} | {_of(noticed)} | {_of([one.started for one in found])} |")
    print("\n| witness | rows | successes | lost or stopped | done again |\n|---|---|---|---|---|")
    for name, (rows, succeeded, broken) in report.rows.items():
        print(f"| {name} | {rows} | {succeeded} | {broken} | {rows - succeeded} |")
    print(f"\noverlaps: {len(report.overlaps)} {report.overlaps or ''}")
    for objection in report.objections:
        print(f"objection: {objection}")
    if report.objections or report.overlaps:
        print(dex.tail(), file=sys.stderr)
        return 1
    return 0


def _of(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}, {max(values):.2f}" if values else "-"


def say(words: str) -> None:
    """Progress, beside the report."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
