"""Rows of JSON: read exactly, looked at value by value, and one type for each column that holds all of its values.

dlt would find types by the first value of a column, and make the later ones fit: true of 5, 1970 of a number among
moments, a rounded double of a long integer. Here a column gets its type when all rows were seen. docs/connectors.md has
the rules.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from nodes.connections.connectors.changes import narrower
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import RESERVED, StreamSettings, collision_said, column_identifier
from nodes.connections.connectors.values.columns import MOST_DIGITS, NO_ZERO
from nodes.connections.connectors.values.misfits import CURE, LEAVE_OUT, misfit, row_name

_EXACT_DIGITS = 15  # a number with so many digits and its double are one to one
_EXACT_INTEGER = 2**53  # up to here each integer is a double
_BIGINT = 2**63
_MOMENT = re.compile(
    r"(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(Z|[+-]\d\d:\d\d)?"
)
_MARKS = ("\uf026", "\uf02d")  # letters by which dlt marks types of values in its files


# --- reading --------------------------------------------------------------------------------------------------------
def exact_json(text: str | bytes) -> Any:
    """What JSON says: numbers that a double or 64 bits would change are Decimal. Raises ValueError, also for a key that
    an object has twice, and for NaN, which is no JSON.
    """
    return _DECODER.decode(text.decode("utf-8-sig") if isinstance(text, bytes) else text)


def _number(text: str) -> float | Decimal:
    value = float(text)
    if len(text) <= _EXACT_DIGITS and "e" not in text and "E" not in text:
        return value
    try:
        exact = Decimal(text)
    except ArithmeticError as error:
        raise ValueError(f"{text[:20]} is not a readable number") from error
    return value if math.isfinite(value) and Decimal(repr(value)) == exact else exact


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= 18 or (len(text) <= 20 and -_BIGINT <= int(text) < _BIGINT) else Decimal(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} occurs twice")
    return result


_DECODER = json.JSONDecoder(
    parse_float=_number, parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_object
)


# --- types of columns -----------------------------------------------------------------------------------------------
@dataclass
class _Place:
    """Where values stand in rows: a column, an object or a list below a key, and what was seen there."""

    path: tuple[str, ...]
    name: str  # in its table, for collisions
    kinds: set[str] = field(default_factory=set)
    most: float | int | Decimal = 0  # the largest number, without its sign
    scale: int = 0  # digits behind the point
    members: dict[str, "_Place"] = field(default_factory=dict)
    items: "_Place | None" = None

    @property
    def shown(self) -> str:
        return ".".join(self.path)


class RowTypes:
    """Looks at rows as they pass; afterwards gives dlt the type of each column.

    In: `nesting`, how many levels of objects and lists become columns and tables (below them JSON stays as it is);
    `postgres`, whether PostgreSQL is to hold the values.
    """

    def __init__(self, stream: StreamSettings, *, nesting: int, postgres: bool) -> None:
        self._stream, self._nesting, self._postgres = stream, nesting, postgres
        self._root = _Place((), "")
        self._names: dict[str, tuple[str, ...]] = {}
        self._row: Mapping[str, Any] = {}
        self._number = 0
        self.rows = 0

    def look(self, row: dict[str, Any], number: int) -> None:
        """Note the kinds of the values of a row. Raises SourceError for one that cannot be carried over exactly, and
        for two keys that become one name. Integers beyond 64 bits are Decimal afterwards.
        """
        self._row, self._number, self.rows = row, number, self.rows + 1
        self._object(self._root, row, self._nesting, self._nesting)

    def _object(self, place: _Place, value: dict[str, Any], level: int, row_level: int) -> None:
        for key, each in value.items():
            here = place.members.get(key) or self._add(place, key)
            if each is None:
                continue
            kind = type(each)
            if kind is dict and level > 0:
                self._object(here, each, level - 1, row_level)
            elif kind is list and level > 0:
                self._list(here, each, row_level - 1)
            elif kind is dict or kind is list:
                self._json(here, each)
            elif (result := self._scalar(here, each)) is not each:
                value[key] = result

    def _list(self, place: _Place, values: list[Any], level: int) -> None:
        """As dlt: each element is a row of a table of its own; a list in a list is one with the column `list`."""
        items = place.items
        if items is None:
            items = place.items = _Place((*place.path, "[]"), f"{place.name}__[]")
        for number, each in enumerate(values):
            if type(each) is dict:
                self._object(items, each, level, level)
            elif type(each) is list:
                self._object(items, {"list": each}, level - 1, level - 1)
            elif each is not None:
                values[number] = self._scalar(items.members.get("value") or self._add(items, "value"), each)

    def _add(self, place: _Place, key: str) -> _Place:
        """A key that was not seen before. Raises SourceError where its name is taken: dlt flattens a.b to a__b."""
        name = column_identifier(key if place.path else self._stream.named(key))
        path, name_of_column = (*place.path, key), f"{place.name}__{name}" if place.path else name
        if not place.path and name_of_column.startswith(RESERVED):
            raise SourceError("schema", collision_said(self._stream.name, (key, key)))
        if self._names.setdefault(name_of_column, path) != path:
            both = (".".join(self._names[name_of_column]), ".".join(path))
            raise SourceError("schema", collision_said(self._stream.name, both))
        here = place.members[key] = _Place(path, name_of_column)
        return here

    def _refused(self, place: _Place, value: Any, why: str, cure: str = CURE) -> SourceError:
        key = {name: self._row.get(name) for name in self._stream.primary_key}
        return misfit(self._stream.name, place.shown, row_name(self._number, key), value, why, cure)

    def _json(self, place: _Place, value: Any) -> None:
        """Objects and lists below the last level: dlt writes them as JSON, and knows no numbers but doubles."""
        place.kinds.add("json")
        for each in _leaves(value):
            if isinstance(each, str):
                self._text(place, each)
            elif isinstance(each, Decimal) or (isinstance(each, float) and not math.isfinite(each)):
                raise self._refused(place, each, "is a number in JSON that a double would change")

    def _scalar(self, place: _Place, value: Any) -> Any:
        """The value as dlt shall have it. Raises SourceError."""
        kind, kinds = type(value), place.kinds
        if kind is str:
            self._text(place, value)
            if "text" not in kinds:
                kinds.add(_kind_of_text(value))
        elif kind is bool:
            kinds.add("bool")
        elif kind is int:
            if not -_BIGINT <= value < _BIGINT:
                return self._scalar(place, Decimal(value))
            kinds.add("bigint")
            place.most = max(place.most, abs(value))
        elif kind is float:
            if not math.isfinite(value):
                raise self._refused(place, value, "is not a number that every warehouse supports")
            kinds.add("double")
            place.most = max(place.most, abs(value))
            if not value.is_integer():
                place.scale = max(place.scale, -int(Decimal(repr(value)).as_tuple().exponent))
        elif isinstance(value, Decimal):
            if not value.is_finite():
                raise self._refused(place, value, "is not a number that every warehouse supports")
            kinds.add("decimal")
            place.most = max(place.most, value.copy_abs())  # abs() would round to 28 digits
            place.scale = max(place.scale, -int(value.as_tuple().exponent))
        elif isinstance(value, datetime):
            kinds.add("moment" if value.tzinfo is None else "instant")
        else:
            kinds.add("date" if isinstance(value, date) else "time" if isinstance(value, time) else "other")
        return value

    def _text(self, place: _Place, value: str) -> None:
        """Raise SourceError for a text that no file or no warehouse can hold."""
        if self._postgres and "\0" in value:
            raise self._refused(place, value, NO_ZERO, LEAVE_OUT)
        if value.isascii():
            return
        if _MARKS[0] <= value[0] <= _MARKS[1]:
            raise self._refused(place, value, "starts with a character that is reserved for dlt", LEAVE_OUT)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self._refused(
                place, value, "contains an incomplete character (a lone surrogate)", LEAVE_OUT
            ) from error

    # --- what dlt is told -------------------------------------------------------------------------------------------
    def tables(self, naming: Any) -> list[str]:
        """The tables that the rows become, the stream's own first. In: `naming`, dlt's."""
        return [naming.shorten_fragments(*parts) for parts, _ in self._tables(naming)]

    def apply(
        self, schema: Any, known: Mapping[str, Mapping[str, Any]], declared: set[str], say: Callable[[str], None]
    ) -> None:
        """Give the columns in dlt's schema their types, before it normalises.

        In: `known`, table -> columns that the warehouse has; `declared`, columns whose type the source says itself.
        """
        from dlt.common.schema.utils import new_table

        naming, parent = schema.naming, None
        empty = []
        for parts, columns in self._tables(naming):
            table = naming.shorten_fragments(*parts)
            if table not in schema.tables:
                parent = self._parent(naming, parts)
                schema.update_table(new_table(table, parent, columns=[]))
            there = schema.tables[table]["columns"]
            for names, place in columns:
                name = naming.shorten_fragments(*names)
                if not place.kinds:
                    empty += [place.shown] if not place.members and place.items is None else []
                    continue
                if "other" in place.kinds or (len(parts) == 1 and place.path[0] in declared):
                    continue
                column = self._as_known(place, self._type(place), known.get(table, {}).get(name))
                self._tell(place, column, say)
                there[name] = {"nullable": True, **_without_type(there.get(name, {})), "name": name, **column}
        if empty:
            say(f"Columns without values have no known type and were not loaded: {', '.join(empty)}.")

    def _tables(self, naming: Any) -> Iterator[tuple[tuple[str, ...], list[tuple[tuple[str, ...], _Place]]]]:
        """(parts of the table's name, its columns with the parts of their names), as dlt makes them."""

        def below(
            place: _Place, table: tuple[str, ...]
        ) -> Iterator[tuple[tuple[str, ...], list[tuple[tuple[str, ...], _Place]]]]:
            columns: list[tuple[tuple[str, ...], _Place]] = []
            lists: list[tuple[tuple[str, ...], _Place]] = []
            stack: list[tuple[_Place, tuple[str, ...]]] = [(place, ())]
            while stack:
                current, path = stack.pop()
                for key, each in current.members.items():
                    named = key if each.path[:-1] else self._stream.named(key)
                    part = naming.normalize_path(named) if named.strip() else "_empty"
                    columns.append(((*path, part), each))
                    stack.append((each, (*path, part)))
                    if each.items:
                        lists.append(((*table, *path, naming.normalize_tables_path(named)), each.items))
            yield table, columns
            for name, items in lists:
                yield from below(items, name)

        yield from below(self._root, (self._stream.table,))

    def _parent(self, naming: Any, parts: tuple[str, ...]) -> str:
        """The table whose rows hold the list that became this one: the longest name that is the beginning of it."""
        all_parts = [other for other, _ in self._tables(naming) if len(other) < len(parts)]
        return str(naming.shorten_fragments(*max((each for each in all_parts if parts[: len(each)] == each), key=len)))

    def _type(self, place: _Place) -> dict[str, Any]:
        """The type that holds all values of a column exactly."""
        kinds = place.kinds
        if kinds <= {"bigint", "double", "decimal"}:
            if kinds == {"bigint"}:
                return {"data_type": "bigint"}
            if "decimal" not in kinds and ("bigint" not in kinds or place.most <= _EXACT_INTEGER):
                return {"data_type": "double"}
            if place.scale + _whole(place) <= MOST_DIGITS:
                return {"data_type": "decimal", "precision": MOST_DIGITS, "scale": place.scale}
            return {"data_type": "text"}
        if kinds in ({"instant"}, {"moment"}):
            return {"data_type": "timestamp", "timezone": kinds == {"instant"}}
        if len(kinds) == 1 and (only := next(iter(kinds))) in ("bool", "json", "date", "time"):
            return {"data_type": only}
        return {"data_type": "text"}

    def _as_known(self, place: _Place, column: dict[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any]:
        """The type of the warehouse's column where it holds all values exactly, else the one that was found."""
        if known is None:
            return column
        theirs, kinds = known.get("data_type"), place.kinds
        if theirs == "decimal" and kinds <= {"bigint", "double", "decimal"} and column["data_type"] != "text":
            column = {"data_type": "decimal", "precision": MOST_DIGITS, "scale": place.scale}
            scale = int(known.get("scale") or 0)
            fits = place.scale <= scale and _whole(place) <= int(known.get("precision") or MOST_DIGITS) - scale
            return {key: known.get(key) for key in ("data_type", "precision", "scale")} if fits else column
        if theirs == "double" and kinds <= {"bigint", "double"} and place.most <= _EXACT_INTEGER:
            return {"data_type": "double"}
        if theirs == "double" and "decimal" in kinds:
            return column
        return {"data_type": theirs} if column["data_type"] != theirs and narrower(column, known) else column

    def _tell(self, place: _Place, column: Mapping[str, Any], say: Callable[[str], None]) -> None:
        """Say by which rule a column has its type, where it is not that of each of its values."""
        kinds = {_WORDS[kind] for kind in place.kinds}
        if column["data_type"] == "decimal" and "decimal" in place.kinds:
            say(
                f"The column {place.shown} of {self._stream.name} has numbers that a double would round, so it is "
                "loaded "
                f"as decimal({column['precision']},{column['scale']})."
            )
        elif column["data_type"] == "text" and kinds != {"texts"}:
            why = " and ".join(sorted(kinds)) if len(kinds) > 1 else f"{kinds.pop()} of more than {MOST_DIGITS} digits"
            say(f"The column {place.shown} of {self._stream.name} has {why}, so it is loaded as text.")


_WORDS = {
    "text": "texts", "instant": "times with a zone", "moment": "moments", "bool": "true or false",
    "bigint": "numbers", "double": "numbers", "decimal": "numbers", "json": "objects or lists", "date": "days",
    "time": "times", "other": "other values",
}  # fmt: skip


def _without_type(column: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in column.items() if key not in ("data_type", "precision", "scale", "timezone")}


def _whole(place: _Place) -> int:
    """Digits before the point of the largest number."""
    most = Decimal(repr(place.most)) if isinstance(place.most, float) else Decimal(place.most)
    return max(0, most.adjusted() + 1) if most else 0


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _kind_of_text(value: str) -> str:
    """Whether a text is a moment in ISO 8601, with a zone or without; each is the same moment in a warehouse."""
    match = _MOMENT.fullmatch(value)
    if not match:
        return "text"
    try:
        moment = datetime.fromisoformat(value)
        if match[1]:
            moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return "text"
    return "instant" if match[1] else "moment"


def encode_for_texts() -> None:
    """Have dlt write true and false in a text as JSON does; it would write them as Python does."""
    from dlt.common.json import json as dlt_json

    def encode(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        raise TypeError

    dlt_json.set_custom_encoder(encode)
