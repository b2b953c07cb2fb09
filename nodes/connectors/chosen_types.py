"""The types that a person chose for columns: text, double, or decimal(p,s). What does not fit is refused by name."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from nodes.connectors.failures import SourceError
from nodes.connectors.streams import decimal_of


def as_chosen(values: Any, kind: str, stream: str, column: str) -> Any:
    """A column of arrow as a chosen type. Raises SourceError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    decimal = decimal_of(kind)
    wanted = pa.decimal128(*decimal) if decimal else {"text": pa.string(), "double": pa.float64()}[kind]
    if values.type == wanted:
        return values
    try:
        if wanted == pa.float64() and pa.types.is_integer(values.type):
            return pc.cast(values, wanted, safe=False)  # rounded, as chosen
        return pc.cast(values, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        said = str(error).splitlines()[0][:200]
        raise SourceError("data", f"{stream}, column {column}: a value is no {kind}: {said}") from error


def as_kept(values: Any, stream: str, column: str) -> Any:
    """A column of arrow with a type that warehouses have: microseconds, 64 bits, 38 digits. Raises SourceError.

    Finer moments, larger numbers and longer decimals are not cut: what does not fit is refused.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        wanted, what = pa.timestamp("us", kind.tz), "a moment has more than 6 digits of a second"
    elif pa.types.is_time64(kind) and kind.unit == "ns":
        wanted, what = pa.time64("us"), "a time has more than 6 digits of a second"
    elif pa.types.is_uint64(kind):
        wanted, what = pa.int64(), "a number is larger than 9,223,372,036,854,775,807"
    elif pa.types.is_decimal256(kind):
        wanted, what = pa.decimal128(min(kind.precision, 38), kind.scale), "a number has more than 38 digits"
    else:
        return values
    try:
        return pc.cast(values, wanted)
    except pa.ArrowInvalid as error:
        cure = "Choose text for the column in the settings of this table, or leave it out."
        raise SourceError("data", f"{stream}, column {column}: {what}. {cure}") from error


def value_as_chosen(value: Any, kind: str, column: str) -> Any:
    """One value of a row as a chosen type. Raises SourceError."""
    if value is None:
        return None
    try:
        if kind == "text":
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if kind == "double":
            return float(value)
        decimal = decimal_of(kind)
        assert decimal is not None
        digits, scale = decimal
        made = Decimal(str(value))
        if not made.is_finite() or made != round(made, scale) or made.adjusted() >= digits - scale:
            raise InvalidOperation
        return made
    except (TypeError, ValueError, InvalidOperation) as error:
        raise SourceError("data", f"column {column}: {str(value)[:60]} is no {kind}.") from error
