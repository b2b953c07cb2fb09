"""Every warehouse with its real adapter: dbt reads what dex wrote, the adapter accepts it, and a project parses.

Adapters that dex does not ship are in virtualenvs of their own; `make test-warehouses` builds them.
"""

import json
import subprocess

import pytest
import yaml

from flows.infra import process
from nodes.dbt.parse import parse_project
from nodes.dbt.warehouses.rendering import accept, render
from nodes.services.warehouse_checks import CheckOrder
from runs.operations import warehouse_checks
from tests.helpers.waiting import patience
from tests.nodes.dbt.warehouses import read_credentials
from tests.nodes.dbt.warehouses.adapter_lab import SECRETS, VARIANTS, runtime_of, variables

pytestmark = pytest.mark.process
PROJECT = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\n",
    "models/orders.sql": "{{ config(materialized='table') }} select 1 as id",
    "models/paid.sql": "select * from {{ ref('orders') }} where id in (select id from {{ source('raw', 'payments') }})",
    "models/s.yml": "sources: [{name: raw, tables: [{name: payments}]}]\n"
    "models: [{name: orders, columns: [{name: id, data_tests: [unique]}]}]",
}


def written(name, folder):
    """A project with the profile of a variant, and the environment that dbt needs."""
    kind, typed, expected = VARIANTS[name]
    kept, errors = accept(kind, typed)
    assert errors == {}
    made = render(kept, variables(), SECRETS)
    for path, text in PROJECT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    profile = {"shop": {"target": "dex", "outputs": {"dex": {**made.output, "threads": 2}}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profile))
    return runtime_of(kind), dict(made.passed), expected


#: What Test says of a variant where nothing listens: kind, and part of the sentence. Others wait for their time limit.
REFUSED = {
    "postgres": ("port", "Nothing answers at 127.0.0.1, port 1."),
    "redshift-password": ("port", "Nothing answers at 127.0.0.1, port 1."),
    "trino-ldap": ("port", "Nothing answers at 127.0.0.1, port 1."),
    "trino-none": ("port", "Nothing answers at 127.0.0.1, port 1."),
    "clickhouse": ("port", "Nothing answers at 127.0.0.1, port 1."),
    "spark-thrift": ("port", "Nothing answers at 127.0.0.1, port 1."),
    "athena-machine": ("auth", "This machine has no role of AWS."),
    "bigquery-adc": ("auth", "This machine has no default credentials of Google."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_adapter_says_where_nothing_listens_becomes_a_sentence(name, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    runtime, passed, _ = written(name, folder)
    kind, typed, _ = VARIANTS[name]
    settings = {key: value.replace("{{ HOST }}", "127.0.0.1") for key, value in typed.items() if "SECRET" not in value}
    order = CheckOrder(kind, settings, folder, "shop", "dex", {}, passed)
    well, problem, message, details = warehouse_checks.ask(order, runtime, tmp_path, tmp_path)
    assert not well and problem == REFUSED[name][0], (problem, message, details)
    assert message.startswith(REFUSED[name][1]) and details and "s3cret" not in details


@pytest.mark.parametrize("name", VARIANTS)
def test_the_adapter_takes_the_profile_and_a_project_parses(name, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    runtime, passed, expected = written(name, folder)
    done = subprocess.run(
        [runtime.python, read_credentials.__file__, folder],
        env=process.clean_environment(passed, home=tmp_path / "home"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for attribute, value in expected.items():
        assert found[attribute] == (value() if callable(value) else value), attribute
    parsed = parse_project(folder, env=passed, home=tmp_path / "dex", runtime=runtime)
    manifest = json.loads(parsed.manifest_path.read_text())
    assert manifest["metadata"]["adapter_type"] == VARIANTS[name][0]
    assert {"model.shop.orders", "model.shop.paid"} <= set(manifest["nodes"])


JOBS = """
import os, threading
from collections import defaultdict
from dbt.adapters.bigquery.connections import BigQueryConnectionManager
manager = object.__new__(BigQueryConnectionManager)
manager.jobs_by_thread = defaultdict(list)
job = manager.generate_job_id()
assert manager.jobs_by_thread == {(os.getpid(), threading.get_ident()): [job]}, manager.jobs_by_thread
"""


def test_bigquery_keeps_its_jobs_as_the_session_looks_for_them(tmp_path):
    subprocess.run([runtime_of("bigquery").python, "-c", JOBS], check=True, cwd=tmp_path)
