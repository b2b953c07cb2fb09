"""Random values of every type of files and of answers in JSON arrive equal in both warehouses, or are refused by name.

DEX_TEST_SCALE makes more of them: with 25, ten thousand values of each source go each way.
"""

import csv
import json
import random
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.nodes.connections.api import Api
from tests.nodes.connections.books import Error, Formula, write_book
from tests.nodes.connections.loads import Place
from tests.nodes.connections.round_trips import ROWS, SEEDS, Kind, moment, number, round_trip, same, tables_of, text

SEEDED = pytest.mark.parametrize("seed", SEEDS)


def of(*values):
    return Kind(lambda dice: dice.choice(values))


# --- JSON -------------------------------------------------------------------------------------------------------------
def as_text(make):
    return lambda dice: json.dumps(make(dice))


SCALARS = (
    "0", "1", "-7", "9007199254740993", "9223372036854775807", "9223372036854775808", "1.5", "-0.1", "1e300", "1e-320",
    "0.30000000000000004", "3.14159265358979323846", "123456789012345678901234567890.125", "1e400", "true", "false",
    '""', '"7"', '"007"', '"0x1F"', '"true"', '"é漢😀"', '"2026-01-01"', '"2026-01-01T10:00:00Z"', '"24:00:00"',
    '"NaN"',
)  # fmt: skip
#: values as JSON writes them
JSON = [
    Kind(lambda dice: str(dice.randrange(-999, 999)), SCALARS),
    Kind(lambda dice: str(dice.randrange(-(2**63), 2**63)), ("9223372036854775808", "1.5", "1" * 45)),
    Kind(lambda dice: repr(dice.uniform(-1e9, 1e9)), SCALARS),
    Kind(lambda dice: number(dice, 30, 12), ("1e-40", '"a"')),
    Kind(lambda dice: dice.choice((str(dice.randrange(99)), repr(dice.random()))), ("9007199254740993",)),
    Kind(lambda dice: dice.choice(("true", "false")), SCALARS),
    Kind(as_text(text), (*SCALARS, '"\\u0000"', '"\\ud800"', '"\\uf0261.5"', '"\\uf02e"')),
    Kind(lambda dice: f'"{moment(dice).isoformat()}"', ('"2026-01-01"', '"2026-02-30T00:00:00"', "5", "null")),
    Kind(
        lambda dice: f'"{2000 + dice.randrange(99)}-{moment(dice):%m-%dT%H:%M:%S.%f}{dice.choice(("Z", "+05:30"))}"',
        ('"0001-01-01T00:00:00+05:00"', '"2026-01-01T10:00:00.123456789Z"', '"2026-01-01T10:00:00"', "1767225600"),
    ),
    of('"2026"', '"2026-01"', '"20260101T10"', '"2026-W01"', '"10:00"', '"2026-01-01"'),
    of(*SCALARS),
    of(*SCALARS, '{"a": 1}', "[1, 2]", "{}", "[]"),
    Kind(lambda dice: f'{{"a": {dice.randrange(9)}, "b": {{"c": {dice.random()}, "d": null}}}}', SCALARS),
    Kind(lambda dice: f'{{"a": {dice.choice(SCALARS)}}}', ('{"a": {"b": 1}}', '{"a": [1]}')),
    Kind(lambda dice: json.dumps([dice.randrange(9) for _ in range(dice.randrange(4))]), ("[[1, 2], [3]]", "[null]")),
    Kind(lambda dice: f"[{dice.choice(SCALARS)}, {dice.choice(SCALARS)}]"),
    Kind(lambda dice: f'[{{"x": {dice.randrange(9)}, "y": [{{"z": {dice.choice(SCALARS)}}}]}}]', ('[{"x": 1}, 5]',)),
    Kind(
        lambda dice: f'{{"a": {{"b": {{"c": {{"d": [{dice.randrange(9)}, {{"e": {dice.random()}}}], "f": "é"}}}}}}}}',
        ('{"a": {"b": {"c": {"d": 1.234567890123456789012}}}}', '{"a": {"b": {"c": 5}}}'),
    ),
]  # fmt: skip


