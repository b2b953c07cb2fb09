"""From what people type to profiles.yml: nothing secret in it, nothing that the chosen way to log in does not use."""

import json
import re
from typing import Any

import pytest

from nodes.dbt.warehouses.base import PREFIX
from nodes.dbt.warehouses.problems import explain
from nodes.dbt.warehouses.registry import WAREHOUSES, package_of, title_of
from nodes.dbt.warehouses.rendering import WarehouseError, accept, render
from nodes.fields.form import fields_of
from tests.nodes.dbt.warehouses.adapter_lab import ROOT, SECRETS, VARIANTS, variables


def kept(name):
    kind, typed, _ = VARIANTS[name]
    stored, errors = accept(kind, typed)
    assert errors == {}
    return stored


@pytest.mark.parametrize("name", VARIANTS)
def test_a_secret_is_in_no_file_and_reaches_dbt_by_its_environment(name):
    made = render(json.loads(json.dumps(kept(name))), variables(), SECRETS)
    written = str(made.output)
    for secret in ("s3cret-value-1", "BEGIN PRIVATE KEY", "0123456789abcdef-the-id"):
        assert secret not in written
    assert all(key.startswith(PREFIX) and f"env_var('{key}')" in written for key in made.passed)
    assert bool(made.passed) == any(f"{{{{ {secret} }}}}" in str(VARIANTS[name][1]) for secret in SECRETS)
    assert made.output["type"] == VARIANTS[name][0]


def test_every_warehouse_and_every_way_to_log_in_has_a_variant():
    assert {kind for kind, _, _ in VARIANTS.values()} == set(WAREHOUSES)
    for kind, warehouse in WAREHOUSES.items():
        for each in fields_of(warehouse):
            if each.name in ("auth", "method") and kind != "spark":
                named = {typed.get(each.name) or each.default for other, typed, _ in VARIANTS.values() if other == kind}
                assert named == set(each.choices), kind


def test_a_secret_that_is_typed_in_clear_is_refused_at_its_field():
    for kind, typed, _ in VARIANTS.values():
        for each in fields_of(WAREHOUSES[kind]):
            if each.secret and each.name in typed:
                _, errors = accept(kind, {**typed, each.name: "in-clear"})
                assert errors[each.name].startswith("Add it as a secret on the Variables page"), kind
                assert each.example in errors[each.name]


def test_what_the_chosen_way_to_log_in_needs_is_required_and_nothing_else():
    _, errors = accept("snowflake", {"auth": "key_pair", "password": "{{ P }}"})
    assert errors == {
        "account": "Account is required.",
        "user": "User is required.",
        "private_key": "Private key is required.",
        "warehouse": "Virtual warehouse is required.",
        "database": "Database is required.",
    }
    stored, errors = accept("snowflake", {**VARIANTS["snowflake-oauth"][1], "password": "{{ P }}", "user": "x"})
    assert errors == {} and "password" not in stored and "user" not in stored


@pytest.mark.parametrize(
    ("kind", "typed", "where", "message"),
    [
        ("postgres", {"port": "five"}, "port", "This must be a whole number."),
        ("postgres", {"port": "70000"}, "port", "This must be at most 65535."),
        ("athena", {"s3_staging_dir": "bucket/x"}, "s3_staging_dir", "The folder must begin with s3://."),
        ("trino", {"session_properties": "{"}, "session_properties", "This is not JSON (line 1, column 2)."),
        ("snowflake", {"auth": "magic"}, "auth", "Choose 'key_pair', 'password' or 'oauth'."),
        ("oracle", {}, "type", "oracle is not a supported warehouse type; use profiles.yml of the project."),
    ],
)
def test_bad_input_is_told_at_its_field(kind, typed, where, message):
    assert accept(kind, typed)[1][where] == message


def test_a_warehouse_that_was_kept_before_is_rendered_as_before():
    old = {
        "type": "postgres",
        "host": "db",
        "port": "5432",
        "user": "dex",
        "password": "{{ SECRET }}",
        "dbname": "shop",
        "schema": "{{ HOST }}",
        "sslmode": "require",
    }
    made = render(old, variables(), SECRETS)
    assert made.output == {
        **old,
        "port": 5432,
        "password": "{{ env_var('DBT_ENV_SECRET_DEX_PASSWORD') }}",
        "schema": "127.0.0.1",
    }
    assert made.passed == {"DBT_ENV_SECRET_DEX_PASSWORD": "s3cret-value-1"}
    assert render({"type": "duckdb", "path": "a.duckdb"}, {}, ()).output["path"] == "a.duckdb"


