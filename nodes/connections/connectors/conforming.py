"""The step between a source and dlt: rows are counted, columns left out and renamed, values conform to the warehouse.

What the warehouse cannot hold exactly is refused (see `values`). How a stream is loaded is in `loading`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodes.connections.connectors.changes import narrower
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import StreamSettings, collision, collision_said, column_identifier
from nodes.connections.connectors.values.columns import as_chosen, as_kept, as_known, value_as_chosen
from nodes.connections.connectors.values.misfits import row_name
from nodes.connections.connectors.values.rows import RowTypes

Emit = Callable[[dict[str, Any]], None]
PROGRESS_S = 1.0
COLUMNS = "dex_columns"  # in dlt's state of a stream: the columns of its last load


@dataclass
class Seen:
    """What went by while a stream was read."""

    stream: str
    emit: Emit
    rows: int = 0
    bytes: int = 0
    before: list[str] | None = None  # the columns at the last load
    columns: set[str] | None = None  # None: nothing definite, as with JSON
    least: Any = None  # the smallest value of the cursor
    without_type: set[str] = field(default_factory=set)  # columns of arrow without any value: no table has them
    _said: float = field(default_factory=time.monotonic)

    def cursor(self, value: Any) -> None:
        """Note a value of the cursor."""
        if value is not None and (self.least is None or value < self.least):
            self.least = value

    def piece(self, rows: int, size: int) -> None:
        """Count rows and bytes, and say so now and then."""
        self.rows, self.bytes = self.rows + rows, self.bytes + size
        if time.monotonic() - self._said > PROGRESS_S:
            self._said = time.monotonic()
            self.emit({"event": "stream_progress", "stream": self.stream, "rows": self.rows, "bytes": self.bytes})


class Conform:
    """A step between source and dlt: counts, leaves columns out, and converts to the wider type of the warehouse.

    In: `known`, the columns of the warehouse's table; `wanted`, the columns to load (None: all); `most`, how many rows
    at most.
    """

    def __init__(
        self, known: Mapping[str, Any], wanted: set[str] | None, stream: StreamSettings, seen: Seen, types: RowTypes,
        *, most: int | None, postgres: bool,
    ) -> None:  # fmt: skip
        self._known, self._wanted, self._stream, self._seen = known, wanted, stream, seen
        self._types, self._most, self._postgres = types, most, postgres

    def __call__(self, item: Any, meta: Any = None) -> Any:
        """An arrow table, a row or a list of rows as dlt shall have it. Raises SourceError."""
        if hasattr(item, "schema") and hasattr(item, "num_rows"):
            return self._table(item)
        rows = item if isinstance(item, list) else [item]
        if self._most is not None:
            rows = rows[: max(0, self._most - self._seen.rows)]
        rows = [self._row(row, self._seen.rows + place) for place, row in enumerate(rows, 1)]
        self._seen.piece(len(rows), 0)
        return rows

    def _row(self, row: dict[str, Any], number: int) -> dict[str, Any]:
        stream = self._stream
        if self._wanted is not None:
            row = {name: value for name, value in row.items() if name in self._wanted}
        for name, kind in stream.types.items():
            if name in row:
                where = row_name(number, {key: row.get(key) for key in stream.primary_key})
                row = {**row, name: value_as_chosen(row[name], kind, stream.name, name, where)}
        self._types.look(row, number)
        if stream.cursor:
            self._seen.cursor(_at(row, stream.cursor))
        return {stream.named(name): value for name, value in row.items()} if stream.rename else row

    def _table(self, table: Any) -> Any:
        import pyarrow as pa

        stream = self._stream
        if self._wanted is not None:
            table = table.select([name for name in table.schema.names if name in self._wanted])
        refuse_collision(stream, table.schema.names)
        if self._most is not None:
            table = table.slice(0, max(0, self._most - self._seen.rows))
        row = self._row_name(table)
        for place, name in enumerate(table.schema.names):
            values = table.column(place)
            if chosen := stream.types.get(name):
                values = as_chosen(values, chosen, stream.name, name, row)
            kept = as_kept(values, stream.name, name, row, postgres=self._postgres)
            if pa.types.is_null(kept.type):
                self._seen.without_type.add(name)
            if kept is not table.column(place):
                nullable = table.schema.field(place).nullable
                table = table.set_column(place, pa.field(name, kept.type, nullable), kept)
        if stream.cursor in table.schema.names:
            self._seen.cursor(_least(table.column(stream.cursor)))
        if stream.rename:
            table = table.rename_columns([stream.named(name) for name in table.schema.names])
        self._seen.columns = (self._seen.columns or set()) | set(table.schema.names)
        self._remember(sorted(self._seen.columns))
        if self._known:
            table = self._converted(table, row)
        self._seen.piece(table.num_rows, table.nbytes)
        return table

    def _row_name(self, table: Any) -> Callable[[int], str]:
        """What names a row of a table by its place: the primary key that was chosen, else its number."""
        before = self._seen.rows

        def named(place: int) -> str:
            key = {
                name: table.column(name)[place].as_py()
                for name in self._stream.primary_key
                if name in table.schema.names
            }
            return row_name(before + place + 1, key)

        return named

    def _remember(self, names: list[str]) -> None:
        import dlt

        state = dlt.current.resource_state(self._seen.stream)
        if state.get(COLUMNS) != names:
            state[COLUMNS] = names

    def _converted(self, table: Any, row: Callable[[int], str]) -> Any:
        from dlt.common.destination.capabilities import DestinationCapabilitiesContext
        from dlt.common.libs.pyarrow import get_column_type_from_py_arrow, get_py_arrow_datatype

        capabilities = DestinationCapabilitiesContext.generic_capabilities()
        for place, each in enumerate(table.schema):
            column = self._known.get(column_identifier(each.name))
            if column is None:
                continue
            now = get_column_type_from_py_arrow(each.type)
            if now.get("data_type") != column.get("data_type") and narrower(now, column):
                kind = get_py_arrow_datatype(column, capabilities, "UTC")
                converted = as_known(table.column(place), kind, self._stream.name, each.name, row)
                table = table.set_column(place, each.name, converted)
        return table


def refuse_collision(stream: StreamSettings, names: Iterable[str]) -> None:
    """Raise SourceError where two columns become one name in the warehouse, with both."""
    renamed = {stream.named(name): name for name in names}
    if both := collision([stream.named(name) for name in names]):
        raise SourceError(
            "schema", collision_said(stream.name, (renamed.get(both[0], both[0]), renamed.get(both[1], both[1])))
        )


def compare_counts(what: str, rows: int, otherwise: str, count: int) -> None:
    """Raise SourceError where two counts of the same rows differ: whatever the cause, it is no success."""
    if rows != count:
        raise SourceError("data", f"{rows:,} rows {what}, but {count:,} {otherwise}: rows were lost or doubled.")


def last_step(work: Callable[[Any, Any], Any]) -> Any:
    """A step of dlt that comes after the cursor was applied, which is then found under the name that the source has."""
    from dlt.extract.items_transform import ItemTransform

    class Last(ItemTransform):
        placement_affinity = 2

        def __call__(self, item: Any, meta: Any = None) -> Any:
            return work(item, meta)

    return Last(work)


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
