"""The sample project on real warehouses, run model by model as a flow does it."""

import json
import uuid

import duckdb
import psycopg2
import pytest

from nodes.dbt.parse import parse_project
from tests.helpers.waiting import until
from tests.nodes.dbt.dbt_lab import Talk, environment, runtime_under_test, sample_project

pytestmark = pytest.mark.process

STAGING = [f"model.shop.stg_{name}" for name in ("customers", "orders", "payments")]
SEEDS = [f"seed.shop.raw_{name}" for name in ("customers", "orders", "payments")]
MARTS = [f"model.shop.mart_{name}" for name in ("orders", "customers", "revenue")]


def build(talk: Talk) -> dict[str, dict]:
    """Everything with its tests, layer after layer."""
    manifest = json.loads(talk.parsed.manifest_path.read_text())
    tests: dict[str, list[str]] = {}
    order = [*SEEDS, *STAGING, "model.shop.mart_customers", "model.shop.mart_orders", "model.shop.mart_revenue"]
    for key, node in manifest["nodes"].items():
        if node["resource_type"] == "test":
            last = max(node["depends_on"]["nodes"], key=order.index)
            tests.setdefault(last, []).append(key)
    results = {}
    for layer in (SEEDS, STAGING, order[6:7], order[7:8], order[8:]):
        for unique_id in layer:
            units = [key for key, test in manifest["unit_tests"].items() if test["depends_on"]["nodes"] == [unique_id]]
            talk.client.execute(unique_id, unique_id, tests=tests.get(unique_id, []), unit_tests=units)
        results.update({event["task"]: event for event in talk.until("result", len(layer))})
    return results


def test_the_sample_builds_on_an_empty_duckdb_and_staging_alone_after_that(tmp_path):
    parsed = parse_project(sample_project(tmp_path), home=tmp_path, runtime=runtime_under_test())
    talk = Talk(parsed, tmp_path / "work", database_dir=tmp_path / "databases")
    try:
        assert talk.begin()["ok"]
        results = build(talk)
        assert {task: result["status"] for task, result in results.items()} == dict.fromkeys(
            [*SEEDS, *STAGING, *MARTS], "success"
        )
        checked = [test["status"] for result in results.values() for test in result["tests"]]
        assert len(checked) == 24
        assert set(checked) == {"pass"}
        assert 0.5 < results["model.shop.mart_revenue"]["execution_time"] < 60
        talk.end()
        with duckdb.connect(parsed.profile.database, read_only=True) as connection:
            counts = connection.sql(
                "select (select count(*) from main.mart_orders), (select count(*) from main.mart_customers)"
            )
            assert counts.fetchall() == [(3000, 800)]
        assert talk.begin(STAGING)["ok"]
        assert [talk.execute(unique_id)["status"] for unique_id in STAGING] == ["success"] * 3
        talk.end()
    finally:
        talk.close()


@pytest.fixture
def schema(postgres, monkeypatch):
    """The name of a schema, and a connection to the PostgreSQL server that the sample's profile leads to."""
    place = {"HOST": "127.0.0.1", "PORT": str(postgres.port), "USER": "dex", "DATABASE": "dex"}
    for name, value in place.items():
        monkeypatch.setenv(f"DEX_POSTGRES_{name}", value)
    connection = psycopg2.connect(host="127.0.0.1", port=postgres.port, user="dex", dbname="dex")
    connection.autocommit = True
    yield f"shop_{uuid.uuid4().hex[:8]}", connection
    connection.close()


def test_the_sample_builds_on_postgres_and_a_cancel_ends_its_query_there(tmp_path, schema):
    name, connection = schema
    env = {**environment(), "DEX_POSTGRES_SCHEMA": name}
    parsed = parse_project(
        sample_project(tmp_path), home=tmp_path, target="postgres", env=env, runtime=runtime_under_test()
    )
    assert parsed.profile.type == "postgres"
    talk = Talk(parsed, tmp_path / "work", target="postgres", env=env)

    def queries() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_stat_activity "
                "where state = 'active' and query like %s and pid <> pg_backend_pid()",
                (f"%{name}%mart_revenue%",),
            )
            return cursor.fetchone()[0]

    try:
        assert talk.begin()["ok"]
        results = build(talk)
        assert {result["status"] for result in results.values()} == {"success"}
        assert results["model.shop.mart_orders"]["rows_affected"] == 3000
        talk.client.execute("slow", "model.shop.mart_revenue")
        until(queries, 10, "the query")
        talk.client.cancel("slow")
        assert talk.until("result")[0]["status"] == "cancelled"
        assert queries() == 0
        assert talk.execute("model.shop.stg_orders")["status"] == "success"
        assert talk.end()["ok"]
    finally:
        talk.close()
