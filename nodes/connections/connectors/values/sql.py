"""Values of databases that drivers change in silence, or that no column of a warehouse holds: told, never guessed.

PostgreSQL's infinity becomes the year 9999, 24:00:00 midnight, MySQL's 838:59:59 a time of day, and SQLite's 1.239 in a
DECIMAL(10,2) 1.24 before anybody sees them. Here such a value becomes an Odd, which the column refuses by name, with
its row and what to do. Another type can be chosen for a column: text, double, or decimal(p,s).
"""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import decimal_of
from nodes.connections.connectors.values.columns import MOST_DIGITS
from nodes.connections.connectors.values.misfits import Odd, misfit, row_name

_OTHER_ERAS = ("infinity", "-infinity")
Convert = Callable[[Any], Any]  # a value of the driver to the one of its column; raises ValueError where it is none


# --- drivers --------------------------------------------------------------------------------------------------------
def checked_postgresql(connection: Any) -> None:
    """Have a connection of psycopg2 give moments that Python has no value for as they are written."""
    from psycopg2 import extensions as ext

    for oid, name, loader in (
        (1082, "DATE", ext.PYDATE),
        (1083, "TIME", ext.PYTIME),
        (1114, "TIMESTAMP", ext.PYDATETIME),
        (1184, "TIMESTAMPTZ", ext.PYDATETIMETZ),
    ):
        ext.register_type(ext.new_type((oid,), name, _or_odd_moment(loader)), connection)


def _or_odd_moment(convert_known: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def cast(text: str | None, cursor: Any) -> Any:
        if text is None:
            return None
        if text in _OTHER_ERAS or text.endswith(" BC") or text.startswith("24:"):
            return Odd(text)
        try:
            return convert_known(text, cursor)
        except (ValueError, OverflowError):  # the year 10000
            return Odd(text)

    return cast


def checked_mysql() -> dict[Any, Any]:
    """Conversions of PyMySQL by which a time that is no time of a day, and a day that is none, is no value."""
    from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]
    from pymysql.converters import conversions, convert_timedelta  # type: ignore[import-untyped]

    def clock(text: Any) -> Any:
        duration = convert_timedelta(text)
        negative = text[:1] in ("-", b"-")  # -00:00:00.5: PyMySQL loses the sign
        if isinstance(duration, timedelta) and timedelta() <= duration < timedelta(days=1) and not negative:
            return (datetime.min + duration).time()  # noqa: DTZ901 - a time of day has no zone
        return Odd(text)

    def strict(convert_known: Convert) -> Convert:
        def convert(text: Any) -> Any:
            converted = convert_known(text)
            return Odd(text) if isinstance(converted, str | bytes) else converted

        return convert

    days = (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP)
    return {**conversions, FIELD_TYPE.TIME: clock, **{each: strict(conversions[each]) for each in days}}


def in_utc(connection: Any) -> None:
    """Have a connection of PyMySQL read TIMESTAMP in UTC: an hour of autumn is there twice in the server's zone."""
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")


def checked_sqlite(connection: Any) -> None:
    """Have a connection of sqlite3 give texts that are no UTF-8 as they are."""

    def decoded(data: bytes) -> Any:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return Odd(data)

    connection.text_factory = decoded


# --- types ----------------------------------------------------------------------------------------------------------
def columns_of(
    there: Any, wanted: Sequence[str], types: Mapping[str, str], dialect: Any, say: Callable[[str], None]
) -> list[Any]:
    """The chosen columns of a reflected table, with the types by which they are loaded. Raises SourceError.

    In: `types`, column -> text, double or decimal(p,s); `dialect`, SQLAlchemy's.
    """
    import sqlalchemy as sa

    columns = []
    for name in wanted:
        kind = _chosen(types.get(name, ""), name, say) or _loaded_as(there.c[name], there.name, dialect.name, say)
        convert = _of_sqlite(kind, types.get(name, "")) if dialect.name == "sqlite" else None
        columns.append(sa.Column(name, _guarded(kind, dialect, convert), nullable=bool(there.c[name].nullable)))
    return columns


def _chosen(chosen: str, name: str, say: Callable[[str], None]) -> Any:
    import sqlalchemy as sa

    if chosen == "double":
        say(f"The column {name} is loaded as double, as you chose. Digits beyond 15 are rounded.")
        return sa.Double()
    if decimal := decimal_of(chosen):
        return sa.Numeric(*decimal)
    return sa.Text() if chosen == "text" else None


def _kind(column: Any) -> Any:
    """The type of a column; that of a domain of PostgreSQL is the one below it."""
    kind = column.type
    while type(kind).__name__ == "DOMAIN":
        kind = kind.data_type
    return kind


