"""Loads one stream with dlt: read, normalise, compare, then make all of it visible at once.

The warehouse is the truth: what is known about a stream (its cursor, its columns, what is unfinished) is asked there
at every attempt, and the working folder begins empty. docs/connectors.md says why.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodes.connectors import warehouse as wh
from nodes.connectors.base import Connector, Context, Cursor
from nodes.connectors.changes import Changes, compare, narrower
from nodes.connectors.chosen_types import as_chosen, as_kept, value_as_chosen
from nodes.connectors.failures import SourceError
from nodes.connectors.streams import RESERVED, StreamSettings, collision, collision_said, column_identifier, identifier
from nodes.connectors.warehouse import Warehouse

Emit = Callable[[dict[str, Any]], None]
PROGRESS_S = 1.0
COARSE = 10_000  # rows that a load reads again: more are told
_MERGE = {"disposition": "merge", "strategy": "delete-insert"}
_SCOPE = "x-merge-destination-scope"  # where dlt keeps `destination_scope` in its schema
_COLUMNS = "dex_columns"  # in dlt's state of a stream: the columns of its last load


@dataclass
class _Seen:
    """What went by while a stream was read."""

    stream: str
    emit: Emit
    rows: int = 0
    bytes: int = 0
    before: list[str] | None = None  # the columns at the last load
    columns: set[str] | None = None  # None: nothing definite, as with JSON
    least: Any = None  # the smallest value of the cursor
    _said: float = field(default_factory=time.monotonic)

    def cursor(self, value: Any) -> None:
        if value is not None and (self.least is None or value < self.least):
            self.least = value

    def piece(self, rows: int, size: int) -> None:
        self.rows, self.bytes = self.rows + rows, self.bytes + size
        if time.monotonic() - self._said > PROGRESS_S:
            self._said = time.monotonic()
            self.emit({"event": "stream_progress", "stream": self.stream, "rows": self.rows, "bytes": self.bytes})


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
        disposition = self._disposition(pipeline, known, before)
        seen = _Seen(self.stream.name, self.emit, before=self._state(pipeline).get(_COLUMNS))
        source = self._source(pipeline, disposition, before, known.get(self.stream.table, {}), seen)
        pipeline.extract(source, loader_file_format="parquet")
        there = self.stream.table in pipeline.schemas[self.name].tables
        if not there and not self._extract_empty(pipeline, source, disposition):
            self.context.say(f"{self.stream.name} has no rows, and its columns are not known: there is no table yet.")
            return {"event": "stream_done", "stream": self.stream.name, "table": self.stream.table, "rows": 0}
        self._forget_digits(pipeline)
        disposition = self._replace_from(pipeline, disposition, seen) if known else disposition
        rows = pipeline.normalize().row_counts.get(self.stream.table, 0)
        _compare("were read", seen.rows, "are ready to be loaded", rows)
        self.emit({"event": "stream_progress", "stream": self.stream.name, "rows": seen.rows, "bytes": seen.bytes})
        schema = pipeline.schemas[self.name]
        tables = schema.data_table_names(include_incomplete=False)
        known = wh.storage_columns(pipeline, tables) if known else {}
        if schema.get_table(self.stream.table).get(_SCOPE) != _scope_of(disposition):
            raise RuntimeError("dlt would remove other rows than this load has to")
        changes = self._changes(schema, tables, known, seen)
        packages = pipeline.list_normalized_load_packages()
        there_already = self._rows_from(pipeline, before, known)
        size = self._publish(pipeline, schema, tables, known)
        again = min(there_already, self._rows_until(pipeline, before, packages)) if there_already else 0
        written = wh.rows_of(pipeline, self.stream.table, packages)
        if self.stream.mode != "merge" or written > rows:  # a merge keeps one row of each key
            _compare("were read", rows, f"of this load are in {self.stream.table}", written)
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

    def _rows_until(self, pipeline: Any, before: Any, load_ids: Sequence[str]) -> int:
        """How many rows of this load are not beyond the last value that the cursor had."""
        until = f"{self._cursor_column(pipeline)} <= {wh.literal(before)}"
        return wh.rows_of(pipeline, self.stream.table, load_ids, until)

    def _rows_from(self, pipeline: Any, before: Any, known: Mapping[str, Any]) -> int:
        """How many rows of the table the cursor reads again, as it begins at its last value. A coarse one is told."""
        if before is None or self.stream.refresh or self.stream.table not in known:
            return 0
        since = f"{self._cursor_column(pipeline)} >= {wh.literal(self._since(before))}"
        count = wh.count(pipeline, self.stream.table, since)
        if count > COARSE:
            self.context.say(
                f"{count:,} rows of {self.stream.name} have the last value of the cursor {self.stream.cursor} or are "
                "within what it looks back: each load reads them again. A finer cursor reads less."
            )
        return count

    def _forget_digits(self, pipeline: Any) -> None:
        """A column that was a decimal and is a text now has no digits; dlt keeps those of before with the new type."""
        for table in pipeline.schemas[self.name].tables.values():
            for column in table["columns"].values():
                if column.get("data_type") == "text" and column.get("scale") is not None:
                    column.pop("scale")
                    column.pop("precision", None)

    def _publish(self, pipeline: Any, schema: Any, tables: list[str], known: Mapping[str, Any]) -> int:
        """Tables first, then the data into staging, then one transaction a stream. Out: the bytes that were loaded."""
        packages = pipeline.list_normalized_load_packages()
        size = sum(
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
                    f"{stream.table} holds rows that were not loaded by the cursor {stream.cursor}: "
                    "load it once with a full refresh, so that no row is there twice.",
                )
            return "replace"  # a copy of the source in another mode: it begins again, whole
        scopes = []
        if left := wh.unfinished(pipeline, self.name):
            scopes.append(wh.loaded_by(left))
        return {**_MERGE, **({"destination_scope": " OR ".join(scopes)} if scopes else {})}

    def _replace_from(self, pipeline: Any, disposition: Any, seen: _Seen) -> Any:
        """The disposition by which rows that were read again replace those that are there.

        These are all from the smallest cursor value that was read on: a source that only gives rows after the last
        value keeps what it does not give.
        """
        if self.stream.mode != "incremental" or not isinstance(disposition, dict) or seen.least is None:
            return disposition
        scope = f"{self._cursor_column(pipeline)} >= {wh.literal(seen.least)}"
        if other := _scope_of(disposition):
            scope = f"{other} OR {scope}"
        pipeline.schemas[self.name].tables[self.stream.table][_SCOPE] = scope
        return {**disposition, "destination_scope": scope}

    def _cursor_column(self, pipeline: Any) -> str:
        parts = self.stream.named(str(self.stream.cursor)).split(".")
        name: str = pipeline.destination.capabilities().escape_identifier("__".join(map(column_identifier, parts)))
        return name

    def _since(self, before: Any) -> Any:
        """From where on rows are read: the last value of the cursor, or so much earlier as was chosen."""
        if before is None or not self.stream.look_back:
            return before
        from dlt.extract.incremental.lag import apply_lag_with_suppression

        try:
            return apply_lag_with_suppression(self.stream.look_back, max, None, None, before)
        except ValueError as error:
            said = f"The cursor {self.stream.cursor} is no time, day or number, so it cannot look back."
            raise SourceError("config", said) from error

    def _source(self, pipeline: Any, disposition: Any, before: Any, known: Mapping[str, Any], seen: _Seen) -> Any:
        """The connector's resource with everything a person chose, as a dlt source."""
        import dlt

        stream, cursor = self.stream, None
        if stream.cursor:
            incremental: Any = dlt.sources.incremental(
                stream.cursor,
                # Rows without a value cannot be followed; a merge may read them every time.
                on_cursor_value_missing="include" if stream.mode == "merge" else "raise",
                # Rows of the last value are read again and replaced (_replace_from). dlt would keep a hash of each of
                # them in its state, and take a row that changed without its cursor for one that it knows.
                primary_key=(),
                lag=stream.look_back or None,
            )
            cursor = Cursor(stream.cursor, self._since(before), incremental)
        resource = self.connector.resource(self.config, stream, self.context, cursor)
        hints: dict[str, Any] = {
            "write_disposition": disposition,
            "table_name": stream.table,
            "additional_table_hints": {"x-dex-mode": stream.mode},
        }
        declared = resource.compute_table_schema().get("columns", {})
        wanted = set(stream.columns) if stream.columns is not None else None
        _refuse_collision(stream, [name for name in declared if wanted is None or name in wanted])
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
        resource.add_step(_last_step(_Conform(known, wanted, stream, seen, self.context.most_rows)))
        return dlt.source(lambda: resource, name=self.name, root_key=True)()

    def _state(self, pipeline: Any) -> Mapping[str, Any]:
        """What dlt remembers of the stream."""
        resources = pipeline.state.get("sources", {}).get(self.name, {}).get("resources", {})
        found: Mapping[str, Any] = resources.get(self.stream.name, {})
        return found

    def _cursor_value(self, pipeline: Any) -> Any:
        return self._state(pipeline).get("incremental", {}).get(self.stream.cursor or "", {}).get("last_value")

    def _changes(self, schema: Any, tables: list[str], known: Mapping[str, Any], seen: _Seen) -> Changes:
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