def test_a_host_that_is_secret_is_hidden_too_and_a_port_cannot_be():
    made = render({**kept("postgres"), "host": "{{ SECRET }}.example.com"}, variables(), SECRETS)
    assert made.output["host"] == "{{ env_var('DBT_ENV_SECRET_DEX_HOST') }}"
    assert made.passed["DBT_ENV_SECRET_DEX_HOST"] == "s3cret-value-1.example.com"
    with pytest.raises(WarehouseError, match="Warehouse, Port: This setting cannot be a secret"):
        render({**kept("postgres"), "port": "{{ SECRET }}"}, {**variables(), "SECRET": "5432"}, SECRETS)


def test_a_value_that_a_variable_makes_wrong_is_told_with_its_setting():
    with pytest.raises(WarehouseError, match=r"Warehouse, Port: This must be a whole number\."):
        render({**kept("postgres"), "port": "{{ HOST }}"}, variables(), SECRETS)
    with pytest.raises(WarehouseError, match=r"Warehouse, Password: There is no variable GONE"):
        render({**kept("postgres"), "password": "{{ GONE }}"}, variables(), SECRETS)
    with pytest.raises(WarehouseError, match="the whole JSON file of the service account"):
        render(kept("bigquery-service_account"), {**variables(), "JSON": "not json"}, SECRETS)
    with pytest.raises(WarehouseError, match="has no private_key"):
        render(kept("bigquery-service_account"), {"JSON": '{"type": "service_account", "project_id": "x"}'}, SECRETS)
    with pytest.raises(WarehouseError, match="dex knows no warehouse of the type oracle"):
        render({"type": "oracle"}, {}, ())


def test_the_warehouse_that_the_docs_show_works_as_it_stands():
    shown = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "warehouses.md").read_text(), re.S)
    assert shown is not None
    module: dict[str, Any] = {"__name__": "exasol"}
    exec(shown[1], module)
    WAREHOUSES["exasol"] = exasol = module["Exasol"]()
    try:
        typed = {"dsn": "{{ HOST }}:8563", "user": "dex", "password": "{{ SECRET }}"}
        stored, errors = accept("exasol", typed)
        assert errors == {} and stored == {"type": "exasol", "schema": "analytics", **typed}
        assert render(stored, variables(), SECRETS).output == {
            "type": "exasol",
            "dsn": "127.0.0.1:8563",
            "user": "dex",
            "password": "{{ env_var('DBT_ENV_SECRET_DEX_PASSWORD') }}",
            "schema": "analytics",
        }
        assert explain("exasol", {}, "authentication failed")[0] == "auth"
        assert "no destination for it" in exasol.refusal and "may go on in Exasol" in " ".join(exasol.notes)
    finally:
        del WAREHOUSES["exasol"]
    assert (title_of("exasol"), package_of("exasol")) == ("exasol", "dbt-exasol")


CANCEL = {"proven": "ends the query", "adapter": "asks the warehouse, as dbt does", "never": "**may go on**"}


def row_of(warehouse):
    """What docs/warehouses.md says of a warehouse."""
    login = next((each for each in fields_of(warehouse) if each.name in ("auth", "method")), None)
    words = ", ".join(login.words.get(choice, choice) for choice in login.choices) if login else "a password"
    words = {"duckdb": "(a file)", "fabric": "Service principal of Microsoft Entra"}.get(warehouse.type, words)
    loads = "yes" if warehouse.loads.works else "no" if warehouse.loads.dlt else "no: dlt has no destination"
    lost = "ended" if warehouse.ends_orphans else "may go on"
    cells = (warehouse.title, f"`{warehouse.package}`", words, CANCEL[warehouse.cancels], lost, loads, warehouse.tested)
    return f"| {' | '.join(cells)} |"


def test_the_table_of_the_docs_says_what_the_descriptions_say():
    lines = (ROOT / "docs" / "warehouses.md").read_text().splitlines()
    rows = [row_of(warehouse) for warehouse in WAREHOUSES.values()]
    assert [line for line in lines if line.startswith("| ") and "`dbt-" in line] == rows, "\n" + "\n".join(rows)
