"""How one stream (a table, an endpoint, a sheet) is loaded: pure values, checked once."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Mode = Literal["replace", "append", "incremental", "merge"]
Policy = Literal["evolve", "freeze", "ask"]
Op = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null", "like"]

MODES: dict[str, str] = {
    "replace": "Full replace: replaces the table with the current source",
    "append": "Append: adds all rows again in every load",
    "incremental": "Incremental: adds rows with a newer cursor value",
    "merge": "Merge: updates rows by primary key and adds new rows",
}
POLICIES: dict[str, str] = {
    "evolve": "Accept new columns and report them",
    "freeze": "Fail when columns change",
    "ask": "Fail when columns change, and let me accept the change",
}
LONGEST_NAME = 200
MOST_FILTERS = 20
MOST_COLUMNS = 2000
_WITHOUT_VALUE = ("is null", "is not null")


class Filter(BaseModel):
    """One condition on the rows of a table; all of them must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(min_length=1, max_length=LONGEST_NAME)
    op: Op
    value: str | int | float | bool | list[str | int | float] | None = None


class StreamSettings(BaseModel):
    """What a person chose for one stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    mode: Mode = "replace"
    primary_key: list[str] = []
    cursor: str | None = None
    look_back: float = Field(default=0, ge=0, le=10**12)  # seconds of a time, days of a date, a difference of numbers
    columns: list[str] | None = None  # None: all, those to come too
    rename: dict[str, str] = Field(default={}, max_length=MOST_COLUMNS)  # a column of the source -> its name afterwards
    types: dict[str, str] = Field(default={}, max_length=MOST_COLUMNS)  # column -> text, double or decimal(p,s)
    row_filter: list[Filter] = Field(default=[], max_length=MOST_FILTERS)
    schema_policy: Policy = "evolve"
    refresh: bool = False  # this once: forget the cursor and load everything again

    @field_validator("cursor", mode="before")
    @classmethod
    def _blank_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("name")
    @classmethod
    def _names_a_table(cls, value: str) -> str:
        if not identifier(value):
            raise ValueError("a stream needs a name")
        return value

    def named(self, column: str) -> str:
        """What a column of the source is called from here on."""
        return self.rename.get(column, column)

    @property
    def table(self) -> str:
        """The table of the warehouse that it lands in."""
        return identifier(self.name)


def parse(
    raw: Mapping[str, Any], *, supports: Iterable[str] = tuple(MODES), filters: bool = True
) -> tuple[StreamSettings | None, dict[str, str]]:
    """Settings from what a form or a file holds, or errors by field in words.

    In: `supports`, the modes of the connector; `filters`, whether it can filter rows.
    """
    try:
        settings = StreamSettings.model_validate(dict(raw))
    except ValidationError as error:
        return None, {str(each["loc"][0]) if each["loc"] else "name": _said(each) for each in error.errors()}
    errors = problems(settings, supports=supports, filters=filters)
    return (None, errors) if errors else (settings, {})


def problems(
    settings: StreamSettings, *, supports: Iterable[str] = tuple(MODES), filters: bool = True
) -> dict[str, str]:
    """What does not fit together, by field."""
    by_field: dict[str, str] = {}
    allowed = tuple(supports)
    if settings.mode not in allowed:
        by_field["mode"] = f"This connector cannot do {settings.mode}; choose {_either(allowed)}."
    if settings.mode == "incremental" and not settings.cursor:
        by_field["cursor"] = (
            "Incremental needs a cursor: choose a column whose values increase, such as updated_at or id."
        )
    if settings.mode == "merge" and not settings.primary_key:
        by_field["primary_key"] = "Merge needs a primary key: choose the columns that identify a row."
    if settings.mode in ("replace", "append") and settings.cursor:
        by_field["cursor"] = f"A cursor has no effect with {settings.mode}: clear it, or choose incremental or merge."
    if settings.look_back and not settings.cursor:
        by_field["look_back"] = "Looking back needs a cursor: choose one, or clear this field."
    if len(set(settings.primary_key)) != len(settings.primary_key):
        by_field["primary_key"] = "A column is in the primary key twice."
    if wrong := _columns_problem(settings):
        by_field["columns"] = wrong
    if wrong := _rename_problem(settings.rename):
        by_field["rename"] = wrong
    if wrongs := [wrong for column, kind in settings.types.items() if (wrong := _type_problem(column, kind))]:
        by_field["types"] = wrongs[-1]
    if settings.row_filter and not filters:
        by_field["row_filter"] = "This connector cannot filter rows."
    for number, each in enumerate(settings.row_filter, 1):
        if problem := _filter_problem(each):
            by_field["row_filter"] = f"Filter {number}: {problem}"
    return by_field


def _columns_problem(settings: StreamSettings) -> str | None:
    if settings.columns is None:
        return None
    if not settings.columns:
        return "Choose at least one column, or all."
    needed = [*settings.primary_key, *([settings.cursor] if settings.cursor else [])]
    if missing := [column for column in needed if column not in settings.columns]:
        return f"Also choose {_and(missing)}: the primary key and the cursor must be loaded."
    return None


def decimal_of(kind: str) -> tuple[int, int] | None:
    """Digits, and those of them after the point, of a chosen type like decimal(38,10); None for any other."""
    match = _DECIMAL.fullmatch(kind)
    return (int(match[1]), int(match[2])) if match else None


def _type_problem(column: str, kind: str) -> str | None:
    if kind in ("text", "double"):
        return None
    decimal = decimal_of(kind)
    if decimal is None:
        return f"{column}: {kind[:40]} is not a supported type; use text, double or decimal(38,10)."
    if not 1 <= decimal[0] <= 38 or decimal[1] > decimal[0]:
        return f"{column}: a decimal can have at most 38 digits, and not more decimals than digits."
    return None


def _rename_problem(rename: Mapping[str, str]) -> str | None:
    for column, name in rename.items():
        if not identifier(name) or len(name) > LONGEST_NAME:
            return f"Enter the new name of {column}: letters, digits and underscores."
    if both := collision(rename.values()):
        return (
            f"{both[0]} and {both[1]} would have the same name in the warehouse. Choose another name for one of them."
        )
    return None


def collision(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that the warehouse would have as one, or one that is dlt's own twice; None where there are none."""
    seen: dict[str, str] = {}
    for name in names:
        column = column_identifier(name)
        if column.startswith(RESERVED):
            return name, name
        if seen.setdefault(column, name) != name:
            return seen[column], name
    return None