def flat(value, path=""):
    """Path -> value of everything in it that is a value; a list in a list is an object with the key list, as in dlt."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}", each) for key, each in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}.[{n}]", {"list": each} if isinstance(each, list) else each) for n, each in enumerate(value)]
        pairs = [(f"{name}.value" if not isinstance(each, dict) else name, each) for name, each in pairs]
    else:
        return {} if value is None else {path: value}
    return {name: each for pair in pairs for name, each in flat(pair[1], pair[0]).items()}


def read_json(place, table, column):
    """What the warehouse holds of a column, and of the columns and tables that its objects and lists became."""
    tables = [
        row[0] for row in place.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop'")
    ]
    made = [{} for _ in range(ROWS)]
    where = {}  # the id of a row of dlt -> (number of the row, path)

    def columns(name, start):
        found = place.rows(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{name}'"
                           " AND table_schema = 'shop'")  # fmt: skip
        return [each for (each,) in found if not start or each == start or each.startswith(f"{start}__")]

    def take(name, row_of, names, values, skip):
        at, path = row_of
        for each, value in zip(names, values, strict=True):
            if value is not None and not each.startswith("_dlt") and each not in ("id", "value_of"):
                below = each[len(skip) :].strip("_").replace("__", ".")
                made[at][f"{path}.{below}" if below else path] = value

    names = columns(table, column)
    listed = ", ".join(["id", "_dlt_id", *names])
    for row in place.rows(f"SELECT {listed} FROM shop.{table} ORDER BY id"):
        where[row[1]] = (row[0], "")
        take(table, where[row[1]], names, row[2:], column)
    for child in sorted(
        each for each in tables if each == f"{table}__{column}" or each.startswith(f"{table}__{column}__")
    ):
        parent = max((each for each in [table, *tables] if child.startswith(f"{each}__") and each != child), key=len)
        below = child[len(parent) + 2 :].replace("__", ".")
        below = below[len(column) :] if parent == table else f".{below}"
        names = columns(child, "")
        for row in place.rows(f"SELECT _dlt_parent_id, _dlt_list_idx, _dlt_id, {', '.join(names)} FROM shop.{child}"):
            at, path = where[row[0]]
            where[row[2]] = (at, f"{path}{below}.[{row[1]}]")
            take(child, where[row[2]], names, row[3:], "")
    return made


def same_json(source, found):
    """Whether cells are what a value of JSON says; a cell may be JSON itself, below the last level or by choice."""
    there = flat(json.loads(source, parse_float=Decimal)) if source is not None else {}
    cells = {}
    for path, value in found.items():
        if path not in there and isinstance(value, str):
            cells |= flat(json.loads(value, parse_float=Decimal), path)
        else:
            cells[path] = value
    return there.keys() == cells.keys() and all(same(there[path], cells[path]) for path in there)


def lines(tables, dice):
    """Table -> its rows as JSON writes them; nulls are null or missing keys."""
    made = {}
    for table, columns in tables.items():
        rows = []
        for n, values in enumerate(zip(*columns.values(), strict=True)):
            cells = [f'"id": {n}']
            for place, value in zip(columns, values, strict=True):
                if value is not None or dice.random() < 0.5:
                    cells.append(f'"v{place}": {value or "null"}')
            rows.append("{" + ", ".join(cells) + "}")
        made[table] = rows
    return made


def named(tables):
    return {table: {f"v{n}": values for n, values in columns.items()} for table, columns in tables.items()}


@SEEDED
def test_values_of_json_lines(warehouse, tmp_path, seed):
    dice = random.Random(seed)
    place = Place(tmp_path, "files", {"folder": "data"}, destination=warehouse)
    (place.project / "data").mkdir()
    tables = tables_of(JSON, dice)
    for table, rows in lines(tables, dice).items():
        (place.project / "data" / f"{table}.jsonl").write_text("\n".join(rows))
    print(round_trip(place, named(tables), same_json, lambda *names: read_json(place, *names)))


@SEEDED
def test_values_of_an_api(warehouse, tmp_path, seed):
    dice = random.Random(seed)
    tables = tables_of(JSON, dice)
    api = Api(0)
    api.files = {
        f"/{table}": ("application/json", f'{{"data": [{", ".join(rows)}]}}'.encode())
        for table, rows in lines(tables, dice).items()
    }
    endpoints = [{"name": table, "path": table, "data_selector": "data"} for table in tables]
    config = {"base_url": api.url, "pagination": "none", "endpoints": endpoints}
    place = Place(tmp_path, "rest_api", config, destination=warehouse)
    try:
        print(round_trip(place, named(tables), same_json, lambda *names: read_json(place, *names)))
    finally:
        api.close()


# --- CSV --------------------------------------------------------------------------------------------------------------
WORDS = (
    "NULL", "007", "+1", "1e5", "1e400", "0.1234567890123456789", "9" * 19, "NaN", "infinity", "true", "TRUE",
    "24:00:00", "2026-02-30", "2026-01-01T10:00:00Z", "2026-01-01 10:00:00.1234567", "31/12/2026", '"', "a\r\nb",
    " x ", "", "-0",
)  # fmt: skip
CSV = [
    Kind(lambda dice: str(dice.randrange(-999, 999)), WORDS),
    Kind(lambda dice: str(dice.randrange(-(2**63), 2**63)), WORDS),
    Kind(lambda dice: repr(dice.uniform(-1e9, 1e9)), WORDS),
    Kind(lambda dice: number(dice, 14, 6), WORDS),
    Kind(lambda dice: number(dice, 30, 12), WORDS),
    Kind(text, WORDS),
    Kind(lambda dice: dice.choice(("true", "false")), WORDS),
    Kind(lambda dice: moment(dice).date().isoformat(), WORDS),
    Kind(lambda dice: moment(dice).time().isoformat(), WORDS),
    Kind(lambda dice: moment(dice).isoformat(dice.choice(" T")), WORDS),
    Kind(lambda dice: f"2026-{moment(dice):%m-%dT%H:%M:%S.%f}{dice.choice(('Z', '+05:30'))}", WORDS),
    Kind(lambda dice: dice.choice(WORDS)),
]


@SEEDED
def test_values_of_csv(warehouse, tmp_path, seed):
    place = Place(tmp_path, "files", {"folder": "data", "header": "yes"}, destination=warehouse)
    (place.project / "data").mkdir()
    tables = named(tables_of(CSV, random.Random(seed)))
    for table, columns in tables.items():
        with (place.project / "data" / f"{table}.csv").open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerows([["id", *columns], *zip(range(ROWS), *columns.values(), strict=True)])
    print(round_trip(place, tables, lambda a, b: same(a or None, b)))


# --- Parquet ----------------------------------------------------------------------------------------------------------
def whole(bits, signed=True):
    low = -(2 ** (bits - 1)) if signed else 0
    return lambda dice: dice.randrange(low, low + 2**bits)


def day(dice):
    return moment(dice).date()


_SECONDS = 253402300799  # the last of the year 9999
#: (type of arrow, its values)
PARQUET = [
    *((getattr(pa, f"int{bits}")(), Kind(whole(bits))) for bits in (8, 16, 32, 64)),
    *((getattr(pa, f"uint{bits}")(), Kind(whole(bits, signed=False))) for bits in (8, 16, 32)),
    (pa.uint64(), Kind(whole(63, signed=False), (2**63, 2**64 - 1))),
    (pa.float16(), of(0.5, -1.5, 1024.0)),
    (pa.float32(), of(0.1, 16777216.0, 3.4e38)),
    (pa.float64(), Kind(lambda dice: dice.uniform(-1e12, 1e12), (float("nan"), float("inf"), 5e-324))),
    (pa.bool_(), of(True, False)),
    (pa.string(), Kind(text, ("a\0b", ""))),
    (pa.large_string(), Kind(text, ("\0",))),
    (pa.dictionary(pa.int32(), pa.string()), of("a", "b", "é")),
    (pa.binary(), Kind(lambda dice: dice.randbytes(dice.randrange(9)), (b"\x00",))),
    (pa.large_binary(), Kind(lambda dice: dice.randbytes(4))),
    (pa.binary(4), Kind(lambda dice: dice.randbytes(4))),
    (pa.date32(), Kind(day, (date(1, 1, 1), date(9999, 12, 31), 2_932_897, -800_000))),
    (pa.date64(), Kind(day)),
    (pa.time32("s"), Kind(lambda dice: moment(dice).time().replace(microsecond=0))),
    (pa.time32("ms"), Kind(lambda dice: dice.randrange(86_400_000))),
    (pa.time64("us"), Kind(lambda dice: moment(dice).time())),
    (pa.time64("ns"), Kind(lambda dice: dice.randrange(86_400_000_000) * 1000, (1, 86_399_999_999_999))),
    (pa.timestamp("s"), Kind(lambda dice: dice.randrange(_SECONDS), (_SECONDS + 1, -_SECONDS))),
    (pa.timestamp("ms"), Kind(lambda dice: dice.randrange(_SECONDS * 1000), (_SECONDS * 1000 + 1000,))),
    (pa.timestamp("us"), Kind(moment, (_SECONDS * 1_000_000 + 1_000_000, 2**62))),
    (pa.timestamp("ns"), Kind(lambda dice: dice.randrange(2**53) * 1000, (1, -1, 1_767_225_600_000_000_001))),
    (pa.timestamp("us", "UTC"), Kind(lambda dice: moment(dice).replace(tzinfo=UTC))),
    (pa.timestamp("ms", "Europe/Berlin"), Kind(lambda dice: dice.randrange(_SECONDS), (_SECONDS * 1000 + 1000,))),
    (pa.timestamp("ns", "America/New_York"), Kind(lambda dice: dice.randrange(2**53) * 1000, (1,))),
    (pa.duration("us"), Kind(lambda dice: timedelta(seconds=dice.randrange(99)), alone=True)),
    (pa.decimal128(12, 4), Kind(lambda dice: Decimal(number(dice, 12, 4)))),
    (pa.decimal128(38, 38), Kind(lambda dice: Decimal(f"0.{dice.randrange(10**38):038}"))),
    (pa.decimal256(60, 10), Kind(lambda dice: Decimal(number(dice, 38, 10)), (Decimal("1" * 45),))),
    (pa.list_(pa.int64()), Kind(lambda dice: [dice.randrange(9) for _ in range(dice.randrange(3))])),
    (pa.list_(pa.float64()), of([0.1], [], [1e300, None])),
    (pa.list_(pa.float32(), 2), of([0.5, 1.5])),
    (pa.struct({"a": pa.int64(), "b": pa.string()}), Kind(lambda dice: {"a": dice.randrange(9), "b": text(dice)})),
    (pa.struct({"d": pa.decimal128(38, 20)}), Kind(lambda dice: {"d": Decimal(number(dice, 38, 20))})),
    (pa.list_(pa.float64()), Kind(lambda dice: [1.5], ([float("nan")],))),
    (pa.map_(pa.string(), pa.int64()), of([("a", 1)], [])),
    (pa.null(), of(None)),
]  # fmt: skip


def expected(values):
    """What a column of arrow holds, in types of Python; moments finer than Python's as text."""
    kind = values.type
    if pa.types.is_duration(kind):
        return [None if each is None else f"{each} {kind.unit}" for each in values.cast(pa.int64()).to_pylist()]
    if pa.types.is_map(kind):
        return [None if each is None else [list(pair) for pair in each] for each in values.to_pylist()]
    if pa.types.is_temporal(kind):
        return [each and re.sub("Z$", "+00:00", each) for each in values.cast(pa.string()).to_pylist()]
    return values.to_pylist()


