"""What opening a project that is parsed already needs; importing this module does it."""

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
Manifest.from_msgpack(Manifest().to_msgpack())  # compiles how a manifest is read