def collision_said(stream: str, both: tuple[str, str]) -> str:
    """What is wrong, and what to do."""
    cure = "Rename one in the settings of this table, or exclude it under Columns."
    if both[0] == both[1]:
        return f"The column {both[0]} of {stream} has a name that is reserved for dlt ({RESERVED}…). {cure}"
    return (
        f"The columns {both[0]} and {both[1]} of {stream} would both be {column_identifier(both[0])} in the warehouse, "
        f"and one would be lost. {cure}"
    )


def _filter_problem(each: Filter) -> str | None:
    if each.op in _WITHOUT_VALUE:
        return f"“{each.op}” takes no value." if each.value not in (None, "") else None
    if each.value is None:
        return "enter a value to compare with."
    if each.op in ("in", "not in"):
        return None if isinstance(each.value, list) and each.value else f"“{each.op}” needs a list of values."
    return "this comparison takes one value, not a list." if isinstance(each.value, list) else None


def _said(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"There is no setting {'.'.join(map(str, error['loc']))}."
    place = " ".join(f"{part + 1}" if isinstance(part, int) else str(part) for part in error["loc"][1:])
    return f"{place}: {error['msg']}." if place else f"{error['msg']}."


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


RESERVED = "_dlt"
_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
_LETTERS = str.maketrans("+-*@|", "x_xal")
_BREAK_BEFORE_WORD = re.compile("([^_])([A-Z][a-z]+)")
_BREAK_AFTER_SMALL = re.compile("([a-z0-9])([A-Z])")


@lru_cache(maxsize=20_000)
def column_identifier(name: str) -> str:
    """A column of the source, or a key of a row, as the warehouse has it: as dlt's normalize_path.

    Two underscores divide a name, as dlt flattens a.b to a__b; empty parts fall away.
    """
    return "__".join(identifier(part) for part in name.split("__") if part.strip()) or "_empty"


def identifier(name: str) -> str:
    """A name of the source as the warehouse has it: small letters, digits and underscores.

    The rule is dlt's (snake_case), without its shortening of names beyond 63 letters; a test holds them together.
    """
    text = re.sub(r"[^a-zA-Z\d_]+", "_", name.strip().translate(_LETTERS))
    text = _BREAK_AFTER_SMALL.sub(r"\1_\2", _BREAK_BEFORE_WORD.sub(r"\1_\2", text)).lower()
    if text[:1].isdigit():
        text = f"_{text}"
    stripped = text.rstrip("_")
    return re.sub("__+", "_", stripped + "x" * (len(text) - len(stripped)))
