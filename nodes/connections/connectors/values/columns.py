"""Columns of arrow as a warehouse has them, or as somebody chose: text, double, decimal(p,s). Else refused by name."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import decimal_of
from nodes.connections.connectors.values.misfits import CURE, LEAVE_OUT, misfit

MOST_DIGITS = 38  # of a decimal, in arrow and in DuckDB
_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
_TOO_FINE = "has more than 6 decimal digits of seconds"
_ROUNDED = "would be rounded, because the warehouse column is a double"
_OTHER_AGE = "is before the year 1 or after 9999"
_EXACTLY = Context(prec=2 * MOST_DIGITS, traps=[InvalidOperation, Inexact])  # Python's own has 28 digits, and rounds
Row = Callable[[int], str]  # the name of a row by its place in the column


def as_chosen(values: Any, kind: str, stream: str, column: str, row: Row) -> Any:
    """A column of arrow as a chosen type. Raises SourceError for the first value that is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _plain(values)
    if kind == "text":
        return _as_json(values, stream, column, row) if pa.types.is_nested(values.type) else _as_text(values)
    decimal = decimal_of(kind)
    wanted = pa.decimal128(*decimal) if decimal else pa.float64()
    if wanted == pa.float64() and pa.types.is_integer(values.type):
        return pc.cast(values, wanted, safe=False)  # rounded, as chosen
    return _cast(values, wanted, stream, column, row, f"is not a valid {kind}")


def as_kept(values: Any, stream: str, column: str, row: Row, *, postgres: bool = False) -> Any:
    """A column of arrow with a type that warehouses have: microseconds, 64 bits, 38 digits. Raises SourceError.

    Finer moments, larger numbers and longer decimals are not cut: what does not fit is refused. Lists, structures and
    maps become text in JSON. In: `postgres`, whether PostgreSQL is to hold it, which has no character 0 in texts.
    """
    import pyarrow as pa

    values = _plain(values)
    kind, types = values.type, pa.types
    if types.is_timestamp(kind):
        wanted, why = pa.timestamp("us", kind.tz), _TOO_FINE if kind.unit == "ns" else _OTHER_AGE
    elif types.is_time(kind):
        wanted, why = pa.time64("us"), _TOO_FINE
    elif types.is_date(kind):
        wanted, why = pa.date32(), "is not a date"
    elif types.is_integer(kind):
        wanted, why = pa.int64(), "is larger than 9,223,372,036,854,775,807"
    elif types.is_floating(kind):
        wanted, why = pa.float64(), ""
    elif types.is_decimal(kind):
        scale = max(0, kind.scale)
        digits = min(max(kind.precision, kind.precision - kind.scale), MOST_DIGITS)
        wanted, why = (
            pa.decimal128(max(digits, scale) if scale <= MOST_DIGITS else MOST_DIGITS, min(scale, MOST_DIGITS)),
            (f"has more than {MOST_DIGITS} digits"),
        )
    elif types.is_duration(kind):
        raise _first(values, stream, column, row, "is a duration, which warehouses cannot store", CURE)
    elif types.is_nested(kind):
        wanted, why, values = pa.string(), "", _as_json(values, stream, column, row)
    else:
        wanted, why = kind, ""
    converted = values if values.type == wanted else _cast(values, wanted, stream, column, row, why)
    if types.is_timestamp(wanted) or types.is_date(wanted):
        _refuse_other_ages(converted, stream, column, row)
    if postgres and types.is_string(wanted):
        refuse_zero(converted, stream, column, row)
    return converted


def as_known(values: Any, wanted: Any, stream: str, column: str, row: Row) -> Any:
    """A column of arrow as the wider type that the warehouse has. Raises SourceError for what that would round."""
    import pyarrow as pa

    converted = _cast(values, wanted, stream, column, row, _ROUNDED)
    if pa.types.is_floating(wanted) and pa.types.is_decimal(values.type):
        for place, (exact, value) in enumerate(zip(values.to_pylist(), converted.to_pylist(), strict=True)):
            if exact is not None and Decimal(repr(value)) != exact:
                raise misfit(stream, column, row(place), exact, _ROUNDED)
    return converted


def refuse_zero(values: Any, stream: str, column: str, row: Row) -> None:
    """Raise SourceError for a text with the character 0, which no text of PostgreSQL has."""
    import pyarrow.compute as pc

    if (place := pc.index(pc.fill_null(pc.match_substring(values, "\0"), False), True).as_py()) >= 0:
        raise misfit(stream, column, row(place), values[place].as_py(), NO_ZERO, LEAVE_OUT)


NO_ZERO = "contains the NUL character, which PostgreSQL text cannot store"


