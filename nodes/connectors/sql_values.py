"""Values of databases that drivers change in silence, or that no column of a warehouse holds: told, never guessed.

PostgreSQL's infinity becomes the year 9999, 24:00:00 midnight, and MySQL's 838:59:59 a time of day before anybody sees
them. Here such values keep their text, so that the column refuses them by name, with their row and what to do. Another
type can be chosen for a column: text, double, or decimal(p,s).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from nodes.connectors.failures import SourceError
from nodes.connectors.streams import decimal_of

MOST_DIGITS = 38  # of a decimal, in arrow and in DuckDB
SHOWN = 60  # characters of a value in a message
CURE = (
    "Choose another type for the column in the settings of this table (text keeps every value; double rounds to 15 "
    "digits; decimal(38,n) has n decimals), leave the column out, or filter such rows out."
)
_OTHER_ERAS = ("infinity", "-infinity")


def checked_postgresql(connection: Any) -> None:
    """Have a connection of psycopg2 give moments that Python has no value for as their text."""
    from psycopg2 import extensions as ext

    for oid, name, known in (
        (1082, "DATE", ext.PYDATE),
        (1083, "TIME", ext.PYTIME),
        (1114, "TIMESTAMP", ext.PYDATETIME),
        (1184, "TIMESTAMPTZ", ext.PYDATETIMETZ),
    ):
        ext.register_type(ext.new_type((oid,), name, _or_text(known)), connection)


def _or_text(known: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def cast(text: str | None, cursor: Any) -> Any:
        if text is None:
            return None
        if text in _OTHER_ERAS or text.endswith(" BC") or text.startswith("24:"):
            return text
        try:
            return known(text, cursor)
        except (ValueError, OverflowError):  # the year 10000
            return text

    return cast


def checked_mysql() -> dict[Any, Any]:
    """Conversions of PyMySQL by which a time that is no time of a day keeps its text."""
    from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]
    from pymysql.converters import conversions, convert_timedelta  # type: ignore[import-untyped]

    def clock(text: Any) -> Any:
        found = convert_timedelta(text)
        if isinstance(found, timedelta) and timedelta() <= found < timedelta(days=1):
            return (datetime.min + found).time()
        return text.decode() if isinstance(text, bytes) else str(text)

    return {**conversions, FIELD_TYPE.TIME: clock}


def columns_of(there: Any, wanted: Sequence[str], types: Mapping[str, str], say: Callable[[str], None]) -> list[Any]:
    """The chosen columns of a reflected table, with the types by which they are loaded. Raises SourceError.

    In: `types`, column -> text, double or decimal(p,s).
    """
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    made = []
    for name in wanted:
        column = there.c[name]
        kind: Any = column.type
        chosen = types.get(name, "")
        if not chosen and isinstance(kind, sa.Time) and getattr(kind, "timezone", False):
            chosen = "text"
            say(f"The column {name} is a time with a zone; it is loaded as text, which keeps the zone.")
        if chosen == "text":
            kind = sa.Text()
        elif chosen == "double":
            kind = sa.Double()
            say(f"The column {name} is loaded as double, as chosen: digits beyond 15 are rounded.")
        elif decimal := decimal_of(chosen):
            kind = sa.Numeric(*decimal)
        elif isinstance(kind, mysql.TIME):
            kind = _as_driver_says(mysql.TIME)()
        elif isinstance(kind, sa.Numeric) and (kind.precision or 0) > MOST_DIGITS:
            raise SourceError(
                "schema",
                f"The column {name} of {there.name} is {kind}: a warehouse has at most {MOST_DIGITS} digits. "
                f"Choose its type in the settings of this table: text, double (rounds to 15 digits), or decimal(38,n).",
            )
        made.append(sa.Column(name, kind, nullable=bool(column.nullable)))
    return made


def _as_driver_says(kind: Any) -> Any:
    """A type whose values are those of the driver: SQLAlchemy's own would wrap a time around at midnight."""

    class Plain(kind):
        def result_processor(self, dialect: Any, coltype: Any) -> None:
            return None

    return Plain


def selected(query: Any, table: Any, there: Any, types: Mapping[str, str]) -> Any:
    """The statement with the conversions that the database itself makes, exactly: to text and to double."""
    import sqlalchemy as sa

    def shown(column: Any) -> Any:
        source = there.c[column.name].type
        if isinstance(column.type, sa.Text) and not isinstance(source, sa.String):
            return sa.cast(sa.type_coerce(column, source), sa.Text).label(column.name)
        if types.get(column.name) == "double":
            return sa.cast(sa.type_coerce(column, source), sa.Double).label(column.name)
        return column

    return query.with_only_columns(*(shown(column) for column in table.c))


def loader_of(stream: str, key: Sequence[str]) -> Any:
    """A table loader of dlt that names the value which a column does not hold. In: `key`, columns that name a row."""
    from dlt.common.libs.pyarrow import PyToArrowConversionException
    from dlt.sources.sql_database.helpers import TableLoader

    class Loader(TableLoader):
        def _convert_result(self, result: Any, backend_kwargs: dict[str, Any]) -> Iterator[Any]:
            rows = _Latest(result)
            try:
                yield from super()._convert_result(rows, backend_kwargs)
            except PyToArrowConversionException as error:
                column = str(error.field_name)
                raise _refused(stream, rows, column, key) from error

    return Loader


class _Latest:
    """A result that remembers the rows it gave last, and how many there were before."""

    def __init__(self, result: Any) -> None:
        self._result, self.before = result, 0
        self.rows: Sequence[Any] = ()
        self.names: list[str] = list(result.keys())

    def keys(self) -> Any:
        return self._result.keys()

    def partitions(self, size: int | None = None) -> Iterator[Any]:
        for part in self._result.partitions(size=size):
            self.before, self.rows = self.before + len(self.rows), part
            yield part


def _refused(stream: str, latest: _Latest, column: str, key: Sequence[str]) -> SourceError:
    place = latest.names.index(column)
    values = [row[place] for row in latest.rows]
    known = next((type(each) for each in values if not isinstance(each, str | type(None))), None)
    number, wrong = next(
        ((n, each) for n, each in enumerate(values) if _is_odd(each, known)),
        (None, None),
    )
    if number is None:  # each is of one kind: the one that arrow takes not
        number, wrong = _longest(values)
    row = latest.rows[number]
    named = ", ".join(f"{name} {row[latest.names.index(name)]}" for name in key if name in latest.names)
    where = f"the row with {named}" if named else f"row {latest.before + number + 1:,}"
    return SourceError(
        "data", f"{stream}, column {column}, {where}: {str(wrong)[:SHOWN]} does not fit its type. {CURE}"
    )


def _is_odd(value: Any, usual: type | None) -> bool:
    """Whether a value is a text among others: what the conversions above leave as it was."""
    return isinstance(value, str) and (usual in (date, datetime, time, None))


def _longest(values: Sequence[Any]) -> tuple[int, Any]:
    """The value that widens the column most: of numbers, the one with most decimals, then with most digits."""

    def digits(value: Any) -> tuple[int, int]:
        if not isinstance(value, Decimal):
            return (0, 0)
        if not value.is_finite():
            return (10**6, 0)
        _, figures, exponent = value.as_tuple()
        return (max(0, -int(exponent)), len(figures))

    return max(enumerate(values), key=lambda pair: digits(pair[1]))
