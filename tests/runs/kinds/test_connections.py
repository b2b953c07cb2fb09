"""Connections in runs: real loads in flows, models that wait for them, failures that stay where they are."""
# ruff: noqa: F811 - pytest takes the fixtures of shop_loads by their names

import sqlite3
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from flows.infra import process
from flows.variables.values import save_variable
from nodes.connections.services import ConnectionProblem, save_connection, save_streams, secrets_of
from nodes.models import Connection, Load, Node
from nodes.services import delete_node, save_node
from runs.logs import store
from runs.models import Attempt
from runs.planning.reruns import rerun
from runs.states import RunState
from tests.helpers.engines import finished, run_to_end, start
from tests.helpers.pages import Person
from tests.helpers.waiting import until
from tests.runs.kinds.shop_loads import connect, flow, folder, shop, warehouse  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)


def log_of(run, name):
    return store.read(Attempt.objects.filter(task_run__run=run, task_run__identifier=name).last().log_path).text


def test_tables_are_loaded_and_the_models_that_read_them_wait_without_a_link(engine, flow, shop):
    row = connect(flow, shop)
    save_node(Node(flow=flow, name="Load", kind="connection", connection=row))
    save_node(Node(flow=flow, name="Models"))
    run = run_to_end(flow)
    said = {task.identifier: (task.state, task.reason) for task in run.task_runs.all()}
    assert run.state == RunState.SUCCEEDED, said
    orders = run.task_runs.get(identifier="shop_raw.orders")
    assert orders.result["rows_affected"] == 100
    assert run.task_runs.get(identifier="stg_orders").started_at >= orders.ended_at
    with warehouse(flow) as db:
        assert db.execute("select n, total from main.mart").fetchone() == (100, 50500)


def test_a_table_that_cannot_be_loaded_fails_only_what_reads_it(engine, flow, shop):
    row = connect(flow, shop)
    save_node(Node(flow=flow, name="Load", kind="connection", connection=row))
    save_node(Node(flow=flow, name="Models"))
    with sqlite3.connect(shop) as db:
        db.execute("drop table customers")
    run = run_to_end(flow)
    states = dict(run.task_runs.values_list("identifier", "state"))
    assert run.state == RunState.FAILED
    assert states["shop_raw.customers"] == "failed" and states["stg_customers"] == "skipped"
    assert states["shop_raw.orders"] == states["stg_orders"] == states["mart"] == "succeeded"
    assert "The table does not exist" in run.task_runs.get(identifier="shop_raw.customers").reason


def test_an_incremental_load_continues_where_it_was_and_says_so(engine, flow, shop):
    row = connect(flow, shop, orders={"mode": "merge", "primary_key": ["id"], "cursor": "changed"})
    save_node(Node(flow=flow, name="Load", kind="connection", connection=row, streams=["orders"]))
    run_to_end(flow)
    with sqlite3.connect(shop) as db:
        db.execute("update orders set amount = 0, changed = 200 where id = 1")
        db.execute("insert into orders values (101, 5, 201)")
    run = run_to_end(flow)
    task = run.task_runs.get(identifier="shop_raw.orders")
    assert run.state == RunState.SUCCEEDED, task.reason
    assert (task.result["cursor_before"], task.result["cursor_after"]) == ("100", "201")
    with warehouse(flow) as db:
        assert db.execute("select count(*), sum(amount) from shop_raw.orders").fetchone() == (101, 50495)


def test_a_connection_keeps_its_secrets_encrypted_and_fields_may_name_variables(flow, shop):
    project = flow.environment.project
    save_variable(project, None, "PG_HOST", "db.example", secret=False)
    row = Connection(project=project, name="PG", connector="sql_database", dataset="raw")
    typed = {
        "system": "postgresql",
        "host": "{{ PG_HOST }}",
        "database": "shop",
        "user": "dex",
        "password": "a-password-1",
    }
    save_connection(row, typed)
    row.refresh_from_db()
    assert "a-password-1" not in str(row.config) + row.sealed and secrets_of(row) == {"password": "a-password-1"}
    save_connection(row, {**typed, "password": "", "user": "other"})
    assert secrets_of(row) == {"password": "a-password-1"} and row.config["user"] == "other"
    with pytest.raises(ConnectionProblem) as told:
        save_connection(Connection(project=project, name="PG", connector="sql_database", dataset="raw"), typed)
    assert "already has a connection" in told.value.errors["name"]
    with pytest.raises(ConnectionProblem) as told:
        save_connection(row, {**typed, "port": "many"})
    assert "whole number" in told.value.errors["port"]
    with pytest.raises(ConnectionProblem) as told:
        save_streams(row, {"orders": {"mode": "merge"}})
    assert "primary key" in told.value.errors["orders.primary_key"]