def _at(row: Mapping[str, Any], path: str) -> Any:
    """A value of a row by its key, or by the keys that lead to it."""
    if path in row:
        return row[path]
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _least(values: Any) -> Any:
    import pyarrow.compute as pc

    return pc.min(values).as_py()


def _compare(what: str, rows: int, otherwise: str, count: int) -> None:
    """Raise SourceError where two counts of the same rows differ: whatever the cause, it is no success."""
    if rows != count:
        raise SourceError("data", f"{rows:,} rows {what}, but {count:,} {otherwise}: rows were lost or doubled.")


def _last_step(work: Callable[[Any, Any], Any]) -> Any:
    """A step of dlt that comes after the cursor was applied, which is then found under the name that the source has."""
    from dlt.extract.items_transform import ItemTransform

    class Last(ItemTransform):
        placement_affinity = 2

        def __call__(self, item: Any, meta: Any = None) -> Any:
            return work(item, meta)

    return Last(work)


def _refuse_collision(stream: StreamSettings, names: Iterable[str]) -> None:
    renamed = {stream.named(name): name for name in names}
    if both := collision([stream.named(name) for name in names]):
        raise SourceError(
            "schema", collision_said(stream.name, (renamed.get(both[0], both[0]), renamed.get(both[1], both[1])))
        )


