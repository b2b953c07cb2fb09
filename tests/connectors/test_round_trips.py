"""Random values of every type of PostgreSQL arrive equal in both warehouses, or their column is refused by name.

DEX_TEST_SCALE makes more of them: with 25, ten thousand values go each way.
"""

import os
import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.connectors.loads import Place, as_source, as_warehouse, ask_postgres

SCALE = int(os.environ.get("DEX_TEST_SCALE", "1"))
ROWS = 20


def moment(dice):
    return datetime(1, 1, 1) + timedelta(days=dice.randrange(3_652_058), microseconds=dice.randrange(86_400_000_000))


def text(dice):
    letters = "aZ0 '\"\\,;\n\t%_é漢😀\u200b"
    return "".join(dice.choice(letters) for _ in range(dice.randrange(12)))


def number(dice, digits, scale):
    sign = dice.choice(("", "-"))
    return f"{sign}{dice.randrange(10 ** (digits - scale))}.{dice.randrange(10**scale):0{scale}}" if scale else (
        f"{sign}{dice.randrange(10**digits)}"
    )  # fmt: skip


#: type -> (usual values, values at the edge), as text that PostgreSQL reads.
KINDS = {
    "smallint": (lambda dice: str(dice.randrange(-(2**15), 2**15)), ("-32768", "32767")),
    "integer": (lambda dice: str(dice.randrange(-(2**31), 2**31)), ("-2147483648", "2147483647")),
    "bigint": (lambda dice: str(dice.randrange(-(2**63), 2**63)), ("-9223372036854775808", "9223372036854775807")),
    "numeric": (lambda dice: number(dice, 20, 6), ("NaN", "1e-12", "1e40", "0.000000001", "Infinity")),
    "numeric(12,4)": (lambda dice: number(dice, 12, 4), ("-0.0001", "99999999.9999")),
    "numeric(38,0)": (lambda dice: number(dice, 38, 0), ("-" + "9" * 38, "9" * 38)),
    "real": (lambda dice: repr(dice.uniform(-1e6, 1e6)), ("1e-30", "3.4e38")),
    "double precision": (lambda dice: repr(dice.uniform(-1e12, 1e12)), ("5e-324", "1.7976931348623157e308")),
    "boolean": (lambda dice: dice.choice(("true", "false")), ()),
    "text": (text, ("", " ", "NULL", "\\N")),
    "varchar(20)": (text, ("",)),
    "date": (lambda dice: moment(dice).date().isoformat(), ("0001-01-01", "9999-12-31", "infinity", "0044-03-15 BC")),
    "time": (lambda dice: moment(dice).time().isoformat(), ("00:00:00", "23:59:59.999999", "24:00:00")),
    "timetz": (lambda dice: f"{moment(dice).time().isoformat()}+05:30", ("24:00:00-11:00",)),
    "timestamp": (lambda dice: moment(dice).isoformat(), ("0001-01-01", "infinity", "-infinity", "12026-01-01")),
    "timestamptz": (lambda dice: f"{moment(dice).isoformat()}+00", ("infinity", "2026-03-29 02:30:00+01")),
    "uuid": (lambda dice: str(UUID(int=dice.getrandbits(128))), ()),
    "bytea": (lambda dice: "\\x" + dice.randbytes(dice.randrange(9)).hex(), ("\\x00",)),
}


def same(kind, source, value):
    """Whether a value of the warehouse is the one whose text PostgreSQL gives."""
    if source is None or value is None:
        return source is value is None
    if isinstance(value, str):  # as text, or by choice
        return value == source
    if isinstance(value, memoryview | bytes):
        return "\\x" + bytes(value).hex() == source
    if isinstance(value, bool):
        return source == str(value).lower()
    if isinstance(value, float):
        return value == float(source) or (kind == "real" and f"{value:.6g}" == f"{float(source):.6g}")
    if isinstance(value, int | Decimal):
        return Decimal(source) == value
    if isinstance(value, datetime):
        there = datetime.fromisoformat(source)
        return there == value if there.tzinfo else there == value.replace(tzinfo=None)
    if isinstance(value, date | time):
        return type(value).fromisoformat(source) == value
    return str(value) == source


@pytest.mark.parametrize("where", ["duckdb", "postgres"])
@pytest.mark.parametrize("seed", range(SCALE))
def test_every_value_arrives_equal_or_its_column_is_refused_by_name(cluster, tmp_path, where, seed):
    dice = random.Random(seed)
    names = {f"t{n}": kind for n, kind in enumerate(KINDS)}
    ask_postgres(
        cluster.url,
        "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS shop CASCADE; "
        "DROP SCHEMA IF EXISTS shop_staging CASCADE",
    )
    for name, kind in names.items():
        usual, edge = KINDS[kind]
        values = [usual(dice) for _ in range(ROWS - 2)] + [None, dice.choice(edge) if edge else usual(dice)]
        quoted = ["NULL" if each is None else "'" + each.replace("'", "''") + "'" for each in values]
        rows = ", ".join(f"({n}, {each}::{kind})" for n, each in enumerate(quoted))
        ask_postgres(
            cluster.url, f"CREATE TABLE {name} (id int PRIMARY KEY, v {kind}); INSERT INTO {name} VALUES {rows}"
        )
    more = {"destination": as_warehouse(cluster)} if where == "postgres" else {}
    place = Place(tmp_path, "sql_database", as_source(cluster), **more)
    place.order["network"] = {"private": True}
    refused = {}
    for event in place.load(*names).done:
        if event["event"] == "stream_failed":
            name = event["stream"]
            assert f"{name}, column v, the row with id" in event["message"], (names[name], event)
            refused[name] = {"name": name, "types": {"v": "text"}}
    if refused:
        place.loaded(*refused.values())
    for name, kind in names.items():
        source = ask_postgres(cluster.url, f"SET TIME ZONE 'UTC'; SELECT id, v::text FROM {name} ORDER BY id")
        found = place.rows(f"SELECT id, v FROM shop.{name} ORDER BY id")
        assert [row[0] for row in found] == [row[0] for row in source]
        wrong = [(a[1], b[1]) for a, b in zip(source, found, strict=True) if not same(kind, a[1], b[1])]
        assert not wrong, (kind, name in refused, wrong[:3])