def same_in_parquet(source, value):
    if isinstance(source, str) and isinstance(value, str):
        moment_of = re.compile(r"\.0+(?=[+-]|$)")
        return source == value or moment_of.sub("", source) == moment_of.sub("", re.sub("Z$", "+00:00", value))
    if isinstance(source, str) and isinstance(value, datetime | time):
        _, _, tail = source.partition(".")
        digits = tail[:9] if tail[:9].isdigit() else ""
        return same(source.replace(digits, digits[:6]) if digits[6:].strip("0") == "" else source, value)
    if isinstance(source, bytes) and isinstance(value, str):
        return value == f"\\x{source.hex()}"
    return same(source, value)


@SEEDED
def test_values_of_parquet(warehouse, tmp_path, seed):
    place = Place(tmp_path, "files", {"folder": "data"}, destination=warehouse)
    (place.project / "data").mkdir()
    tables = {}
    for table, columns in tables_of([kind for _, kind in PARQUET], random.Random(seed)).items():
        made = {f"v{n}": pa.array(values, PARQUET[n][0]) for n, values in columns.items()}
        pq.write_table(pa.table({"id": range(ROWS), **made}), place.project / "data" / f"{table}.parquet")
        tables[table] = {name: expected(values) for name, values in made.items()}
    print(round_trip(place, tables, same_in_parquet))


