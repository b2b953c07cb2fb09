"""`state:modified` and enforced contracts: what breaks one stops, as dbt does; what cannot break anything warns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nodes.dbt.selectors.state import Comparison
from nodes.dbt.selectors.values import SelectorError

MODEL = "model.shop.orders"
NOT_NULL = {"type": "not_null"}
CHECK = {"type": "check", "expression": "id > 0"}


def model(version: Any = 1, **changes: Any) -> dict[str, Any]:
    """A model with an enforced contract and two columns, as a manifest holds it."""
    return {
        "unique_id": MODEL,
        "resource_type": "model",
        "name": "orders",
        "fqn": ["shop", "orders"],
        "raw_code": "select 1",
        "version": version,
        "config": {"materialized": "table"},
        "contract": {"enforced": True, "checksum": "1"},
        "columns": {
            "id": {"name": "id", "data_type": "integer", "constraints": [NOT_NULL]},
            "name": {"name": "name", "data_type": "varchar(20)"},
        },
        **changes,
    }


def columns(**changes: Any) -> dict[str, Any]:
    """The columns of the model, some with other fields; None leaves one out."""
    every: dict[str, Any] = model()["columns"]
    changed = {name: every[name] | changes[name] for name in changes if changes[name] is not None}
    return {
        name: column for name, column in (every | changed).items() if name not in changes or changes[name] is not None
    }


def manifest(adapter: str, *nodes: dict[str, Any], disabled: dict[str, Any] | None = None) -> bytes:
    schema = "https://schemas.getdbt.com/dbt/manifest/v12.json"
    return json.dumps(
        {
            "metadata": {"dbt_schema_version": schema, "adapter_type": adapter},
            "nodes": {node["unique_id"]: node for node in nodes},
            "disabled": disabled or {},
        }
    ).encode()


CHANGED: dict[str, Any] = {"enforced": True, "checksum": "2"}
BREAKS = [
    ({"contract": {"enforced": False}}, "the contract is no longer enforced"),
    ({"contract": CHANGED, "columns": columns(name=None)}, "column name was removed"),
    ({"contract": CHANGED, "columns": columns(id={"data_type": "text"})}, "column id changed its type"),
    ({"contract": CHANGED, "columns": columns(id={"constraints": []})}, "column id lost a constraint"),
    ({"contract": CHANGED, "config": {"materialized": "view"}}, "the materialization changed"),
]


@pytest.mark.parametrize(("change", "what"), BREAKS)
def test_a_breaking_change_of_a_versioned_model_stops_the_selection(change: dict[str, Any], what: str) -> None:
    comparison = Comparison(manifest("postgres", model(**change)), manifest("postgres", model()))
    with pytest.raises(SelectorError, match=what):
        comparison.search("modified")


@pytest.mark.parametrize(("change", "what"), BREAKS)
def test_a_breaking_change_of_a_model_without_versions_is_a_warning(change: dict[str, Any], what: str) -> None:
    comparison = Comparison(manifest("postgres", model(None, **change)), manifest("postgres", model(None)))
    assert comparison.search("modified") == {MODEL}
    assert len(comparison.warnings) == 1 and what in comparison.warnings[0]


def test_a_constraint_of_the_model_counts_where_the_database_enforces_it() -> None:
    before, after = model(constraints=[CHECK]), model(contract=CHANGED)
    with pytest.raises(SelectorError, match="a constraint was removed"):
        Comparison(manifest("duckdb", after), manifest("duckdb", before)).search("modified")
    elsewhere = Comparison(manifest("snowflake", after), manifest("snowflake", before))
    assert elsewhere.search("modified") == {MODEL} and not elsewhere.warnings


@pytest.mark.parametrize(
    "change",
    [
        {"columns": columns(name={"data_type": "varchar(30)"})},
        {"columns": {**columns(), "price": {"name": "price", "data_type": "integer"}}},
        {"columns": columns(name={"constraints": [NOT_NULL]})},
    ],
)
def test_a_longer_type_a_new_column_and_a_new_constraint_break_nothing(change: dict[str, Any]) -> None:
    after = manifest("postgres", model(contract=CHANGED, **change))
    comparison = Comparison(after, manifest("postgres", model()))
    assert comparison.search("modified.contract") == {MODEL} and comparison.warnings == []


def test_a_contract_that_is_new_is_a_change_and_one_that_is_the_same_is_none() -> None:
    without = model(contract={"enforced": False})
    assert Comparison(manifest("duckdb", model()), manifest("duckdb", without)).search("modified.contract") == {MODEL}
    same = Comparison(manifest("duckdb", model()), manifest("duckdb", model()))
    assert same.search("modified.contract") == same.search("modified") == frozenset()


@pytest.mark.parametrize("disabled", [False, True])
def test_a_removed_or_disabled_version_with_a_contract_stops_until_its_deprecation_is_over(disabled: bool) -> None:
    def now(**fields: Any) -> bytes:
        return manifest("duckdb", disabled={MODEL: [model(**fields)]} if disabled else None)

    with pytest.raises(SelectorError, match="was removed, renamed or disabled"):
        Comparison(now(), manifest("duckdb", model())).search("modified")
    past = {"deprecation_date": "2020-01-31T00:00:00+00:00"}
    assert Comparison(now(**past), manifest("duckdb", model(**past))).search("modified") == frozenset()
    for date in ("2999-01-01T00:00:00+00:00", "some day"):
        with pytest.raises(SelectorError):
            Comparison(now(deprecation_date=date), manifest("duckdb", model(deprecation_date=date))).search(
                "unmodified"
            )
