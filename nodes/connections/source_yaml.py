"""Sync sources: which tables of a connection the project declares as sources, and the YAML that declares them all."""

from dataclasses import dataclass
from typing import Any

import yaml

from flows.models import Environment
from nodes.connections.connectors.streams import column_identifier, identifier
from nodes.dbt.manifest import sources_of
from nodes.dbt.stored_manifests import manifest_of
from nodes.models import Connection


@dataclass(frozen=True)
class Declared:
    """One table: whether models can read it by source(), and as what."""

    table: str
    unique_id: str

    @property
    def is_synced(self) -> bool:
        """Whether the project declares it."""
        return bool(self.unique_id)


def declared_in(connection: Connection, environment: Environment) -> list[Declared]:
    """Each table of a connection, and the source of the environment's revision that it is; no revision: none is."""
    declared: dict[tuple[str, str], str] = {}
    if environment.current_revision is not None:
        try:
            declared = sources_of(manifest_of(environment.current_revision))
        except FileNotFoundError:
            declared = {}
    tables = [identifier(stream) for stream in connection.streams]
    return [Declared(table, declared.get((connection.dataset, table), "")) for table in tables]


def proposal(connection: Connection) -> tuple[str, str]:
    """(path, YAML) of a source definition for all tables of a connection, to commit to the project."""
    described = {stream["name"]: stream for stream in connection.offered}
    tables: list[dict[str, Any]] = []
    for stream in connection.streams:
        row: dict[str, Any] = {"name": identifier(stream)}
        columns = [
            {"name": column_identifier(column["name"])} for column in described.get(stream, {}).get("columns", ())
        ]
        tables.append({**row, **({"columns": columns} if columns else {})})
    source = {
        "name": connection.dataset,
        "schema": connection.dataset,
        "description": connection.description or f"Loaded by the connection {connection.name}.",
        "tables": tables,
    }
    text = yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False, allow_unicode=True)
    return f"models/sources/{connection.dataset}.yml", text