# --- Excel ------------------------------------------------------------------------------------------------------------
def in_excel(dice):
    return datetime(1950, 1, 1) + timedelta(seconds=dice.randrange(3_000_000_000))


CELLS = (
    1, 2.5, 0.1, 1e300, 2**53, True, False, "a", "", "7", "007", "2026-01-01", date(2026, 1, 1),
    datetime(2026, 1, 1, 10, 30), time(10, 30), timedelta(hours=30), Error("#DIV/0!"), Error("#N/A"), Formula("1+1", 2),
)  # fmt: skip
EXCEL = [
    Kind(lambda dice: dice.randrange(-(2**53), 2**53), CELLS),
    Kind(lambda dice: dice.uniform(-1e9, 1e9), CELLS),
    Kind(text, CELLS),
    Kind(lambda dice: dice.choice((True, False)), CELLS),
    Kind(lambda dice: in_excel(dice).date(), CELLS),
    Kind(in_excel, CELLS),
    Kind(lambda dice: in_excel(dice).time(), CELLS),
    Kind(lambda dice: timedelta(minutes=dice.randrange(5000)), CELLS),
    Kind(lambda dice: Formula("B1*2", dice.randrange(99)), CELLS),
    Kind(lambda dice: Formula("B1&1", "x"), CELLS),
    Kind(lambda dice: dice.choice(CELLS)),
]


def same_in_excel(source, value):
    if isinstance(source, Formula):
        return same_in_excel(source.value, value)
    if isinstance(source, Error):
        return value is None
    if source in ("", None) and not isinstance(source, bool | int | float):
        return value is None
    if isinstance(source, date) and not isinstance(source, datetime):
        source = datetime.combine(source, time()) if isinstance(value, datetime) else source
        return same(source, value) or value == f"{source}T00:00:00"
    if isinstance(source, timedelta):
        return value == str(source)
    return same(source, value)


@SEEDED
def test_values_of_excel(warehouse, tmp_path, seed):
    place = Place(tmp_path, "files", {"folder": "data"}, destination=warehouse)
    (place.project / "data").mkdir()
    tables = named(tables_of(EXCEL, random.Random(seed)))
    for table, columns in tables.items():
        rows = [list(row) for row in zip(range(ROWS), *columns.values(), strict=True)]
        write_book(place.project / "data" / f"{table}.xlsx", [["id", *columns], *rows])
    print(round_trip(place, tables, same_in_excel))