def test_changed_columns_are_reported_and_loaded_once_somebody_accepts_them(engine, flow, shop):
    row = connect(flow, shop, orders={"schema_policy": "ask"})
    save_node(Node(flow=flow, name="Load", kind="connection", connection=row, streams=["orders"]))
    assert run_to_end(flow).state == RunState.SUCCEEDED
    with sqlite3.connect(shop) as db:
        db.execute("alter table orders add column note text")
    failed = run_to_end(flow)
    task = failed.task_runs.get()
    assert failed.state == RunState.FAILED and task.result["schema_changes"][0]["added"]
    ada = Person("ada", "everything")
    page = ada.open(f"/runs/{failed.pk}/?task={task.pk}")
    assert "The columns of the source changed." in page.html and "note" in page.html
    form = next(form for form in page.forms if form.action.endswith("/accept/"))
    page = ada.post(page, form, {})
    assert "will accept the new columns" in page.messages[0]
    run = finished(rerun(failed, actor="ada"))
    assert run.state == RunState.SUCCEEDED, run.task_runs.get().reason
    row.refresh_from_db()
    assert row.accepted == [] and row.settings["orders"]["schema_policy"] == "ask"
    with warehouse(flow) as db:
        assert "note" in [name for name, *_ in db.execute("describe shop_raw.orders").fetchall()]


def test_a_run_on_data_that_is_too_old_says_so_and_the_models_page_says_where_it_comes_from(engine, flow, shop):
    row = connect(flow, shop)
    load = save_node(Node(flow=flow, name="Load", kind="connection", connection=row))
    assert run_to_end(flow).warnings == []
    Load.objects.filter(table="orders").update(at=timezone.now() - timedelta(hours=50))
    page = Person("ada", "everything").open("/models/source.small.shop.orders/")
    assert "Loaded by" in page.html and "100 rows" in page.html
    delete_node(load)
    save_node(Node(flow=flow, name="Models"))
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED
    assert run.warnings == ["shop_raw.orders was loaded 2 days ago; its freshness allows 2 hours."]


def test_a_source_of_the_projects_own_runs_apart_from_dex(engine, flow, settings, folder):
    code = folder / "dex-connectors" / "numbers" / "__init__.py"
    assert code.is_file()  # beside the models of this module's project
    row = Connection(project=flow.environment.project, name="Own", connector="custom", dataset="own")
    keys = Path(settings.DEX_HOME) / "keys" / "variables"
    save_variable(flow.environment.project, None, "TOKEN", "a-value-to-keep", secret=True)  # so that there are keys
    save_connection(row, {"package": "numbers", "values": f'{{"keys": "{keys}"}}'})
    save_streams(row, {"numbers": {}})
    save_node(Node(flow=flow, name="Load", kind="connection", connection=row))
    run = run_to_end(flow)
    task = run.task_runs.get()
    assert run.state == RunState.SUCCEEDED, task.reason
    with warehouse(flow) as db:
        (seen,) = {key for (key,) in db.execute("select keys from own.numbers").fetchall()}
    assert seen == "refused" or process.isolation().level < 3


def test_a_load_whose_process_is_killed_is_repeated_without_losing_or_doubling_a_row(engine, flow, shop, settings):
    with sqlite3.connect(shop) as db:
        db.executemany("insert into orders values (?, ?, ?)", [(n, 1, n) for n in range(101, 60_001)])
    row = connect(flow, shop, orders={"mode": "merge", "primary_key": ["id"], "cursor": "changed"})
    save_node(
        Node(flow=flow, name="Load", kind="connection", connection=row, streams=["orders"], retries=2, retry_delay=0)
    )
    run = start(flow)
    attempt = until(lambda: Attempt.objects.filter(task_run__run=run, pid__isnull=False).first(), 30)
    time.sleep(0.8)
    process.kill_leftover(attempt.pid, attempt.pid_start, attempt.boot_id)
    run = finished(run)
    tries = run.task_runs.get().tries.count()
    assert run.state == RunState.SUCCEEDED and tries == 2
    with warehouse(flow) as db:
        assert db.execute("select count(*), count(distinct id) from shop_raw.orders").fetchone() == (60_000, 60_000)