def _refuse_other_ages(values: Any, stream: str, column: str, row: Row) -> None:
    """Raise SourceError for what is before the year 1 or after 9999: neither Python nor most databases read it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count == len(values):
        return
    if pa.types.is_date(values.type):
        least, most = (pa.scalar(day, pa.date32()) for day in (_FIRST_DAY, _LAST_DAY))
    else:
        plain = pa.timestamp("us")
        values = pc.cast(values, plain)
        least = pa.scalar(datetime.combine(_FIRST_DAY, time.min), plain)
        most = pa.scalar(datetime.combine(_LAST_DAY, time.max), plain)
    outside = pc.fill_null(pc.or_(pc.less(values, least), pc.greater(values, most)), False)
    if (place := pc.index(outside, True).as_py()) >= 0:
        shown = pc.cast(values, pa.string())[place].as_py()
        raise misfit(stream, column, row(place), shown, _OTHER_AGE)


def _plain(values: Any) -> Any:
    """A column without encodings that only arrow has: dictionaries, long and short layouts, extensions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = values.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        if str(kind).startswith("extension<arrow.uuid"):
            return pa.chunked_array([[None if each is None else str(each) for each in values.to_pylist()]], pa.string())
        values = pa.chunked_array([chunk.storage for chunk in _chunks(values)], kind.storage_type)
        return _plain(values)
    if types.is_dictionary(kind):
        return _plain(pc.cast(values, kind.value_type))
    if types.is_run_end_encoded(kind):
        return _plain(pa.chunked_array([pc.run_end_decode(chunk) for chunk in _chunks(values)], kind.value_type))
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pc.cast(values, pa.string())
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pc.cast(values, pa.binary())
    return values


def _chunks(values: Any) -> Sequence[Any]:
    return values.chunks if hasattr(values, "chunks") else [values]


def _cast(values: Any, wanted: Any, stream: str, column: str, row: Row, why: str) -> Any:
    """A column as another type, every value exactly. Raises SourceError for the first one that is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wrong = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
    try:
        return pc.cast(values, wanted)
    except wrong:
        low, high = 0, len(values)
        while high - low > 1:  # in [low, high) is the first one
            middle = (low + high) // 2
            try:
                pc.cast(values.slice(low, middle - low), wanted)
                low = middle
            except wrong:
                high = middle
        shown = _as_text(values.slice(low, 1))[0].as_py()
        raise misfit(stream, column, row(low), shown, why) from None


def _first(values: Any, stream: str, column: str, row: Row, why: str, cure: str) -> SourceError:
    shown = _as_text(values.drop_null().slice(0, 1))
    place = next((n for n, each in enumerate(values.is_valid()) if each.as_py()), 0)
    return misfit(stream, column, row(place), shown[0].as_py() if len(shown) else "nothing", why, cure)


def _as_text(values: Any) -> Any:
    """Every value as text, exactly: bytes as hexadecimal digits behind \\x, lengths of time with their unit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = values.type, pa.types
    if types.is_string(kind):
        return values
    if types.is_binary(kind):
        return _mapped(values, lambda each: f"\\x{each.hex()}")
    if types.is_duration(kind):
        return _mapped(pc.cast(values, pa.int64()), lambda each: f"{each} {kind.unit}")
    if types.is_nested(kind):
        return _mapped(values, str)
    if types.is_floating(kind):
        return _mapped(pc.cast(values, pa.float64()), repr)
    if types.is_null(kind) or types.is_boolean(kind) or types.is_integer(kind):
        return pc.cast(values, pa.string())
    if types.is_decimal(kind):
        return _mapped(values, lambda each: f"{each:f}")
    return pc.cast(values, pa.string())


def _mapped(values: Any, change: Callable[[Any], str]) -> Any:
    import pyarrow as pa

    changed = [None if each is None else change(each) for each in values.to_pylist()]
    return pa.chunked_array([pa.array(changed, pa.string())])


def _as_json(values: Any, stream: str, column: str, row: Row) -> Any:
    import pyarrow as pa

    texts = []
    for place, each in enumerate(values):
        try:
            texts.append(written(each.as_py()) if each.is_valid else None)
        except (ValueError, OverflowError) as error:
            raise misfit(
                stream, column, row(place), each, "contains a value that JSON cannot represent", LEAVE_OUT
            ) from error
    return pa.chunked_array([pa.array(texts, pa.string())])


def written(value: Any) -> str:
    """A value as JSON, exactly: decimals as numbers, bytes in base64, moments in ISO 8601. Raises ValueError."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a JSON number")
        return f"{value:f}" if abs(value.adjusted()) < 400 else f"{value:e}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(_key(key))}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bytes):
        return json.dumps(base64.b64encode(value).decode())
    if isinstance(value, date | datetime | time):
        return json.dumps(value.isoformat())
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else written(key).strip('"')


def value_as_chosen(value: Any, kind: str, stream: str, column: str, row: str) -> Any:
    """One value of a row as a chosen type. Raises SourceError."""
    if value is None:
        return None
    try:
        if kind == "text":
            shown = value if isinstance(value, str) else written(value)
            return json.loads(shown) if shown.startswith('"') and shown is not value else shown
        if kind == "double":
            return float(value)
        decimal = decimal_of(kind)
        assert decimal is not None
        digits, scale = decimal
        number = Decimal(str(value))
        if not number.is_finite() or number.adjusted() >= digits - scale:
            raise InvalidOperation
        return number.quantize(Decimal(1).scaleb(-scale), context=_EXACTLY)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise misfit(stream, column, row, value, f"is not a valid {kind}") from error
