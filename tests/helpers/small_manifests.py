"""Manifests of a few models, written by hand: name -> names it refs."""

import json
from collections.abc import Mapping, Sequence

from nodes.dbt.manifest import Manifest, decode


def _uid(name: str) -> str:
    return name if "." in name else f"model.shop.{name}"


def small_manifest(
    models: Mapping[str, Sequence[str]],
    tests: Mapping[str, Sequence[str]] | None = None,
    *,
    tags: Mapping[str, Sequence[str]] | None = None,
    ephemeral: Sequence[str] = (),
    unit_tests: Mapping[str, str] | None = None,
    sources: Sequence[str] = (),
) -> Manifest:
    """A manifest of package `shop`; a parent written with dots is a whole unique_id (a source, a seed)."""

    def node(kind: str, name: str, parents: Sequence[str], **more: object) -> dict[str, object]:
        return {
            "name": name,
            "resource_type": kind,
            "package_name": "shop",
            "fqn": ["shop", name],
            "original_file_path": f"models/{name}.sql",
            "tags": list((tags or {}).get(name, ())),
            "depends_on": {"nodes": [_uid(parent) for parent in parents]},
            "config": {"enabled": True, "materialized": "ephemeral" if name in ephemeral else "view"},
            **more,
        }

    nodes = {_uid(name): node("model", name, parents) for name, parents in models.items()}
    nodes |= {f"test.shop.{name}": node("test", name, parents) for name, parents in (tests or {}).items()}
    units = {
        f"unit_test.shop.{model}.{name}": node("unit_test", name, [model], fqn=["shop", model, name])
        for name, model in (unit_tests or {}).items()
    }
    from_outside = {
        f"source.shop.raw.{name}": node("source", name, [], source_name="raw", fqn=["shop", "raw", name])
        for name in sources
    }
    version = "https://schemas.getdbt.com/dbt/manifest/v12.json"
    return decode(
        json.dumps(
            {
                "metadata": {"dbt_schema_version": version, "project_name": "shop", "adapter_type": "duckdb"},
                "nodes": nodes,
                "sources": from_outside,
                "unit_tests": units,
            }
        ).encode()
    )
