"""What opening a project that is parsed already needs; importing this module does it."""

from contextlib import suppress

from dbt.contracts.graph.manifest import Manifest

from nodes.dbt.warm import build_schemas

build_schemas(
    {
        "dbt.contracts.project": ("Project", "PackageConfig", "ProfileConfig", "ProjectFlags", "Configuration"),
        "dbt.contracts.selection": ("SelectorFile",),
        "dbt.adapters.duckdb.credentials": ("DuckDBCredentials",),
        "dbt.adapters.postgres.connections": ("PostgresCredentials",),
    }
)
# Compiles how a manifest is read. What is given here is refused: a manifest that is made remembers this process's
# variables (DBT_ENV_CUSTOM_ENV_*), and sessions would have them instead of their own.
with suppress(Exception):
    Manifest.from_msgpack(b"\x81\xa8metadata\x01")
