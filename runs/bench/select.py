"""How long a selection takes on a large project: the figures behind `manage.py bench select`."""

from __future__ import annotations

import gc
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nodes.dbt.manifest import Manifest, decode
from nodes.dbt.selectors import select

#: One value with operators, as a user types it: a tenth of the models bear the tag.
VALUE = "+tag:finance+"
ROUNDS = 15
_DBT_SECONDS = 180
_DOMAINS = ("finance", "sales", "marketing", "product", "people", "supply", "support", "risk", "web", "core")


def bench_select(size: int = 5000, *, with_dbt: bool = False) -> dict[str, Any]:
    """Measure selections on a synthetic project of `size` models and as many tests.

    Gives {"models", "cold_ms", "warm_ms", "dbt_ls_ms"}: cold is reading the stored manifest from disk and one
    selection, warm the same selection on a manifest in memory; both are medians. `dbt_ls_ms` is a whole
    `dbt ls` of the same selection on a generated project of that size; it is None, with a "note", unless
    `with_dbt` asks for it and it ends within three minutes.
    """
    manifest = decode(synthetic_manifest(size))
    figures: dict[str, Any] = {"models": size}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.compact"
        path.write_bytes(manifest.to_compact())

        def cold() -> int:
            return len(select(Manifest.from_compact(path.read_bytes()), [VALUE]).ids)

        figures["cold_ms"] = _median_ms(cold)
        loaded = Manifest.from_compact(path.read_bytes())

        def warm() -> int:
            return len(select(loaded, [VALUE]).ids)

        figures["warm_ms"] = _median_ms(warm)
        figures["selected"] = warm()
        figures["dbt_ls_ms"] = None
        if with_dbt:
            figures.update(_dbt_ls(Path(folder) / "project", size))
        else:
            figures["note"] = "dbt ls was not measured: it was not asked for"
    return figures


def synthetic_manifest(size: int, seed: int = 7) -> bytes:
    """A manifest.json of `size` layered models, sources, and a test for nearly every model; fixed by the seed."""
    nodes: dict[str, Any] = {}
    sources = {
        f"source.shop.raw.table_{n}": _member("source", f"table_{n}", ["raw", f"table_{n}"], "models/sources.yml")
        | {"source_name": "raw"}
        for n in range(size // 20 + 1)
    }
    for n, (name, folder, tags, parents, raw) in enumerate(_models(size, seed)):
        unique_id = f"model.shop.{name}"
        above = [f"model.shop.{parent}" for parent in parents] + [f"source.shop.raw.table_{table}" for table in raw]
        nodes[unique_id] = _member(
            "model", name, [*folder.split("/"), name], f"models/{folder}/{name}.sql", tags, above
        ) | {"access": "protected"}
        if n % 20:
            test = f"unique_{name}_id"
            tested = [unique_id, f"model.shop.{parents[0]}"] if parents and n % 5 == 0 else [unique_id]
            nodes[f"test.shop.{test}.{n:010x}"] = _member(
                "test", test, [*folder.split("/"), test], f"models/{folder}/schema.yml", [], tested
            ) | {"test_metadata": {"name": "unique"}, "attached_node": unique_id}
    return msgspec.json.encode(
        {
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
                "dbt_version": "1.11.16",
                "project_name": "shop",
                "adapter_type": "duckdb",
            },
            "nodes": nodes,
            "sources": sources,
        }
    )


def synthetic_project(folder: Path, size: int, seed: int = 7) -> None:
    """Write the models of `synthetic_manifest` as a dbt project on DuckDB."""
    files = {
        "dbt_project.yml": "name: shop\nversion: '1.0'\nconfig-version: 2\nprofile: shop\n",
        "profiles.yml": "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: ':memory:'}\n",
        "models/sources.yml": "sources:\n  - name: raw\n    tables:\n"
        + "".join(f"      - name: table_{n}\n" for n in range(size // 20 + 1)),
    }
    for name, place, tags, parents, raw in _models(size, seed):
        ups = [f"{{{{ ref('{parent}') }}}}" for parent in parents]
        ups += [f"{{{{ source('raw', 'table_{table}') }}}}" for table in raw]
        files[f"models/{place}/{name}.sql"] = f"{{{{ config(tags={tags!r}) }}}}\nselect 1 as id -- {' '.join(ups)}\n"
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def _models(size: int, seed: int) -> list[tuple[str, str, list[str], list[str], list[int]]]:
    """(name, folder, tags, parents, source tables): domains of ten layers that sometimes use one another."""
    chosen = random.Random(seed)
    models = []
    by_domain: dict[str, list[str]] = {domain: [] for domain in _DOMAINS}
    for n in range(size):
        domain = _DOMAINS[n % len(_DOMAINS)]
        layer = n * 10 // size
        peers = by_domain[domain if chosen.random() < 0.997 else chosen.choice(_DOMAINS)]
        recent = peers[-max(3, size // 100) :]
        parents = chosen.sample(recent, min(len(recent), chosen.choice((1, 2, 2, 3)))) if layer else []
        raw = [] if layer else [chosen.randrange(size // 20 + 1)]
        name = f"{domain}_{layer}_{n}"
        models.append((name, f"{domain}/layer_{layer}", [domain, "daily" if n % 3 else "weekly"], parents, raw))
        by_domain[domain].append(name)
    return models


def _member(
    resource_type: str,
    name: str,
    fqn: list[str],
    path: str,
    tags: list[str] | None = None,
    above: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": resource_type,
        "package_name": "shop",
        "fqn": ["shop", *fqn],
        "original_file_path": path,
        "tags": tags or [],
        "depends_on": {"nodes": above or [], "macros": []},
        "description": f"What {name} holds, in a sentence of the usual length for a description.",
        "config": {"enabled": True, "materialized": "view", "tags": tags or [], "meta": {"owner": name[:4]}},
    }


def _median_ms(what: Callable[[], int]) -> float:
    what()
    took = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.perf_counter()
        what()
        took.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(took), 2)


def _dbt_ls(folder: Path, size: int) -> dict[str, Any]:
    synthetic_project(folder, size)
    command = [
        str(Path(sys.executable).with_name("dbt")),
        "--quiet",
        "--no-send-anonymous-usage-stats",
        "ls",
        "--project-dir",
        str(folder),
        "--profiles-dir",
        str(folder),
        "--select",
        VALUE,
    ]
    until = time.monotonic() + _DBT_SECONDS
    took = 0.0
    try:
        # the first call parses the project; the second is what a user waits for afterwards
        for _ in range(2):
            start = time.monotonic()
            subprocess.run(command, timeout=max(1.0, until - start), check=True, capture_output=True)
            took = time.monotonic() - start
    except (OSError, subprocess.SubprocessError) as error:
        return {"note": f"dbt ls was not measured: {type(error).__name__}"}
    return {"dbt_ls_ms": round(took * 1000)}
