"""The Connection kind: one task a table that the connection loads into the warehouse."""

from collections.abc import Iterator
from pathlib import Path

from nodes.kinds.base import Expanded, Problem, TaskSpec
from nodes.manifest import Manifest
from nodes.models import Node


def expand(node: Node, manifest: Manifest, project_dir: Path) -> Expanded:
    """A task for each table of the node, all tables of its connection when it names none.

    A table that the project declares as a source has the source's id, so that models which read it wait for it.
    """
    errors = list(_problems(node))
    connection = node.connection
    if connection is None or errors:
        return Expanded(errors=tuple(errors))
    sources = sources_of(manifest)
    specs = []
    for stream in node.streams or connection.streams:
        identifier = f"{connection.dataset}.{stream}"
        unique_id = sources.get((connection.dataset, stream), f"stream.{connection.pk}.{stream}")
        specs.append(TaskSpec(key=unique_id, unique_id=unique_id, identifier=identifier, resource_type="stream"))
    return Expanded(specs=tuple(specs))


def sources_of(manifest: Manifest) -> dict[tuple[str, str], str]:
    """(schema or name of the source, table) -> unique id, for every source that the project declares."""
    made: dict[tuple[str, str], str] = {}
    for row in manifest.rows:
        if row.resource_type == "source":
            made.setdefault((row.source_name or "", row.name), row.unique_id)
            parts = (row.relation_name or "").replace('"', "").replace("`", "").split(".")
            if len(parts) >= 2:
                made[parts[-2], parts[-1]] = row.unique_id
    return made


def _problems(node: Node) -> Iterator[Problem]:
    if node.connection is None:
        yield Problem("connection", "Choose the connection to load.")
        return
    if node.connection.project_id != node.flow.environment.project_id:
        yield Problem("connection", f"{node.connection} belongs to the project {node.connection.project}.")
    if not isinstance(node.streams, list) or not all(isinstance(stream, str) for stream in node.streams):
        yield Problem("streams", "This must be a list of tables.")
    elif unknown := [stream for stream in node.streams if stream not in node.connection.streams]:
        known = ", ".join(node.connection.streams) or "none yet"
        yield Problem("streams", f"{node.connection} has no table {', '.join(unknown)}. It has: {known}.")
    elif not node.connection.streams:
        yield Problem("connection", f"{node.connection} has no tables yet; an administrator can name them.")
