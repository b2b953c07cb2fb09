"""Where data lands: DuckDB or PostgreSQL, through dlt. What is half done stays in a staging schema nobody reads."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

from nodes.connections.connectors.changes import widened
from nodes.connections.connectors.failures import SourceError

KEPT = 20  # rows of a stream in each of dlt's own tables
ORPHANS_S = 20.0  # how long a query of a killed child may take to end
_BEGUN, _DONE = 1, 0  # the status of a load in _dlt_loads; dlt itself writes and reads 0 alone


class Warehouse:
    """The destination of an order."""

    def __init__(self, destination: Mapping[str, Any], dataset: str) -> None:
        self.kind: str = destination["type"]
        self._about, self.dataset = dict(destination), dataset
        self._file: Any = None  # the connection to DuckDB, which holds the file

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def destination(self, label: str) -> Any:
        """dlt's destination. In: `label`, by which connections of one stream are known to the server."""
        import dlt

        # Without the second, dlt 1.31 publishes statement by statement, and readers see a table that was just emptied.
        more: dict[str, Any] = {"replace_strategy": "insert-from-staging", "supports_transactions": True}
        if self.kind == "duckdb":
            import duckdb

            if self._file is None:
                # One connection for all of it: every other one would read the file anew, and write it at its end.
                extensions = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
                self._file = duckdb.connect(self._about["path"], config=extensions)
            return dlt.destinations.duckdb(self._file, **more)
        from dlt.destinations.impl.postgres.configuration import PostgresCredentials

        credentials = PostgresCredentials()
        credentials.host, credentials.port = self._about["host"], int(self._about.get("port") or 5432)
        credentials.username = self._about["user"]
        credentials.password = self._about.get("password") or "none"  # dlt insists on one
        credentials.database = self._about["dbname"]
        credentials.query = {"application_name": label}
        if self._about.get("sslmode"):
            credentials.query["sslmode"] = self._about["sslmode"]
        _take_files_without_rows()
        # DELETE, not TRUNCATE: whoever reads the table meanwhile sees the old rows and waits for nobody.
        return dlt.destinations.postgres(credentials, supports_truncate_command=False, **more)

    def label(self, pipeline: str) -> str:
        """What the connections of a stream are called: its own, on every machine and at every attempt."""
        digest = hashlib.sha256(f"{self.dataset}/{pipeline}".encode()).hexdigest()[:32]
        return f"dex-ingestion-{digest}"  # without blanks: dlt writes them as plus signs

    def end_orphans(self, pipeline: Any, label: str) -> None:
        """End what a killed child left running in the server: it could still commit. Raises SourceError."""
        if self.kind != "postgres":
            return  # the process was the database; whoever has the file open holds its lock
        mine = "application_name = %s AND datname = current_database() AND pid <> pg_backend_pid()"
        deadline = time.monotonic() + ORPHANS_S
        with pipeline.sql_client() as client:
            while client.execute_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}", label):
                if time.monotonic() > deadline:
                    raise SourceError(
                        "busy", "A previous load of this stream is still ending in the warehouse. Try again."
                    )
                time.sleep(0.1)

    @contextmanager
    def alone(self, pipeline: Any) -> Iterator[None]:
        """Nobody else changes tables of this dataset: PostgreSQL cannot create a schema twice at once."""
        if self.kind != "postgres":
            yield
            return
        key = int.from_bytes(hashlib.sha256(f"dex {self.dataset}".encode()).digest()[:8], "big", signed=True)
        with pipeline.sql_client() as client:
            client.execute_sql("SELECT pg_advisory_lock(%s)", key)
            try:
                yield
            finally:
                client.execute_sql("SELECT pg_advisory_unlock(%s)", key)


