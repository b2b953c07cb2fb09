"""Models are built and Test is answered by the real adapter on what speaks a warehouse's protocol on this machine.

Snowflake is fakesnow, which serves the real connector; Spark is Spark, in dbt's own process.
"""

import json
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from flows.models import Environment, Project
from flows.variables.values import save_variable
from nodes.dbt.parse import parse_project
from nodes.dbt.warehouses.rendering import accept, render
from nodes.services.warehouse_checks import request_check
from runs.operations import warehouse_checks
from tests.helpers.servers import free_port
from tests.helpers.waiting import patience
from tests.nodes.dbt.dbt_lab import Talk
from tests.nodes.dbt.warehouses.adapter_lab import SECRETS, place_of, runtime_of, variables

FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\n",
    "seeds/colours.csv": "id,name\n1,red\n2,green\n",
    "models/orders.sql": "{{ config(materialized='table') }} select 1 as id, 10 as amount union all select 2, 20",
    "models/paid.sql": "select * from {{ ref('orders') }} where amount > 10",
    "models/broken.sql": "{{ config(materialized='table') }} select nonsense from {{ ref('orders') }}",
    "models/s.yml": "models: [{name: orders, columns: [{name: id, data_tests: [unique, not_null]}]}]",
}


def written(folder: Path, kind, typed):
    kept, errors = accept(kind, typed)
    assert errors == {}
    made = render(kept, variables(), SECRETS)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    profile = {"shop": {"target": "dex", "outputs": {"dex": {**made.output, "threads": 2}}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profile))
    return dict(made.passed)


def built(folder, runtime, passed, tmp_path):
    """Build the project with dex's own session; the session, to ask more of it."""
    parsed = parse_project(folder, env=passed, home=tmp_path / "home", runtime=runtime)
    talk = Talk(parsed, tmp_path / "work", env=passed, runtime=runtime)
    assert talk.begin()["ok"]
    for name in ("seed.shop.colours", "model.shop.orders", "model.shop.paid"):
        result = talk.execute(name)
        assert result["status"] == "success", (name, result["message"])
    tests = [name for name in json.loads(parsed.manifest_path.read_text())["nodes"] if name.startswith("test.")]
    checked = talk.execute("model.shop.orders", tests=tests, run_model=False)
    assert checked["status"] == "success" and len(checked["tests"]) == 2
    broken = talk.execute("model.shop.broken")
    assert broken["status"] == "error" and "nonsense" in broken["message"].lower()
    return talk


@pytest.fixture
def fakesnow(tmp_path):
    runtime_of("snowflake")
    port = free_port()
    server = subprocess.Popen(
        [place_of("snowflake") / "bin" / "fakesnow", "--server", "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + patience(30)
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            time.sleep(0.1)
    yield port
    server.kill()
    server.wait()


def snowflake_at(port):
    return {
        "account": "fakesnow",
        "auth": "password",
        "user": "dex",
        "password": "{{ SECRET }}",
        "warehouse": "COMPUTE",
        "database": "SHOP",
        "host": "localhost",
        "port": str(port),
        "protocol": "http",
    }


def test_snowflake_builds_models_in_dexs_own_session(fakesnow, tmp_path):
    passed = written(tmp_path / "shop", "snowflake", snowflake_at(fakesnow))
    built(tmp_path / "shop", runtime_of("snowflake"), passed, tmp_path).close()


@pytest.mark.django_db(transaction=True)
def test_snowflake_is_tested_green_and_red(fakesnow, tmp_path, monkeypatch):
    chosen = SimpleNamespace(runtime=runtime_of("snowflake"))
    monkeypatch.setattr(warehouse_checks, "runtime_for", lambda *arguments: chosen)
    project = Project.objects.create(name="shop", path=str(tmp_path))
    save_variable(project, None, "SECRET", "s3cret-value-1", secret=True)
    environment = Environment.objects.create(project=project, name="main")

    def tested(**fields):
        environment.warehouse, errors = accept("snowflake", {**snowflake_at(fakesnow), **fields})
        environment.save()
        check = request_check(environment)
        warehouse_checks.make(check.pk)
        check.refresh_from_db()
        assert errors == {} and check.done_at
        return check

    check = tested()
    assert check.ok and check.message.startswith("Connected to Snowflake."), (check.kind, check.details)
    assert "current_warehouse" in check.details  # fakesnow does not know it; Snowflake does
    closed = tested(port=str(free_port()), connect_timeout="5", connect_retries="0")
    assert (closed.ok, closed.kind) == (False, "port"), (closed.kind, closed.message, closed.details)
    key = tested(auth="key_pair", private_key="{{ SECRET }}")
    assert (key.ok, key.kind) == (False, "auth") and "PKCS#8" in key.message, (key.message, key.details)


@pytest.mark.process
def test_spark_builds_models_in_dexs_own_session(tmp_path):
    runtime = runtime_of("spark")
    warehouse = json.dumps({"spark.sql.warehouse.dir": str(tmp_path / "tables")})
    passed = written(tmp_path / "shop", "spark", {"method": "session", "server_side_parameters": warehouse})
    built(tmp_path / "shop", runtime, passed, tmp_path).close()
