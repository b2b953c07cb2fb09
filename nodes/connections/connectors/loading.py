"""Loads one stream with dlt: read, normalise, compare, then make all of it visible at once.

The warehouse is the truth: what is known about a stream (its cursor, its columns, what is unfinished) is asked there
at every attempt, and the working folder begins empty. docs/connectors.md says why.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodes.connections.connectors import warehouse as wh
from nodes.connections.connectors.base import Connector, Context, Cursor
from nodes.connections.connectors.changes import Changes, compare, narrower
from nodes.connections.connectors.conforming import (
    COLUMNS,
    Conform,
    Emit,
    Seen,
    compare_counts,
    last_step,
    refuse_collision,
)
from nodes.connections.connectors.cursors import StreamCursor
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import StreamSettings, column_identifier, identifier
from nodes.connections.connectors.values.rows import RowTypes, encode_for_texts
from nodes.connections.connectors.warehouse import Warehouse

MOST_NESTING = 1000  # dlt's own bound on levels of JSON
_MERGE = {"disposition": "merge", "strategy": "delete-insert"}
_SCOPE = "x-merge-destination-scope"  # where dlt keeps `destination_scope` in its schema


class StreamLoad:
    """One attempt at one stream."""

    def __init__(
        self, connector: Connector, config: Any, stream: StreamSettings, context: Context, target: Warehouse,
        pipeline: str, folder: Path, emit: Emit,
    ) -> None:  # fmt: skip
        self.connector, self.config, self.stream, self.context = connector, config, stream, context
        self.target, self.emit = target, emit
        self.name = _short(f"{identifier(pipeline)}_{stream.table}")
        self.folder = folder / stream.table
        self.label = target.label(self.name)

    def run(self) -> dict[str, Any]:
        """Load it. Out: the event that says so. Raises whatever went wrong; then nothing of it can be seen."""
        import dlt

        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        pipeline = dlt.pipeline(
            self.name,
            pipelines_dir=str(self.folder),
            destination=self.target.destination(self.label),
            dataset_name=self.target.dataset,
        )
        try:
            return self._load(pipeline)
        finally:
            pipeline.deactivate()
            shutil.rmtree(self.folder, ignore_errors=True)  # it holds rows

    def _load(self, pipeline: Any) -> dict[str, Any]:
        self.target.end_orphans(pipeline, self.label)
        known = wh.storage_columns(pipeline, [self.stream.table])
        afresh = self.stream.refresh or not known
        if not afresh:
            pipeline.sync_destination()
            self._forget_scope(pipeline)
        before = None if afresh else self._cursor_value(pipeline)
        cursor = StreamCursor(self.stream, pipeline, before)
        disposition = self._disposition(pipeline, known, before)
        seen = Seen(self.stream.name, self.emit, before=self._state(pipeline).get(COLUMNS))
        source, types = self._source(disposition, cursor, known.get(self.stream.table, {}), seen)
        pipeline.extract(source, loader_file_format="parquet")
        there = self.stream.table in pipeline.schemas[self.name].tables
        if not there and not self._extract_empty(pipeline, source, disposition):
            self.context.say(f"{self.stream.name} has no rows and its columns are unknown, so no table was created.")
            return {"event": "stream_done", "stream": self.stream.name, "table": self.stream.table, "rows": 0}
        self._type_columns(pipeline, source, types, seen, known)
        disposition = self._replace_from(pipeline, disposition, cursor, seen) if known else disposition
        rows = pipeline.normalize().row_counts.get(self.stream.table, 0)
        compare_counts("were read", seen.rows, "are ready to be loaded", rows)
        self.emit({"event": "stream_progress", "stream": self.stream.name, "rows": seen.rows, "bytes": seen.bytes})
        schema = pipeline.schemas[self.name]
        tables = schema.data_table_names(include_incomplete=False)
        known = wh.storage_columns(pipeline, tables) if known else {}
        if schema.get_table(self.stream.table).get(_SCOPE) != _scope_of(disposition):
            raise RuntimeError("dlt would remove different rows than this load must")
        changes = self._changes(schema, tables, known, seen)
        packages = pipeline.list_normalized_load_packages()
        there_already = cursor.rows_again(known, self.context.say)
        size = self._publish(pipeline, schema, tables, known)
        again = min(there_already, cursor.rows_until(packages)) if there_already else 0
        written = wh.rows_of(pipeline, self.stream.table, packages)
        if self.stream.mode != "merge" or written > rows:  # a merge keeps one row of each key
            compare_counts("were read", rows, f"of this load are in {self.stream.table}", written)
        return {
            "event": "stream_done",
            "stream": self.stream.name,
            "table": self.stream.table,
            "rows": max(0, rows - again),
            "rows_again": again,  # that were there, and were read and replaced: those of the cursor's last value
            "bytes": size,
            "cursor_before": _text(before),
            "cursor_after": _text(self._cursor_value(pipeline)),
            "schema_changes": changes.event() if changes else None,
            "tables": {table: _columns(schema, table) for table in tables},
        }

    def _extract_empty(self, pipeline: Any, source: Any, disposition: Any) -> bool:
        """No row came of a table that is not in the warehouse: have it made from what is known of its columns.

        Models that read it find it then. Out: whether anything is known.
        """
        import dlt
        from dlt.common.libs.pyarrow import columns_to_arrow

        if not self.connector.knows_types:
            return False
        columns = source.resources[self.stream.name].compute_table_schema()["columns"]
        typed = {name: column for name, column in columns.items() if "data_type" in column}
        resource = dlt.resource(
            [columns_to_arrow(typed, pipeline.destination.capabilities(), "UTC").empty_table()],
            name=self.stream.name,
            table_name=self.stream.table,
            columns=columns,
            write_disposition=disposition,
        )
        resource.apply_hints(additional_table_hints={"x-dex-mode": self.stream.mode})
        pipeline.extract(dlt.source(lambda: resource, name=self.name, root_key=True)(), loader_file_format="parquet")
        return True

    def _forget_scope(self, pipeline: Any) -> None:
        """Which rows a load removes is for that load alone; dlt keeps it with the table, and would do it again."""
        if self.name in pipeline.schemas:
            for table in pipeline.schemas[self.name].tables.values():
                table.pop(_SCOPE, None)

    def _type_columns(self, pipeline: Any, source: Any, types: RowTypes, seen: Seen, known: Mapping[str, Any]) -> None:
        """Give the columns of rows their types, now that all of them were seen; say which columns have none."""
        schema = pipeline.schemas[self.name]
        if types.rows:
            there = wh.storage_columns(pipeline, types.tables(schema.naming)) if known else {}
            hints = source.resources[self.stream.name].compute_table_schema()["columns"]
            declared = {name for name, column in hints.items() if "data_type" in column}
            types.apply(schema, there, declared, self.context.say)
        if seen.without_type:
            names = ", ".join(sorted(seen.without_type))
            self.context.say(f"Columns without values have no known type and were not loaded: {names}.")
        # A column that was a decimal and is a text now has no digits; dlt keeps those of before with the new type.
        for table in schema.tables.values():
            for column in table["columns"].values():
                if column.get("data_type") == "text" and column.get("scale") is not None:
                    column.pop("scale")
                    column.pop("precision", None)

    def _publish(self, pipeline: Any, schema: Any, tables: list[str], known: Mapping[str, Any]) -> int:
        """Tables first, then the data into staging, then one transaction a stream. Out: the bytes that were loaded."""
        packages = pipeline.list_normalized_load_packages()
        size: int = sum(
            job.file_size
            for load_id in packages
            for job in pipeline.get_load_package_info(load_id).jobs["new_jobs"]
            if job.job_file_info.table_name in tables
        )
        wh.prepare(self.target, pipeline, schema, known, refresh=self.stream.refresh)
        for load_id in packages:
            wh.begin(pipeline, schema, load_id)
        pipeline.load(raise_on_failed_jobs=True)
        wh.tidy(pipeline, schema, tables)
        return size

    def _disposition(self, pipeline: Any, known: Mapping[str, Any], before: Any) -> Any:
        """How dlt writes, so that what readers see changes in one transaction, and a repeated load repeats nothing.

        1. Replace, and a first load by cursor: everything through staging, then truncate and insert.
        2. Append and incremental: through staging too, as a merge without keys; rows that an unfinished load left
           behind go first, and by cursor those that are read again: of the last value, and as far as it looks back.
        3. Merge: by primary key, which repeats safely.
        """
        stream = self.stream
        if stream.mode == "merge":  # also at first: only a merge takes the newest of two rows with one key
            return {**_MERGE, "destination_scope": "1 = 1"} if stream.refresh else _MERGE
        if stream.mode == "replace" or stream.refresh or not known:
            return "replace"
        if stream.mode == "incremental" and before is None and wh.has_rows(pipeline, stream.table):
            if wh.mode_before(pipeline, self.name, stream.table) in ("append", None):
                raise SourceError(
                    "config",
                    f"{stream.table} holds rows that were not loaded by the cursor {stream.cursor}. "
                    "Load it once with a full refresh to avoid duplicate rows.",
                )
            return "replace"  # a copy of the source in another mode: it begins again, whole
        scopes = []
        if left := wh.unfinished(pipeline, self.name):
            scopes.append(wh.loaded_by(left))
        return {**_MERGE, **({"destination_scope": " OR ".join(scopes)} if scopes else {})}

    def _replace_from(self, pipeline: Any, disposition: Any, cursor: StreamCursor, seen: Seen) -> Any:
        """The disposition by which rows that were read again replace those that are there."""
        if self.stream.mode != "incremental" or not isinstance(disposition, dict) or seen.least is None:
            return disposition
        scope = cursor.scope_from(seen.least)
        if other := _scope_of(disposition):
            scope = f"{other} OR {scope}"
        pipeline.schemas[self.name].tables[self.stream.table][_SCOPE] = scope
        return {**disposition, "destination_scope": scope}

    def _source(
        self, disposition: Any, last: StreamCursor, known: Mapping[str, Any], seen: Seen
    ) -> tuple[Any, RowTypes]:
        """The connector's resource with everything a person chose, as a dlt source; and what finds its rows' types."""
        import dlt

        stream = self.stream
        cursor = Cursor(stream.cursor, last.since, last.incremental()) if stream.cursor else None
        resource = self.connector.resource(self.config, stream, self.context, cursor)
        hints: dict[str, Any] = {
            "write_disposition": disposition,
            "table_name": stream.table,
            "additional_table_hints": {"x-dex-mode": stream.mode},
        }
        declared = resource.compute_table_schema().get("columns", {})
        wanted = set(stream.columns) if stream.columns is not None else None
        refuse_collision(stream, [name for name in declared if wanted is None or name in wanted])
        columns: dict[str, Any] = {}
        for source_name, column in declared.items():
            name = stream.named(source_name)
            there = known.get(column_identifier(name))
            if (
                there
                and "data_type" in column
                and column["data_type"] != there["data_type"]
                and narrower(column, there)
            ):
                columns[name] = {key: there.get(key) for key in ("data_type", "precision", "scale")}
        if stream.mode == "merge":
            hints["primary_key"] = [stream.named(name) for name in stream.primary_key]
            for name in hints["primary_key"]:
                columns[name] = {**columns.get(name, {}), "nullable": False}
            if stream.cursor:  # of two rows with one key, the newest stays
                name = stream.named(stream.cursor)
                columns[name] = {**columns.get(name, {}), "dedup_sort": "desc"}
        if cursor and "cursor" not in self.connector.pushes:
            hints["incremental"] = cursor.incremental
        if columns:
            hints["columns"] = columns
        if stream.rename and isinstance(given := resource._hints.get("columns"), dict):
            resource._hints["columns"] = {
                stream.named(name): {**column, **({"name": stream.named(name)} if "name" in column else {})}
                for name, column in given.items()
            }
        resource.apply_hints(**hints)
        if "columns" in self.connector.pushes:
            wanted = None
        encode_for_texts()
        postgres = self.target.kind == "postgres"
        nesting = resource.max_table_nesting
        types = RowTypes(stream, nesting=MOST_NESTING if nesting is None else nesting, postgres=postgres)
        conform = Conform(known, wanted, stream, seen, types, most=self.context.most_rows, postgres=postgres)
        resource.add_step(last_step(conform))
        return dlt.source(lambda: resource, name=self.name, root_key=True)(), types

    def _state(self, pipeline: Any) -> Mapping[str, Any]:
        """What dlt remembers of the stream."""
        resources = pipeline.state.get("sources", {}).get(self.name, {}).get("resources", {})
        found: Mapping[str, Any] = resources.get(self.stream.name, {})
        return found

    def _cursor_value(self, pipeline: Any) -> Any:
        return self._state(pipeline).get("incremental", {}).get(self.stream.cursor or "", {}).get("last_value")

    def _changes(self, schema: Any, tables: list[str], known: Mapping[str, Any], seen: Seen) -> Changes:
        """Compare with the warehouse, say what changed, and stop where the policy says so. Raises SourceError."""
        made = Changes()
        if not known:
            return made
        for table in tables:
            main = table == self.stream.table
            if table not in known:
                made.added.append(f"{table} (table)")
                continue
            each = compare(known[table], schema.get_table(table)["columns"], prefix="" if main else f"{table}.")
            made.added, made.changed = made.added + each.added, made.changed + each.changed
        if seen.before is not None and seen.columns is not None:
            # Not those of the table: it keeps a column that went.
            made.removed = [column_identifier(name) for name in seen.before if name not in seen.columns]
        if made:
            self.emit({"event": "schema_change", "stream": self.stream.name, **made.event()})
            if self.stream.schema_policy != "evolve":
                accept = "accept the change" if self.stream.schema_policy == "ask" else "let the stream evolve"
                raise SourceError("schema", f"The columns changed ({made.sentence()}); {accept} to load it.")
        return made


def _scope_of(disposition: Any) -> str | None:
    return disposition.get("destination_scope") if isinstance(disposition, dict) else None


def _columns(schema: Any, table: str) -> list[dict[str, str]]:
    found = schema.get_table(table)["columns"].values()
    return [{"name": each["name"], "type": each["data_type"]} for each in found if "data_type" in each]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _short(name: str) -> str:
    """A name of dlt: at most 50 letters, and still the only one of its kind."""
    if len(name) <= 50:
        return name
    return f"{name[:40].rstrip('_')}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