def _take_files_without_rows() -> None:
    """dlt 1.31 copies a Parquet file into PostgreSQL as its batches, and fails where there is none."""
    from dlt.destinations import _adbc_jobs as jobs
    from pyarrow.parquet import read_metadata

    copies = jobs.AdbcParquetCopyJob.run
    if copies.__module__ != jobs.__name__:
        return  # done before

    def run(job: Any) -> None:
        if read_metadata(job._file_path).num_rows:
            copies(job)

    jobs.AdbcParquetCopyJob.run = run


def storage_columns(pipeline: Any, tables: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Table -> its columns as the warehouse really has them; a table that is not there is missing.

    What dlt remembers is not asked: it writes a new schema down before the data that needs it arrives.
    """
    with pipeline.destination_client() as client:
        if not client.is_storage_initialized():
            return {}
        found = client.get_storage_tables(list(tables))
        return {name: dict(columns) for name, columns in found if columns}


def has_rows(pipeline: Any, table: str) -> bool:
    """Whether the table holds anything."""
    with pipeline.sql_client() as client:
        return bool(client.execute_sql(f"SELECT 1 FROM {client.make_qualified_table_name(table)} LIMIT 1"))


def rows_of(pipeline: Any, table: str, load_ids: Sequence[str], condition: str = "TRUE") -> int:
    """How many rows of these loads the table holds; those that fit a condition of SQL."""
    return count(pipeline, table, f"{loaded_by(load_ids)} AND {condition}") if load_ids else 0


def loaded_by(load_ids: Sequence[str]) -> str:
    """The condition of SQL of the rows that these loads brought."""
    ids = ", ".join(f"'{load_id}'" for load_id in load_ids)
    return f"_dlt_load_id IN ({ids})"


def count(pipeline: Any, table: str, condition: str) -> int:
    """How many rows of a table fit a condition of SQL."""
    with pipeline.sql_client() as client:
        name = client.make_qualified_table_name(table)
        found = client.execute_sql(f"SELECT count(*) FROM {name} WHERE {condition}")
    return int(found[0][0])


def literal(value: Any) -> str:
    """A value of a cursor in a statement; the database reads a text as its column's type."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        text = value.isoformat() if isinstance(value, date) else str(value)
        return "'" + text.replace("'", "''") + "'"
    return str(value)


def mode_before(pipeline: Any, schema: str, table: str) -> str | None:
    """How the table was last loaded, also by a load that was killed: what the warehouse keeps as its schema says it."""
    with pipeline.destination_client() as client:
        stored = client.get_stored_schema(schema)
    tables = json.loads(stored.schema)["tables"] if stored else {}
    found: str | None = tables.get(table, {}).get("x-dex-mode")
    return found


def unfinished(pipeline: Any, schema: str) -> list[str]:
    """Loads of this stream that began and never said that they ended: killed, perhaps after a commit of their data."""
    from dlt.destinations.exceptions import DatabaseUndefinedRelation

    try:
        with pipeline.sql_client() as client:
            loads = client.make_qualified_table_name("_dlt_loads")
            rows = client.execute_sql(
                f"SELECT load_id FROM {loads} AS b WHERE schema_name = %s AND status = {_BEGUN} AND NOT EXISTS "
                f"(SELECT 1 FROM {loads} AS e WHERE e.load_id = b.load_id AND e.status = {_DONE})",
                schema,
            )
    except DatabaseUndefinedRelation:
        return []
    return [str(row[0]) for row in rows or ()]


def begin(pipeline: Any, schema: Any, load_id: str) -> None:
    """Write down that a load begins, before any of its data can be seen."""
    with pipeline.sql_client() as client:
        loads = client.make_qualified_table_name("_dlt_loads")
        client.execute_sql(
            f"INSERT INTO {loads} (load_id, schema_name, status, inserted_at, schema_version_hash) "
            f"VALUES (%s, %s, {_BEGUN}, CURRENT_TIMESTAMP, %s)",
            load_id,
            schema.name,
            schema.version_hash,
        )


def tidy(pipeline: Any, schema: Any, tables: Sequence[str]) -> None:
    """The load ended well: nothing of this stream is unfinished, and staging holds nothing any more."""
    with pipeline.destination_client(schema.name) as client:
        loads = client.sql_client.make_qualified_table_name("_dlt_loads")
        statement = f"DELETE FROM {loads} WHERE schema_name = %s AND status = {_BEGUN}"
        client.sql_client.execute_sql(statement, schema.name)
        _prune(client.sql_client, schema.name)
        empty_staging(client, tables)


def _prune(client: Any, name: str) -> None:
    """Forget all but the newest rows that dlt keeps of a stream: its state, its loads and its schemas."""
    for table, column, moment in (
        ("_dlt_pipeline_state", "pipeline_name", "created_at"),
        ("_dlt_version", "schema_name", "inserted_at"),
        ("_dlt_loads", "schema_name", "inserted_at"),
    ):
        place = client.make_qualified_table_name(table)
        newest = f"SELECT {moment} FROM {place} WHERE {column} = %s ORDER BY {moment} DESC LIMIT 1 OFFSET {KEPT - 1}"
        client.execute_sql(f"DELETE FROM {place} WHERE {column} = %s AND {moment} < ({newest})", name, name)


def prepare(
    warehouse: Warehouse, pipeline: Any, schema: Any, known: Mapping[str, Mapping[str, Any]], *, refresh: bool
) -> None:
    """Tables and columns that the load needs, in the dataset and in its staging schema, before any data.

    A column whose type grew is altered; one that cannot grow makes a refresh drop its table, and fails otherwise.
    Raises SourceError.
    """
    tables = schema.data_table_names(include_incomplete=False)
    with warehouse.alone(pipeline), pipeline.destination_client(schema.name) as client:
        client.initialize_storage()
        for table in tables:
            _alter(client, schema, table, known.get(table, {}), refresh=refresh)
        client.update_stored_schema(force=True)
        with client.with_staging_dataset():
            client.initialize_storage()
        empty_staging(client, tables)


def empty_staging(client: Any, tables: Sequence[str]) -> None:
    """Drop the staging tables of a stream: whatever an earlier attempt left there, in whatever shape."""
    from dlt.destinations.exceptions import DatabaseUndefinedRelation

    with client.with_staging_dataset():
        if not client.is_storage_initialized():
            return
        try:
            client.drop_tables(*tables, delete_schema=True)
        except DatabaseUndefinedRelation:
            client.drop_tables(*tables, delete_schema=False)


def _alter(client: Any, schema: Any, table: str, known: Mapping[str, Any], *, refresh: bool) -> None:
    from nodes.connections.connectors.changes import fits, shown

    columns = schema.get_table(table)["columns"]
    for name, column in columns.items():
        if name not in known or "data_type" not in column or fits(column, known[name]):
            continue
        wider = widened(known[name], column)
        place = client.sql_client.make_qualified_table_name(table)
        if wider is None and refresh:
            client.sql_client.execute_sql(f"DROP TABLE {place}")
            return
        if wider is None:
            raise SourceError(
                "schema",
                f"The column {name} changed from {shown(known[name])} to {shown(column)}, "
                "which does not fit the table: load this stream once with a full refresh.",
            )
        kind = client.type_mapper.to_destination_type({**column, **wider}, client.prepare_load_table(table))
        quoted = client.sql_client.escape_column_name(name)
        if wider["data_type"] == "double":
            large = client.sql_client.execute_sql(
                f"SELECT {quoted} FROM {place} WHERE {quoted} > {2**53} OR {quoted} < -{2**53} LIMIT 1"
            )
            if large:
                raise SourceError(
                    "schema",
                    f"The column {name} changed from {shown(known[name])} to double, which would round {large[0][0]} "
                    f"in {table}: choose decimal or text for it in the settings of this table, or load it once with a "
                    "full refresh.",
                )
        client.sql_client.execute_sql(f"ALTER TABLE {place} ALTER COLUMN {quoted} TYPE {kind} USING {quoted}::{kind}")
