"""Test of a warehouse on the dbt under test: it connects, asks, and what cannot be connected says why."""

import pytest
import yaml

from nodes.dbt.warehouses.base import Probe
from nodes.services.warehouse_checks import CheckOrder
from runs.operations import warehouse_checks
from tests.nodes.dbt.dbt_lab import runtime_under_test

pytestmark = pytest.mark.process


def asked(tmp_path, output, *probes):
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "profiles.yml").write_text(yaml.safe_dump({"shop": {"target": "dex", "outputs": {"dex": output}}}))
    order = CheckOrder(output["type"], dict(output), folder, "shop", "dex", {}, {}, probes=probes)
    return warehouse_checks.ask(order, runtime_under_test(), tmp_path, tmp_path)


def test_it_connects_with_the_file_beside_which_it_runs_and_asks_its_questions(tmp_path):
    output = {"type": "duckdb", "path": "shop.duckdb", "schema": "main"}
    right = Probe("select {schema} = 'main'", "permission", "never said")
    assert asked(tmp_path, output, right) == (True, "", "Connected to DuckDB.", "")
    assert (tmp_path / "shop.duckdb").exists()


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (Probe("select null", "permission", "No right in {schema}."), (False, "permission", "No right in main.")),
        (Probe("select false", "role", "No role."), (False, "role", "No role.")),
        (
            Probe("selec", "role", "never said"),
            (True, "", "Connected to DuckDB. Its permissions could not be checked."),
        ),
    ],
)
def test_an_answer_that_is_not_what_it_must_be_is_told_and_none_is_no_failure(tmp_path, probe, expected):
    output = {"type": "duckdb", "path": "shop.duckdb", "schema": "main"}
    found = asked(tmp_path, output, probe)
    assert found[:3] == expected and ("syntax error" in found[3]) == (probe.sql == "selec")


def test_what_cannot_be_connected_says_why(tmp_path):
    output = {"type": "postgres", "host": "127.0.0.1", "port": 1, "user": "u", "password": "p", "dbname": "d"}
    well, kind, message, details = asked(tmp_path, {**output, "schema": "s"})
    assert (well, kind) == (False, "port") and "Nothing answers at 127.0.0.1, port 1." in message
    assert "Connection refused" in details


def test_a_setting_that_the_adapter_refuses_and_an_adapter_that_is_not_there_are_told(tmp_path):
    assert asked(tmp_path, {"type": "postgres", "host": "h"})[:2] == (False, "setting")
    (tmp_path / "profiles" / "profiles.yml").unlink()
    (tmp_path / "profiles").rmdir()
    (tmp_path / "project" / "dbt_project.yml").unlink()
    (tmp_path / "project").rmdir()
    message = (
        "The project's dbt has no adapter for Snowflake. Add the package dbt-snowflake to the project's dbt runtime."
    )
    assert asked(tmp_path, {"type": "snowflake", "account": "a"})[:3] == (False, "adapter", message)
