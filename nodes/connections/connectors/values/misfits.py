"""Values that a column cannot hold exactly: one sentence for all of them, with table, column, row, value and cure."""

from typing import Any

from nodes.connections.connectors.failures import SourceError

SHOWN = 60  # characters of a value in a message
CURE = (
    "Choose another type for the column in the settings of this table (text keeps every value; double rounds to 15 "
    "digits; decimal(38,n) has n decimals), or exclude the column."
)
LEAVE_OUT = "Change the value in the source, or exclude the column."


class Odd:
    """A value that is not of its column's type: what stands in its place until the column refuses it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return self.value.decode(errors="replace") if isinstance(self.value, bytes) else str(self.value)


def misfit(
    stream: str, column: str, row: str, value: Any, why: str = "does not fit its type", cure: str = CURE
) -> SourceError:
    """The refusal of a value. In: `row`, as row_name says it."""
    shown = str(value)
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in shown[: SHOWN + 1])
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]}…"
    return SourceError("data", f"{stream}, column {column}, {row}: {shown or 'an empty text'} {why}. {cure}")


def row_name(number: int, key: dict[str, Any] | None = None) -> str:
    """What a person finds a row by: its key, else its number, from 1."""
    if key:
        return "the row with " + ", ".join(f"{name} {value}" for name, value in key.items())
    return f"row {number:,}"