def _loaded_as(column: Any, table: str, system: str, say: Callable[[str], None]) -> Any:
    """The type by which a column is loaded that nobody chose one for: its own, or text where no warehouse has it."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    kind, name = _kind(column), column.name
    if isinstance(kind, sa.Time) and getattr(kind, "timezone", False):
        say(f"The column {name} is a time with a zone. It is loaded as text, which keeps the zone.")
        return sa.Text()
    if isinstance(kind, sa.Numeric) and (kind.precision or 0) > MOST_DIGITS:
        raise SourceError(
            "schema",
            f"The column {name} of {table} is {kind}: a warehouse has at most {MOST_DIGITS} digits. "
            f"Choose its type in the settings of this table: text, double (rounds to 15 digits), or decimal(38,n).",
        )
    if isinstance(kind, sa.Enum | mysql.SET):
        return sa.Text()
    if isinstance(kind, mysql.YEAR | mysql.BIT):
        return sa.BigInteger()
    if isinstance(kind, sa.Float):
        return sa.Double()  # MySQL's own would make a decimal of 10 digits
    if isinstance(kind, mysql.TIMESTAMP):
        return sa.TIMESTAMP(timezone=True)  # a moment; in_utc
    if isinstance(kind, sa.ARRAY):
        return sa.JSON()
    types = (
        sa.Integer,
        sa.Numeric,
        sa.Float,
        sa.String,
        sa.LargeBinary,
        sa.DateTime,
        sa.Date,
        sa.Time,
        sa.Boolean,
        sa.JSON,
    )
    if isinstance(kind, (*types, sa.Uuid, sa.types._Binary)):
        return kind
    if system != "sqlite":
        described = "of a type that SQLAlchemy does not know" if isinstance(kind, sa.types.NullType) else str(kind)
        say(f"The column {name} is {described}. It is loaded as text, as the database writes it.")
    return sa.Text()


def _guarded(kind: Any, dialect: Any, convert: Convert | None) -> Any:
    """A type whose values are those of `convert`, else of SQLAlchemy, or Odd where these fail."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    guarded = copy.copy(kind.dialect_impl(dialect))
    base = type(guarded)

    def result_processor(self: Any, dialect: Any, coltype: Any) -> Any:
        # A time of MySQL would wrap around at midnight, and JSON is text by what is selected.
        as_it_is = isinstance(self, mysql.TIME | sa.JSON)
        process = convert or (None if as_it_is else base.result_processor(self, dialect, coltype))
        return process and _or_odd(process)

    guarded.__class__ = type(base.__name__, (base,), {"result_processor": result_processor, "cache_ok": False})
    return guarded


def _or_odd(convert: Convert) -> Convert:
    def value(given: Any) -> Any:
        if given is None or isinstance(given, Odd):
            return given
        try:
            return convert(given)
        except (ValueError, TypeError, LookupError, ArithmeticError):
            return Odd(given)

    return value


# --- SQLite: any value in any column --------------------------------------------------------------------------------
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")


def _of_sqlite(kind: Any, chosen: str) -> Convert:
    """What makes a value of a column from what SQLite keeps there; what is not of its type is none."""
    import sqlalchemy as sa

    if chosen == "text":
        return _as_text
    for types, convert in (
        (sa.Boolean, _as_bool),
        (sa.DateTime, _written(_MOMENT, datetime.fromisoformat)),
        (sa.Date, _written(_DAY, date.fromisoformat)),
        (sa.Time, _written(_CLOCK, time.fromisoformat)),
        (sa.Integer, _only(int)),
        (sa.Double | sa.Float, _as_double),
        (sa.Numeric, _as_decimal),
        (sa.types._Binary, _only(bytes)),
        (sa.JSON, _as_json),
        (sa.Text, _as_text),
    ):
        if isinstance(kind, types):
            is_untyped = convert is not _as_text or type(kind) is sa.Text
            return convert if is_untyped else _only(str)
    return _only(str)


def _only(kind: type) -> Convert:
    def value(given: Any) -> Any:
        if type(given) is not kind:
            raise ValueError
        return given

    return value


def _written(shape: re.Pattern[str], read: Callable[[str], Any]) -> Convert:
    def value(given: Any) -> Any:
        if type(given) is not str or not shape.fullmatch(given):
            raise ValueError
        return read(given)

    return value


def _as_bool(given: Any) -> bool:
    if type(given) is not int or given not in (0, 1):
        raise ValueError
    return bool(given)


