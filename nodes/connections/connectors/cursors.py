"""The cursor of a stream: from where on is read, and which rows of the table are read again and replaced."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nodes.connections.connectors import warehouse as wh
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import StreamSettings, column_identifier

COARSE = 10_000  # rows that a load reads again: more are told


class StreamCursor:
    """The cursor of one load. In: `before`, its value after the last load; None where there was none."""

    def __init__(self, stream: StreamSettings, pipeline: Any, before: Any) -> None:
        self.stream, self._pipeline, self.before = stream, pipeline, before

    @property
    def since(self) -> Any:
        """From where on rows are read: the last value, or so much earlier as was chosen. Raises SourceError."""
        if self.before is None or not self.stream.look_back:
            return self.before
        from dlt.extract.incremental.lag import apply_lag_with_suppression

        try:
            return apply_lag_with_suppression(self.stream.look_back, max, None, None, self.before)
        except ValueError as error:
            message = f"The cursor {self.stream.cursor} is not a time, date or number, so it cannot look back."
            raise SourceError("config", message) from error

    def incremental(self) -> Any:
        """dlt's."""
        import dlt

        return dlt.sources.incremental(
            self.stream.cursor,
            # Rows without a value cannot be followed; a merge may read them every time.
            on_cursor_value_missing="include" if self.stream.mode == "merge" else "raise",
            # Rows of the last value are read again and replaced (scope_from). dlt would keep a hash of each of them in
            # its state, and take a row that changed without its cursor for one that it knows.
            primary_key=(),
            lag=self.stream.look_back or None,
        )

    def scope_from(self, least: Any) -> str:
        """The condition of SQL of the rows that those which were read replace: all from the smallest value read on.

        A source that only gives rows after the last value keeps what it does not give.
        """
        return f"{self._column} >= {wh.literal(least)}"

    def rows_again(self, known: Mapping[str, Any], say: Callable[[str], None]) -> int:
        """How many rows of the table the cursor reads again, as it begins at its last value. A coarse one is told."""
        if self.before is None or self.stream.refresh or self.stream.table not in known:
            return 0
        count = wh.count(self._pipeline, self.stream.table, f"{self._column} >= {wh.literal(self.since)}")
        if count > COARSE:
            say(
                f"{count:,} rows of {self.stream.name} have the last value of the cursor {self.stream.cursor} or are "
                "within what it looks back: each load reads them again. A finer cursor reads less."
            )
        return count

    def rows_until(self, load_ids: Sequence[str]) -> int:
        """How many rows of these loads are not beyond the last value that the cursor had."""
        until = f"{self._column} <= {wh.literal(self.before)}"
        return wh.rows_of(self._pipeline, self.stream.table, load_ids, until)

    @property
    def _column(self) -> str:
        parts = self.stream.named(str(self.stream.cursor)).split(".")
        name: str = self._pipeline.destination.capabilities().escape_identifier(
            "__".join(map(column_identifier, parts))
        )
        return name
