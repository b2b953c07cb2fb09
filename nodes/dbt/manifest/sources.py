"""Which tables of a warehouse a project declares as sources."""

from nodes.dbt.manifest.value import Manifest


def sources_of(manifest: Manifest) -> dict[tuple[str, str], str]:
    """(schema or name of the source, table) -> unique id, for every source that the project declares."""
    sources: dict[tuple[str, str], str] = {}
    for row in manifest.rows:
        if row.resource_type == "source":
            sources.setdefault((row.source_name or "", row.name), row.unique_id)
            parts = (row.relation_name or "").replace('"', "").replace("`", "").split(".")
            if len(parts) >= 2:
                sources[parts[-2], parts[-1]] = row.unique_id
    return sources
