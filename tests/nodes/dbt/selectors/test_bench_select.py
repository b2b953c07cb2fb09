"""The benchmark measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nodes.dbt.manifest import decode
from nodes.dbt.selectors import select
from runs.bench.select import VALUE, bench_select, synthetic_manifest, synthetic_project

pytestmark = pytest.mark.exhaustive


def test_the_benchmark_gives_its_figures_and_says_what_it_left_out() -> None:
    figures = bench_select(200, with_dbt=False)
    assert figures["models"] == 200
    assert 0 < figures["warm_ms"] <= figures["cold_ms"] * 5
    assert figures["dbt_ls_ms"] is None and "not measured" in figures["note"]
    json.dumps(figures)


def test_the_synthetic_manifest_is_large_connected_and_always_the_same() -> None:
    manifest = decode(synthetic_manifest(300))
    assert synthetic_manifest(300) == synthetic_manifest(300)
    kinds = {name: len(numbers) for name, numbers in manifest.numbers_by_type.items()}
    assert kinds == {"model": 300, "test": 285, "source": 16}
    assert len(select(manifest, [VALUE])) > len(select(manifest, [VALUE.strip("+")]))


def test_the_synthetic_project_has_the_models_of_the_manifest(tmp_path: Path) -> None:
    synthetic_project(tmp_path, 30)
    names = {path.stem for path in tmp_path.glob("models/**/*.sql")}
    manifest = decode(synthetic_manifest(30))
    assert names == {row.name for row in manifest if row.resource_type == "model"}