def _as_double(given: Any) -> float:
    if type(given) not in (int, float) or (int(float(given)) != given and type(given) is int):
        raise ValueError
    return float(given)


def _as_decimal(given: Any) -> Decimal:
    if type(given) not in (int, float):
        raise ValueError
    return Decimal(repr(given))


def _as_json(given: Any) -> str:
    if type(given) in (int, float):
        return json.dumps(given, allow_nan=False)
    if type(given) is not str:
        raise ValueError
    json.loads(given)
    return str(given)


def _as_text(given: Any) -> str:
    """Numbers with all their digits, bytes as SQL writes them."""
    if isinstance(given, bytes):
        return f"x'{given.hex()}'"
    return given if isinstance(given, str) else repr(given)


def as_dlt_knows(kind: Any) -> Any:
    """A type that dlt 1.31 has a name for: SQLAlchemy 2.1 no longer counts doubles among the numeric ones."""
    import sqlalchemy as sa

    return sa.Numeric(asdecimal=False) if isinstance(kind, sa.Float) else kind


# --- statements and rows --------------------------------------------------------------------------------------------
def selected(query: Any, table: Any, there: Any, types: Mapping[str, str], dialect: str) -> Any:
    """The statement with the conversions that the database itself makes, exactly: to text, to JSON and to double."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    def shown(column: Any) -> Any:
        source = _kind(there.c[column.name])
        plain = sa.type_coerce(column, source)
        single = isinstance(source, mysql.FLOAT)  # MySQL writes 6 of its digits, but all of them as a double
        if types.get(column.name) == "double" or (single and not isinstance(column.type, sa.Text)):
            return sa.cast(plain, sa.Double)
        if isinstance(column.type, sa.JSON) and dialect != "sqlite":
            return sa.cast(sa.func.to_json(plain) if isinstance(source, sa.ARRAY) else plain, sa.Text)
        if isinstance(source, mysql.BIT):
            plain = sa.type_coerce(plain, sa.BigInteger) + 0
            return sa.cast(plain, sa.Text) if isinstance(column.type, sa.Text) else plain
        if not isinstance(column.type, sa.Text) or isinstance(source, sa.String) or dialect == "sqlite":
            return column
        if isinstance(source, sa.types._Binary) and dialect == "mysql":
            return sa.func.concat("\\x", sa.func.lower(sa.func.hex(plain)))
        return sa.cast(sa.cast(plain, sa.Double) if single else plain, sa.Text)

    chosen = ((column, shown(column)) for column in table.c)
    return query.with_only_columns(
        *(expression if expression is column else expression.label(column.name) for column, expression in chosen)
    )


def loader_of(stream: str, key: Sequence[str]) -> Any:
    """A table loader of dlt that names the value which a column does not hold. In: `key`, columns that name a row."""
    from dlt.sources.sql_database.helpers import TableLoader

    class Loader(TableLoader):
        def _convert_result(self, result: Any, backend_kwargs: dict[str, Any]) -> Iterator[Any]:
            import pyarrow as pa
            from dlt.common.destination.capabilities import DestinationCapabilitiesContext
            from dlt.common.libs.pyarrow import get_py_arrow_datatype
            from dlt.sources.sql_database.schema_types import table_to_columns

            capabilities = DestinationCapabilitiesContext.generic_capabilities()
            # Not those of dlt's resource: they have other names by choice.
            columns = table_to_columns(self.table, type_conversion_fallback=as_dlt_knows)
            names = list(result.keys())
            kinds = {name: get_py_arrow_datatype(columns[name], capabilities, "UTC") for name in names}
            fields = [pa.field(name, kind) for name, kind in kinds.items()]
            before = 0
            for part in result.partitions(size=self.chunk_size):
                rows = [tuple(row) for row in part]
                try:
                    yield pa.Table.from_arrays(pa.array(rows, pa.struct(fields)).flatten(), schema=pa.schema(fields))
                except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
                    raise _refused(stream, rows, before, kinds, key) or error from error
                before += len(rows)

    return Loader


def _refused(
    stream: str, rows: Sequence[Any], before: int, kinds: Mapping[str, Any], key: Sequence[str]
) -> SourceError | None:
    """The refusal of the first value that its column does not hold by itself."""
    names = list(kinds)
    for place, (column, kind) in enumerate(kinds.items()):
        for number, row in enumerate(rows):
            if _holds(row[place], kind):
                continue
            values = {name: row[names.index(name)] for name in key if name in names}
            return misfit(stream, column, row_name(before + number + 1, values), row[place])
    return None


def _holds(value: Any, kind: Any) -> bool:
    import pyarrow as pa

    try:
        pa.array([value], kind)
        return True
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
