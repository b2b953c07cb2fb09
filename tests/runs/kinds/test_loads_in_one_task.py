"""A Connection node that loads all its tables in one task."""
# ruff: noqa: F811 - pytest takes the fixtures of shop_loads by their names

import sqlite3

import pytest

from flows.infra import process
from flows.models import Flow
from nodes.models import Load, Node
from nodes.services import save_node
from runs.models import Attempt
from runs.scheduling.shared_models import shared_models
from runs.states import RunState
from tests.helpers.engines import finished, run_to_end, start
from tests.helpers.pages import Person
from tests.helpers.waiting import until
from tests.runs.kinds.shop_loads import connect, flow, folder, shop, warehouse  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)


def one_task(flow, connection, **more):
    return save_node(Node(flow=flow, name="Load", kind="connection", connection=connection, one_task=True, **more))


def test_all_tables_are_one_task_and_what_reads_any_of_them_waits_for_all(engine, flow, shop):
    node = one_task(flow, connect(flow, shop))
    save_node(Node(flow=flow, name="Models"))
    assert [(task.identifier, sorted(task.makes.values())) for task in node.tasks.all()] == [
        ("shop_raw.*", ["shop_raw.customers", "shop_raw.orders"])
    ]
    run = run_to_end(flow)
    task = run.task_runs.get(identifier="shop_raw.*")
    assert run.state == RunState.SUCCEEDED, task.reason
    told = {row["table"]: (row["state"], row["rows_affected"]) for row in task.result["tables"]}
    assert told == {"orders": ("succeeded", 100), "customers": ("succeeded", 10)}
    assert task.result["rows_affected"] == 110 and task.tries.count() == 1
    starts = run.task_runs.filter(identifier__in=["stg_orders", "stg_customers"]).values_list("started_at", flat=True)
    assert len(starts) == 2 and min(starts) >= task.ended_at
    with warehouse(flow) as db:
        assert db.execute("select n, total from main.mart").fetchone() == (100, 50500)
    ada = Person("ada", "everything")
    page = ada.open(f"/runs/{run.pk}/?task={task.pk}")
    assert all(word in page.html for word in ("Tables", "customers", "110", "100"))
    page = ada.open("/models/source.small.shop.orders/")
    assert "Loaded by" in page.html and "100 rows" in page.html and flow.name in page.html


def test_a_table_that_fails_is_named_and_what_the_others_loaded_stays(engine, flow, shop):
    one_task(flow, connect(flow, shop))
    save_node(Node(flow=flow, name="Models"))
    with sqlite3.connect(shop) as db:
        db.execute("drop table customers")
    run = run_to_end(flow)
    task = run.task_runs.get(identifier="shop_raw.*")
    assert (
        run.state == RunState.FAILED
        and task.reason.startswith("customers: ")
        and "The table does not exist" in task.reason
    )
    assert {row["table"]: row["state"] for row in task.result["tables"]} == {
        "orders": "succeeded",
        "customers": "failed",
    }
    assert set(run.task_runs.exclude(pk=task.pk).values_list("state", flat=True)) == {"skipped"}
    with warehouse(flow) as db:
        assert db.execute("select count(*) from shop_raw.orders").fetchone() == (100,)
    page = Person("ada", "everything").open(f"/runs/{run.pk}/?task={task.pk}")
    assert "The table does not exist" in page.html


def test_an_attempt_that_is_killed_leaves_what_it_has_loaded_and_the_next_loads_the_rest(engine, flow, shop):
    with sqlite3.connect(shop) as db:
        db.executemany("insert into orders values (?, ?, ?)", [(n, 1, n) for n in range(101, 400_001)])
    one_task(flow, connect(flow, shop, customers={"mode": "append"}), retries=2, retry_delay=0)
    run = start(flow)
    until(lambda: Load.objects.filter(table="customers").exists(), 30)
    attempt = Attempt.objects.get(task_run__run=run)
    process.kill_leftover(attempt.pid, attempt.pid_start, attempt.boot_id)
    run = finished(run)
    task = run.task_runs.get()
    assert run.state == RunState.SUCCEEDED and task.tries.count() == 2, task.reason
    assert {row["table"]: row["rows_affected"] for row in task.result["tables"]} == {
        "customers": 10,
        "orders": 400_000,
    }
    with warehouse(flow) as db:
        assert db.execute("select count(*) from shop_raw.customers").fetchone() == (10,)
        assert db.execute("select count(*), count(distinct id) from shop_raw.orders").fetchone() == (400_000,) * 2


def test_a_table_of_a_load_in_one_task_counts_as_built_by_its_flow(flow, shop):
    connection = connect(flow, shop)
    one_task(flow, connection)
    other = Flow.objects.create(name="other", environment=flow.environment)
    save_node(Node(flow=other, name="Orders", kind="connection", connection=connection, streams=["orders"]))
    assert list(shared_models().groups.items()) == [((flow.pk, other.pk), ["shop_raw.orders"])]


def test_tables_that_an_earlier_node_loads_are_left_out_of_the_one_task(engine, flow, shop):
    connection = connect(flow, shop)
    save_node(Node(flow=flow, name="Orders", kind="connection", connection=connection, streams=["orders"]))
    one_task(flow, connection)
    run = run_to_end(flow)
    task = run.task_runs.get(identifier="shop_raw.*")
    assert run.state == RunState.SUCCEEDED, task.reason
    assert task.result["rows_affected"] == 10 and run.task_runs.count() == 2