class _Conform:
    """A step between source and dlt: counts, leaves columns out, and converts to the wider type of the warehouse."""

    def __init__(
        self, known: Mapping[str, Any], wanted: set[str] | None, stream: StreamSettings, seen: _Seen, most: int | None
    ) -> None:
        self._known, self._wanted, self._stream, self._seen, self._most = known, wanted, stream, seen, most
        self._paths: dict[str, tuple[str, ...]] = {}  # of rows: what a name in the warehouse comes from

    def __call__(self, item: Any, meta: Any = None) -> Any:
        if hasattr(item, "schema") and hasattr(item, "num_rows"):
            return self._table(item)
        rows = item if isinstance(item, list) else [item]
        if self._most is not None:
            rows = rows[: max(0, self._most - self._seen.rows)]
        if self._wanted is not None:
            rows = [{name: value for name, value in row.items() if name in self._wanted} for row in rows]
        for row in rows:
            self._look(row, (), "")
            if self._stream.cursor:
                self._seen.cursor(_at(row, self._stream.cursor))
        for name, kind in self._stream.types.items():
            rows = [{**row, name: value_as_chosen(row[name], kind, name)} if name in row else row for row in rows]
        if self._stream.rename:
            rows = [{self._stream.named(name): value for name, value in row.items()} for row in rows]
        self._seen.piece(len(rows), 0)
        return rows

    def _table(self, table: Any) -> Any:
        if self._wanted is not None:
            table = table.select([name for name in table.schema.names if name in self._wanted])
        _refuse_collision(self._stream, table.schema.names)
        if self._stream.cursor in table.schema.names:
            self._seen.cursor(_least(table.column(self._stream.cursor)))
        for name, kind in self._stream.types.items():
            if name in table.schema.names:
                place = table.schema.names.index(name)
                table = table.set_column(place, name, as_chosen(table.column(name), kind, self._stream.name, name))
        for place, name in enumerate(table.schema.names):
            values = table.column(place)
            if (kept := as_kept(values, self._stream.name, name)) is not values:
                table = table.set_column(place, name, kept)
        if self._stream.rename:
            table = table.rename_columns([self._stream.named(name) for name in table.schema.names])
        if self._most is not None:
            table = table.slice(0, max(0, self._most - self._seen.rows))
        self._seen.columns = (self._seen.columns or set()) | set(table.schema.names)
        self._remember(sorted(self._seen.columns))
        if self._known:
            table = self._converted(table)
        self._seen.piece(table.num_rows, table.nbytes)
        return table

    def _look(self, row: Mapping[str, Any], path: tuple[str, ...], place: str) -> None:
        """Raise SourceError where two keys become one name: dlt flattens a.b to a__b, and the later one would win."""
        for key, value in row.items():
            name = self._stream.named(key) if not path else key
            here, made = (*path, key), f"{place}__{column_identifier(name)}" if place else column_identifier(name)
            if not place and made.startswith(RESERVED):
                raise SourceError("schema", collision_said(self._stream.name, (key, key)))
            if self._paths.setdefault(made, here) != here:
                other = ".".join(self._paths[made])
                raise SourceError("schema", collision_said(self._stream.name, (other, ".".join(here))))
            if isinstance(value, dict):
                self._look(value, here, made)
            elif isinstance(value, list):
                for each in value:
                    if isinstance(each, dict):
                        self._look(each, (*here, "[]"), f"{made}__[]")

    def _remember(self, names: list[str]) -> None:
        import dlt

        state = dlt.current.resource_state(self._seen.stream)
        if state.get(_COLUMNS) != names:
            state[_COLUMNS] = names

    def _converted(self, table: Any) -> Any:
        from dlt.common.destination.capabilities import DestinationCapabilitiesContext
        from dlt.common.libs.pyarrow import get_column_type_from_py_arrow, get_py_arrow_datatype

        capabilities = DestinationCapabilitiesContext.generic_capabilities()
        for place, each in enumerate(table.schema):
            known = self._known.get(column_identifier(each.name))
            if known is None:
                continue
            now = get_column_type_from_py_arrow(each.type)
            if now.get("data_type") != known.get("data_type") and narrower(now, known):
                kind = get_py_arrow_datatype(known, capabilities, "UTC")
                table = table.set_column(place, each.name, table.column(place).cast(kind))
        return table


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
