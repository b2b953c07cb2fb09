"""A shop's database and the dbt project that reads what a connection loads of it: fixtures and helpers."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pytest_django.fixtures import Settings

from flows.models import Environment, Flow, Project
from nodes.connections.services import save_connection, save_streams
from nodes.models import Connection
from nodes.services.sync import sync
from tests.helpers.engines import write_project
from tests.helpers.waiting import patience

ENVIRONMENT = 900_002
SOURCES = """
version: 2
sources:
  - name: shop
    schema: shop_raw
    tables:
      - name: orders
        loaded_at_field: changed
        freshness: {warn_after: {count: 2, period: hour}}
      - name: customers
"""
OWN = """
import dlt

def source(config):
    @dlt.resource(name="numbers")
    def numbers():
        try:
            open(config["keys"]).read()
            said = "read"
        except OSError:
            said = "refused"
        yield from ({"n": n, "keys": said} for n in range(3))

    return numbers
"""
MODELS = {
    "stg_orders": "select * from {{ source('shop', 'orders') }}",
    "stg_customers": "select * from {{ source('shop', 'customers') }}",
    "mart": "select count(*) as n, sum(amount) as total from {{ ref('stg_orders') }}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_project(tmp_path_factory.mktemp("loads") / "shop", MODELS, models__sources_yml=SOURCES)
    own = made / "dex-connectors" / "numbers"
    own.mkdir(parents=True)
    (own / "__init__.py").write_text(OWN)
    return made


@pytest.fixture
def shop(tmp_path: Path, settings: Settings) -> Path:
    """A shop's SQLite file, which dex may read."""
    settings.CONNECT_FILES = [str(tmp_path)]
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("create table orders (id integer primary key, amount integer, changed integer)")
        db.execute("create table customers (id integer primary key, name text)")
        db.executemany("insert into orders values (?, ?, ?)", [(n, n * 10, n) for n in range(1, 101)])
        db.executemany("insert into customers values (?, ?)", [(n, f"c{n}") for n in range(1, 11)])
    return path


@pytest.fixture
def flow(folder: Path) -> Flow:
    project = Project.objects.create(name="shop", path=str(folder))
    environment = Environment.objects.create(pk=ENVIRONMENT, project=project, name="test")
    sync(environment)
    environment.refresh_from_db()
    assert environment.current_revision is not None
    Path(environment.current_revision.warehouse["path"]).unlink(missing_ok=True)  # what an earlier test loaded
    return Flow.objects.create(name="shop", environment=environment)


def connect(flow: Flow, path: Path, **settings: Any) -> Connection:
    row = Connection(project=flow.environment.project, name="Shop", connector="sql_database", dataset="shop_raw")
    save_connection(row, {"system": "sqlite", "path": str(path)})
    save_streams(row, {"orders": {}, "customers": {}, **settings})
    return row


def warehouse(flow: Flow) -> duckdb.DuckDBPyConnection:
    run = flow.runs.first()
    assert run is not None and run.revision is not None
    path = run.revision.warehouse["path"]
    deadline = time.monotonic() + patience(30)
    while True:
        try:
            return duckdb.connect(path, read_only=True)
        except duckdb.IOException:  # the session of dbt lets go of the file a moment after its last task
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
