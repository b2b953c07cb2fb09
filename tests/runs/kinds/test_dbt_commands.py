"""Flows executed by commands of dbt: how many processes they take, and what is left when one is killed."""

import os
import signal
from pathlib import Path

import duckdb
import pytest
from django.conf import settings

from flows.infra.process.table import descendants
from flows.models import Environment, Executor
from nodes.models import Node
from nodes.services import link
from runs.logs import store
from runs.models import Attempt, Lane, Pool, Run
from runs.operations.invariants import check
from runs.services import cancel_task_run
from tests.helpers.engines import PROJECT_YML, finished, make_flow, run_to_end, start, write_project
from tests.helpers.graphs import states
from tests.helpers.pages import Person
from tests.helpers.waiting import until

pytestmark = pytest.mark.process

SLOW = "{{{{ config(materialized='table') }}}} select sum(a.range * b.range) as n from range(100000) a, range({n}) b"
CHAIN = {"m0": "select 0 as id"} | {f"m{n}": f"select * from {{{{ ref('m{n - 1}') }}}}" for n in range(1, 8)}
#: Each model that is built leaves a row, in the transaction that builds it.
WITNESS = """
models:
  +post-hook: "insert into {{ target.schema }}.built values ('{{ this.name }}')"
on-run-start: "create table if not exists {{ target.schema }}.built (model varchar)"
"""


@pytest.fixture(autouse=True)
def by_commands(monkeypatch):
    monkeypatch.setattr(Environment._meta.get_field("executor"), "default", Executor.COMMAND)


def lane_log(run: Run) -> str:
    return "".join(path.read_text() for path in sorted((store.root() / str(run.pk)).glob("lane-*.log")))


def processes(run: Run) -> int:
    return lane_log(run).count("Running with dbt=")


def built(run: Run) -> dict[str, int]:
    """Model -> how often it was built, as the warehouse has it."""
    until(lambda: not Lane.objects.exclude(owner="").exists(), 20)
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{run.flow.environment_id}"
    with duckdb.connect(str(next(folder.glob("*.duckdb"))), read_only=True) as connection:
        return dict(connection.execute("select model, count(*) from main.built group by 1").fetchall())


def test_a_chain_of_models_is_one_process_and_each_has_its_own_attempt(engine, tmp_path):
    run = run_to_end(make_flow(write_project(tmp_path / "p", CHAIN)))
    assert set(states(run).values()) == {"succeeded"}
    assert processes(run) == 1
    spans = list(Attempt.objects.filter(task_run__run=run).order_by("task_run__position").values("started_at"))
    assert len(spans) == len(CHAIN) and spans == sorted(spans, key=lambda row: row["started_at"])
    assert check() == []
    page = Person("vi", "runs.view_run").open(f"/runs/{run.pk}/").html
    assert "executed by dbt commands" in page


def test_nodes_that_refer_to_each_other_share_a_process_and_links_wait_for_another(engine, tmp_path):
    models = {"a": "select 1 as id", "b": "select * from {{ ref('a') }}", "c": "select 3 as id"}
    nodes = {name: {"include": [name]} for name in models}
    flow = make_flow(write_project(tmp_path / "p", models), nodes)
    link(Node.objects.get(name="b"), Node.objects.get(name="c"))
    run = run_to_end(flow)
    assert set(states(run).values()) == {"succeeded"}
    b, c = (run.task_runs.get(identifier=name) for name in "bc")
    assert b.ended_at <= c.started_at
    assert processes(run) == 2


def test_a_model_that_fails_is_tried_again_without_those_that_were_built(engine, tmp_path):
    models = {**CHAIN, "m4": "select nonsense from {{ ref('m3') }}"}
    project = write_project(tmp_path / "p", models, dbt_project=PROJECT_YML + WITNESS)
    run = run_to_end(make_flow(project, retries=1, retry_delay=0))
    ended = states(run)
    assert ended.pop("on-run-start") == "succeeded"
    assert list(ended.values()) == ["succeeded"] * 4 + ["failed"] + ["skipped"] * 3
    assert run.task_runs.get(identifier="m4").attempts == 2
    assert built(run) == {f"m{n}": 1 for n in range(4)}


def test_a_dbt_that_is_killed_costs_only_what_was_in_flight(engine, tmp_path):
    models = {
        "first": "select 1 as id",
        "slow": SLOW.format(n=20000) + " where 1 = (select max(id) from {{ ref('first') }})",
        "last": "select * from {{ ref('slow') }}",
    }
    project = write_project(tmp_path / "p", models, dbt_project=PROJECT_YML + WITNESS)
    run = start(make_flow(project))
    slow = until(lambda: run.task_runs.filter(identifier="slow", state="running").first(), 60)
    supervisor = Attempt.objects.get(task_run=slow).pid
    (dbt,) = [pid for pid in descendants(supervisor) if b"--select" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(dbt, signal.SIGKILL)
    assert finished(run).state == "succeeded"
    tries = {name: Attempt.objects.filter(task_run__identifier=name).count() for name in models}
    assert tries == {"first": 1, "slow": 2, "last": 1}
    assert Attempt.objects.filter(task_run=slow).first().outcome == "lost"
    assert "killed by signal 9" in Attempt.objects.filter(task_run=slow).first().reason
    assert built(run) == {"first": 1, "slow": 1, "last": 1}
    assert check() == []


def test_cancelling_a_model_starts_those_in_flight_again_and_keeps_what_was_done(engine, tmp_path):
    models = {"first": "select 1 as id", "slow": SLOW.format(n=1000000), "other": SLOW.format(n=5000)}
    project = write_project(tmp_path / "p", models, dbt_project=PROJECT_YML + WITNESS)
    run = start(make_flow(project))
    running = run.task_runs.filter(state="running")
    until(lambda: running.filter(identifier="slow").exists() and running.filter(identifier="other").exists(), 60)
    until(lambda: run.task_runs.filter(identifier="first", state="succeeded").exists(), 60)
    cancel_task_run(run.task_runs.get(identifier="slow").pk, actor="ada")
    finished(run)
    assert states(run) == {
        "on-run-start": "succeeded",
        "first": "succeeded",
        "slow": "cancelled",
        "other": "succeeded",
    }
    assert built(run) == {"first": 1, "other": 1}
    assert check() == []


def test_a_task_of_a_pool_waits_for_its_slot_and_is_not_begun_before(engine, tmp_path):
    Pool.objects.create(name="api", slots=1)
    models = {"a": "select 1 as id", "b": "select * from {{ ref('a') }}"}
    flow = make_flow(
        write_project(tmp_path / "p", models), {"a": {"include": ["a"]}, "b": {"include": ["b"], "pool": "api"}}
    )
    run = run_to_end(flow)
    assert states(run) == {"a": "succeeded", "b": "succeeded"}
    assert processes(run) == 2


def test_a_target_schema_that_cannot_be_reached_fails_with_what_dbt_said(engine, tmp_path):
    profile = (
        "small:\n  target: dev\n  outputs:\n    dev: {type: postgres, host: 127.0.0.1, port: 1, user: x, "
        "password: x, dbname: x, schema: x, threads: 1}\n"
    )
    run = run_to_end(make_flow(write_project(tmp_path / "p", {"a": "select 1 as id"}, profiles_yml=profile)))
    assert states(run) == {"a": "failed"}
    assert "refused" in run.task_runs.get().reason
