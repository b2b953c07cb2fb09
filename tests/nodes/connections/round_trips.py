"""What all round trips share: random values, a load into a warehouse, and the comparison of what arrived.

Every value arrives equal, or its column is refused by name, with the row, the value and what to do; it is then loaded
as text, or refused again. A third thing fails the test. DEX_TEST_SCALE makes more of them.
"""

import json
import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.nodes.connections.loads import Place

SCALE = int(os.environ.get("DEX_TEST_SCALE", "1"))  # 25 makes more than ten thousand cases a source and warehouse
SEEDS = range(max(1, SCALE // 10))
ROWS = 20 * SCALE // len(SEEDS)  # values of a column
ODD = 4 if SCALE == 1 else 1000  # of so many types one odd value is tried in each seed
LETTERS = "aZ0 '\"\\,;\n\t%_é漢😀\u200b"
NAMED = re.compile(
    r"(?P<stream>\w+), column (?P<column>[\w.\[\]]+), (the row with id \d+|row [\d,]+): .+\. "
    r"(Choose another type|Change the value).+",
    re.S,
)
TYPED = re.compile(r"The column (?P<column>\w+) of (?P<stream>\w+) is .+ Choose its type in the settings")


@dataclass
class Kind:
    """Values of one type: usual ones, and ones at its edge that a warehouse may have no column for."""

    usual: Callable[[random.Random], Any]
    edge: Sequence[Any] = ()
    alone: bool = False  # in a table of its own, as it is refused whatever its values are


def tables_of(kinds: Sequence[Kind], dice: random.Random) -> dict[str, dict[int, list[Any]]]:
    """Tables with the columns v0, v1... of the given kinds: name -> number of the kind -> values.

    `usual` has all kinds, with usual values and nulls; the others one kind, with one odd value among usual ones.
    """

    def column(kind: Kind, odd: Sequence[Any] = ()) -> list[Any]:
        made = [*(kind.usual(dice) for _ in range(ROWS - 1 - len(odd))), None, *odd]
        dice.shuffle(made)
        return made

    tables = {"usual": {number: column(kind) for number, kind in enumerate(kinds) if not kind.alone}}
    edgy = [number for number, kind in enumerate(kinds) if kind.edge or kind.alone]
    for number in dice.sample(edgy, min(ODD, len(edgy))):
        edge = kinds[number].edge
        tables[f"odd{number}"] = {number: column(kinds[number], [dice.choice(edge)] if edge else [])}
    return tables


def moment(dice: random.Random) -> datetime:
    """Any moment of the years 1 to 9999, to the microsecond."""
    return datetime(1, 1, 1) + timedelta(days=dice.randrange(3_652_058), microseconds=dice.randrange(86_400_000_000))


def text(dice: random.Random, longest: int = 12) -> str:
    return "".join(dice.choice(LETTERS) for _ in range(dice.randrange(longest)))


def number(dice: random.Random, digits: int, scale: int) -> str:
    """A decimal with so many digits at most, as it is written."""
    sign = dice.choice(("", "-"))
    if not scale:
        return f"{sign}{dice.randrange(10**digits)}"
    return f"{sign}{dice.randrange(10 ** (digits - scale))}.{dice.randrange(10**scale):0{scale}}"


@dataclass
class Figures:
    """What became of the values of a round trip."""

    equal: int = 0
    as_text: int = 0  # refused as their type, and equal as text
    refused: int = 0  # refused, also as text

    def __str__(self) -> str:
        total = self.equal + self.as_text + self.refused
        return f"{total} cases: {self.equal} equal, {self.as_text} refused and equal as text, {self.refused} refused"


def refusals(place: Place, streams: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Load, and take what is refused by name. Out: stream -> (column, what was said). Else what fails is an error."""
    told: dict[str, tuple[str, str]] = {}
    for event in place.load(*streams).done:
        if event["event"] == "stream_failed":
            name, said = event["stream"], event["message"]
            by_row, by_type = NAMED.match(said), TYPED.match(said)
            found = by_row or by_type
            assert event["kind"] in ("data", "schema") and found and found["stream"] == name, (name, event)
            told[name] = (found["column"].split(".")[0], said)
    return told


def round_trip(
    place: Place,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    equal: Callable[[Any, Any], bool] | None = None,
    found: Callable[[str, str], list[Any]] | None = None,
) -> Figures:
    """Load tables that have the column id, from 0. In: table -> column -> its values, by id. Out: the figures.

    A column that is refused is loaded as text; and left out, where that is refused as well. `equal` compares what the
    source holds with what the warehouse holds; `found` reads a column of a table, by id.
    """
    figures = Figures()
    types: dict[str, dict[str, str]] = {name: {} for name in tables}
    left: dict[str, list[str]] = {name: list(columns) for name, columns in tables.items()}
    waiting = list(tables)
    why: dict[tuple[str, str], str] = {}
    while waiting:
        refused = refusals(
            place, [{"name": each, "types": types[each], "columns": ["id", *left[each]]} for each in waiting]
        )
        for name, (column, said) in refused.items():
            assert column in left[name] and name != "usual", (name, said)
            why[name, column] = said
            if column in types[name]:
                left[name].remove(column)
                del types[name][column]
                figures.refused += len(tables[name][column])
            else:
                types[name][column] = "text"
        waiting = list(refused)
    for name, columns in left.items():
        assert place.rows(f"SELECT id FROM shop.{name} ORDER BY id") == [(n,) for n in range(ROWS)]
        for column in columns:
            values = tables[name][column]
            if all(value is None for value in values):
                continue
            there = (
                found(name, column)
                if found
                else [row[0] for row in place.rows(f"SELECT {column} FROM shop.{name} ORDER BY id")]
            )
            pairs = list(zip(values, there, strict=True))
            wrong = [pair for pair in pairs if not (equal or same)(*pair)]
            assert not wrong, (name, column, why.get((name, column)), wrong[:3])
            if column in types[name]:
                figures.as_text += len(pairs)
            else:
                figures.equal += len(pairs)
    return figures


def texts(place: Place) -> set[str]:
    """The columns of the table `usual` that are text in the warehouse."""
    found = place.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'usual' "
        "AND data_type IN ('text', 'character varying', 'VARCHAR', 'varchar')"
    )
    return {name for (name,) in found if not name.startswith("_dlt")}


def same(source: Any, value: Any) -> bool:
    """Whether what the warehouse holds is what the source holds: to the last digit, letter and microsecond.

    Either may be text by a rule of docs/connectors.md: it is then compared as what the other one is.
    """
    if source is None or value is None:
        return source is value is None
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    try:
        if isinstance(source, str) and not isinstance(value, str):
            return _written(source, value)
        if isinstance(value, str) and not isinstance(source, str):
            return _written(value, source)
    except (ValueError, InvalidOperation):
        return False
    if isinstance(source, bool) or isinstance(value, bool):
        return source is value
    if isinstance(source, int | float | Decimal):
        return _exact(source) == _exact(value) or str(source) == str(value)  # not a number is no number's equal
    if isinstance(source, datetime) and isinstance(value, datetime):
        return _moment(source) == _moment(value)
    if isinstance(source, dict | list) and isinstance(value, dict | list):
        return bool(_json(source) == _json(value))
    return bool(source == value)


def _exact(value: Any) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _moment(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _json(value: Any) -> Any:
    """A value of JSON with its numbers as decimals."""
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_json(each) for each in value]
    return _exact(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _written(text: str, value: Any) -> bool:
    """Whether a text says what a value is."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float | Decimal):
        return Decimal(text) == _exact(value) or text.lower() == str(value).lower()
    if isinstance(value, datetime):
        return _moment(datetime.fromisoformat(text)) == _moment(value) and not re.search(r"\.\d{7}", text)
    if isinstance(value, date):
        return date.fromisoformat(text) == value
    if isinstance(value, time):
        return time.fromisoformat(text) == value and not re.search(r"\.\d{7}", text)
    if isinstance(value, bytes):
        return text.lower() in (f"\\x{value.hex()}", value.hex(), f"x'{value.hex()}'")
    if isinstance(value, dict | list):
        return bool(json.loads(text, parse_float=Decimal, parse_int=Decimal) == _json(value))
    return text == str(value)
