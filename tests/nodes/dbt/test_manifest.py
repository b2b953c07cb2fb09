"""Reading dbt's manifest.json: what is kept of it, and that nothing odd gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nodes.dbt.manifest import Manifest, ManifestError, decode
from runs.bench.select import synthetic_manifest


def test_a_model_is_shown_by_its_folders_and_name_without_the_package(lab: Manifest) -> None:
    assert lab.resources["model.lab.stg_customers"].identifier == "staging.stg_customers"


def test_a_source_is_shown_by_its_source_and_table(lab: Manifest) -> None:
    assert lab.resources["source.lab.raw.orders"].identifier == "raw.orders"


def test_a_manifest_knows_its_project_and_adapter(lab: Manifest) -> None:
    assert (lab.project_name, lab.adapter_type, lab.dbt_version[:4]) == ("lab", "duckdb", "1.12")


def test_parents_and_children_are_the_edges_of_dbt(lab: Manifest) -> None:
    assert lab.parents["model.lab.eph_orders"] == ("model.lab.stg_orders",)
    assert "model.lab.eph_orders" in lab.children["model.lab.stg_orders"]
    assert any(child.startswith("test.") for child in lab.children["model.lab.stg_orders"])


def test_a_resource_keeps_what_dex_shows(lab: Manifest) -> None:
    revenue = lab.resources["model.lab.mart_revenue"]
    assert (revenue.materialized, revenue.package, revenue.path) == (
        "table",
        "lab",
        "models/marts/finance/mart_revenue.sql",
    )
    assert revenue.config["meta"] == {"owner": "core_team"}
    unit_test = lab.resources["unit_test.lab.mart_orders.ut_orders"]
    assert unit_test.tested == "model.lab.mart_orders"
    newest = lab.resources["model.lab.dim.v2"]
    assert newest.is_versioned and newest.version == newest.latest_version == 2
    severities = {row.severity for row in lab if row.resource_type == "test"}
    assert {severity.lower() for severity in severities if severity} == {"error", "warn"}


def test_a_disabled_model_is_in_no_graph_but_is_remembered(lab: Manifest) -> None:
    assert "model.lab.disabled_model" not in lab.resources
    assert lab.disabled["model.lab.disabled_model"].path == "models/staging/disabled_model.sql"


def test_the_stored_form_reads_back_as_the_same_manifest(lab: Manifest) -> None:
    again = Manifest.from_compact(lab.to_compact())
    assert again.resources == lab.resources
    assert again.parents == lab.parents
    assert again.children == lab.children
    assert again.disabled == lab.disabled
    assert again.tag_index == lab.tag_index
    assert again.names == lab.names
    assert again.generated_at == lab.generated_at


def test_a_damaged_stored_form_is_an_error(lab: Manifest) -> None:
    data = lab.to_compact()
    for broken in (b"", data[: len(data) // 2], b"\xff" * 50, b"[]", data[:1] + b"\x63" + data[2:]):
        with pytest.raises(ManifestError):
            Manifest.from_compact(broken)


def _with(**changes: Any) -> bytes:
    """A small good manifest with some top-level members replaced."""
    return json.dumps({**json.loads(synthetic_manifest(20)), **changes}).encode()


def _node(**changes: Any) -> bytes:
    """A small good manifest in which one model is spoilt."""
    content = json.loads(synthetic_manifest(20))
    content["nodes"][next(iter(content["nodes"]))].update(changes)
    return json.dumps(content).encode()


GOOD = synthetic_manifest(20)
CORRUPTED = {
    "empty": b"",
    "blank": b"  \n\t ",
    "one byte": b"{",
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "cut at the end": GOOD[:-1],
    "cut at the start": GOOD[1:],
    "text": b"this is not JSON",
    "HTML": b"<html><body>504</body></html>",
    "YAML": b"metadata:\n  version: 12\n",
    "nul bytes": b"\0" * 1000,
    "random bytes": bytes(range(256)) * 20,
    "bad UTF-8": GOOD.replace(b"finance_0_0", b"\xff\xfe_0_0"),
    "a lone surrogate": GOOD.replace(b"finance_0_0", b"\\ud800_0_0"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "two documents": GOOD + GOOD,
    "null": b"null",
    "a number": b"12",
    "a list": b"[]",
    "an empty object": b"{}",
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep inside": GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep configuration": GOOD.replace(b'"meta":{', b'"meta":{"deep":' + b"[" * 50_000 + b"]" * 50_000 + b",", 1),
    "metadata is null": _with(metadata=None),
    "metadata is a text": _with(metadata="v12"),
    "no schema version": _with(metadata={"project_name": "shop"}),
    "an older schema": _with(metadata={"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v7.json"}),
    "a newer schema": _with(metadata={"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v20.json"}),
    "another artifact": _with(metadata={"dbt_schema_version": "https://schemas.getdbt.com/dbt/catalog/v1.json"}),
    "nodes is a list": _with(nodes=[]),
    "nodes is null": _with(nodes=None),
    "sources is a number": _with(sources=3),
    "a node is a text": _with(nodes={"model.shop.x": "select 1"}),
    "a node is empty": _with(nodes={"model.shop.x": {}}),
    "fqn is a text": _node(fqn="shop.a.b"),
    "fqn is empty": _node(fqn=[]),
    "fqn holds numbers": _node(fqn=[1, 2, 3]),
    "a version without a name": _node(fqn=["shop", "v1"], version=1),
    "depends_on is a list": _node(depends_on=["a"]),
    "tags hold numbers": _node(tags=[1]),
    "configuration is a list": _node(config=[]),
    "name is null": _node(name=None),
    "disabled is a list": _with(disabled=["x"]),
}


@pytest.mark.parametrize("data", CORRUPTED.values(), ids=CORRUPTED.keys())
def test_a_corrupted_manifest_is_refused_with_a_message(data: bytes) -> None:
    with pytest.raises(ManifestError) as refused:
        decode(data)
    assert len(str(refused.value)) > 10


def test_a_parent_that_is_not_there_does_not_break_the_graph() -> None:
    content = json.loads(GOOD)
    first = next(iter(content["nodes"]))
    content["nodes"][first]["depends_on"]["nodes"].append("model.gone.away")
    manifest = decode(json.dumps(content).encode())
    assert "model.gone.away" not in manifest.parents[first]
    assert manifest.depends_at[manifest.number[first]][-1] == -1


def test_members_that_a_newer_dbt_adds_are_ignored() -> None:
    assert len(decode(_with(brand_new={"a": 1}))) == len(decode(GOOD))
