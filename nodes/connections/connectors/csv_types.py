"""Types of columns of CSV: a column has one only if each of its values is written just as that type writes it.

`007`, 20 digits and 31/12/2026 stay text. docs/connectors.md has the rules.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import time
from typing import Any

_YEAR = r"(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
_DAY = rf"{_YEAR}-\d\d-\d\d"
_CLOCK = r"[0-2]\d:[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_DIGITS_OF_DOUBLE = 15  # with so many, a number and its binary form are one to one
# Type -> how its values are written, in the order in which a column tries them.
SHAPES = {
    "int64": r"^(?:0|-?[1-9]\d{0,17})$",
    "double": r"^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,2})?$",
    "bool": r"^(?:true|false|True|False|TRUE|FALSE)$",
    "date32": rf"^{_DAY}$",
    "timestamp": rf"^{_DAY}[ T]{_CLOCK}$",
    "timestamptz": rf"^{_DAY}[ T]{_CLOCK}(?:Z|[+-][01]\d:?[0-5]\d)$",
    "time64": rf"^{_CLOCK}$",
}


_SHAPES = tuple(re.compile(shape) for shape in SHAPES.values())


def look_like_values(texts: Iterable[str]) -> bool:
    """Whether any of these is written as a value, so that they are no names of columns."""
    return any(shape.match(each.strip()) for each in texts for shape in _SHAPES)


@dataclass
class Column:
    """A column of text and the types that all of its values so far could have."""

    possible: list[str] = field(default_factory=lambda: list(SHAPES))
    filled: bool = False

    def look(self, values: Any, decimal_mark: str) -> None:
        """Rule types out. In: an arrow array of text, null where there is nothing."""
        if not self.possible or values.null_count == len(values):
            return
        self.filled = True
        self.possible = [kind for kind in self.possible if _fits(values, kind, decimal_mark)]

    @property
    def kind(self) -> str:
        """The type that all values have."""
        return self.possible[0] if self.filled and self.possible else "string"


def _fits(values: Any, kind: str, decimal_mark: str) -> bool:
    """Whether every value is written as this type writes it, and is one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "double":
        values = _with_point(values, decimal_mark)
        if values is None:
            return False
    if not pc.all(pc.match_substring_regex(values, SHAPES[kind])).as_py():
        return False
    if kind == "double":
        digits = pc.replace_substring_regex(values, r"[eE].*$", "")
        digits = pc.replace_substring_regex(digits, r"^-?0?\.?0*|\.", "")
        return bool(pc.max(pc.utf8_length(digits)).as_py() <= _DIGITS_OF_DOUBLE)
    try:
        cast(values, kind, decimal_mark)
    except (pa.ArrowInvalid, ValueError):  # 31 February, 24:00:00
        return False
    return True


def _with_point(values: Any, decimal_mark: str) -> Any:
    """Numbers with the point that arrow reads; None where a point stands that is no decimal mark."""
    import pyarrow.compute as pc

    if decimal_mark == ".":
        return values
    if pc.any(pc.match_substring(values, ".")).as_py():
        return None
    return pc.replace_substring(values, decimal_mark, ".")


def cast(values: Any, kind: str, decimal_mark: str) -> Any:
    """Text as the type that was found for its column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "string":
        return values
    if kind == "double":
        return pc.cast(_with_point(values, decimal_mark), pa.float64())
    if kind == "bool":
        return pc.equal(pc.ascii_lower(values), "true")
    if kind == "time64":
        clocks = [None if each is None else time.fromisoformat(each) for each in values.to_pylist()]
        return pa.array(clocks, pa.time64("us"))
    if kind == "timestamptz":
        return pc.cast(values, pa.timestamp("us", "UTC"))
    return pc.cast(values, {"int64": pa.int64(), "date32": pa.date32(), "timestamp": pa.timestamp("us")}[kind])
