"""DuckDB: a file on the machine of the workers."""

from typing import Any

from nodes.dbt.warehouses.base import Config, Given, Loads, Problem, Warehouse, setting


class Settings(Config):
    """Where the file is."""

    path: str = setting("warehouse.duckdb", title="File", help="Relative to the folder of this environment's warehouse")
    schema_: str = setting("main", title="Schema", alias="schema")


class DuckDB(Warehouse):
    """One process at a time writes to it; dex sees to that."""

    type = "duckdb"
    title = "DuckDB"
    package = "dbt-duckdb"
    Config = Settings
    cancels = "proven"
    ends_orphans = in_process = True  # the process that was killed was the database
    loads = Loads(True, "duckdb")
    tested = "DuckDB itself"
    problems = (
        Problem(r"Could not set lock on file", "busy", "Another process has the file open: {path}."),
        Problem(r"not a valid DuckDB database file", "database", "{path} is not a DuckDB file."),
        Problem(
            r"Cannot open (?:file|database)|No such file or directory|Permission denied",
            "database",
            "dex cannot open the file {path}: check that its folder exists and may be written.",
        ),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """Nothing is fetched from the network behind the project's back."""
        extensions = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        return {**given.all(), "settings": extensions}
