"""Random values of every type of the databases arrive equal in both warehouses, or their column is refused by name.

DEX_TEST_SCALE makes more of them: with 25, ten thousand values go each way.
"""

import random
import sqlite3
from contextlib import closing
from uuid import UUID

import pytest

from tests.helpers.servers import require
from tests.nodes.connections.loads import Place, as_source, ask_postgres
from tests.nodes.connections.round_trips import (
    ROWS,
    SEEDS,
    Kind,
    moment,
    number,
    round_trip,
    same,
    tables_of,
    text,
    texts,
)
from tests.nodes.connections.servers import MariaDb

SEEDED = pytest.mark.parametrize("seed", SEEDS)


def whole(bits, signed=True):
    return Kind(
        lambda dice: str(dice.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else dice.randrange(2**bits)),
        (str(-(2 ** (bits - 1))), str(2 ** (bits - 1) - 1)) if signed else ("0", str(2**bits - 1)),
    )


def one_of(*words):
    return Kind(lambda dice: dice.choice(words))


#: type -> its values, as text that PostgreSQL reads.
POSTGRESQL = {
    "smallint": whole(16),
    "integer": whole(32),
    "bigint": whole(64),
    "numeric": Kind(lambda dice: number(dice, 20, 6), ("NaN", "1e-12", "1e40", "0.000000001", "Infinity")),
    "numeric(12,4)": Kind(lambda dice: number(dice, 12, 4), ("-0.0001", "99999999.9999")),
    "numeric(38,0)": Kind(lambda dice: number(dice, 38, 0), ("-" + "9" * 38, "9" * 38)),
    "numeric(60,20)": Kind(lambda dice: number(dice, 60, 20), alone=True),
    "real": Kind(lambda dice: repr(dice.uniform(-1e6, 1e6)), ("1e-30", "3.4e38", "Infinity", "NaN")),
    "double precision": Kind(
        lambda dice: repr(dice.uniform(-1e12, 1e12)), ("5e-324", "1.7976931348623157e308", "-Infinity", "NaN")
    ),
    "boolean": one_of("true", "false"),
    "text": Kind(text, ("", " ", "NULL", "\\N")),
    "varchar(20)": Kind(text, ("",)),
    "char(12)": Kind(text, ("",)),
    "date": Kind(
        lambda dice: moment(dice).date().isoformat(), ("0001-01-01", "9999-12-31", "infinity", "0044-03-15 BC")
    ),
    "time": Kind(lambda dice: moment(dice).time().isoformat(), ("00:00:00", "23:59:59.999999", "24:00:00")),
    "timetz": Kind(lambda dice: f"{moment(dice).time().isoformat()}+05:30", ("24:00:00-11:00",)),
    "timestamp": Kind(
        lambda dice: moment(dice).isoformat(), ("0001-01-01", "infinity", "-infinity", "12026-01-01")
    ),
    "timestamptz": Kind(
        lambda dice: f"{moment(dice).isoformat()}+00", ("infinity", "2026-03-29 02:30:00+01", "9999-12-31 23:00-05")
    ),
    "uuid": Kind(lambda dice: str(UUID(int=dice.getrandbits(128)))),
    "bytea": Kind(lambda dice: "\\x" + dice.randbytes(dice.randrange(9)).hex(), ("\\x00",)),
    "interval": Kind(lambda dice: f"{dice.randrange(-9, 9)} mons {dice.randrange(40)} days {moment(dice).time()}"),
    "json": Kind(
        lambda dice: f'{{"a": [{number(dice, 12, 4)}, {dice.randrange(99)}], "b": null}}',
        ("1.234567890123456789012345", '{"n": 123456789012345678901234567890.5}', '"a"', "[]", "null"),
    ),
    "jsonb": Kind(lambda dice: f'{{"a": [{number(dice, 12, 4)}]}}', ("1.234567890123456789012345", '["é", {}]')),
    "numeric[]": Kind(lambda dice: f"{{{number(dice, 9, 4)},NULL,{number(dice, 30, 9)}}}", ("{}",)),
    "text[]": Kind(lambda dice: f'{{"{dice.randrange(99)}",é}}'),
    "int4range": Kind(lambda dice: f"[{dice.randrange(9)},{dice.randrange(9, 20)})", ("empty", "(,5)")),
    "inet": Kind(lambda dice: f"10.0.{dice.randrange(256)}.{dice.randrange(256)}/24"),
    "bit varying(40)": Kind(lambda dice: f"{dice.getrandbits(33):b}"),
    "money": Kind(lambda dice: number(dice, 8, 2)),
    "point": Kind(lambda dice: f"({dice.random()},{dice.random()})"),
    "xml": one_of("<a>1</a>", "<b/>"),
}  # fmt: skip


def created(kinds, dice, literal):
    """The statements that make tables of random values, and their columns: table -> column -> its type.

    In: `kinds`, type -> Kind; `literal`, makes a literal of a value of a type.
    """
    names, statements, made = list(kinds), [], {}
    for table, columns in tables_of(list(kinds.values()), dice).items():
        made[table] = {f"v{number}": names[number] for number in columns}
        declared = "".join(f", v{number} {names[number]} NULL" for number in columns)
        cells = [[literal(each, names[number]) for each in values] for number, values in columns.items()]
        rows = ", ".join(f"({n}, {', '.join(row)})" for n, row in enumerate(zip(*cells, strict=True)))
        statements += [f"CREATE TABLE {table} (id int PRIMARY KEY{declared})", f"INSERT INTO {table} VALUES {rows}"]
    return statements, made


def shown(made, ask, show):
    """What the source itself says of its values: table -> column -> values as text. In: `show`, an expression of it."""
    return {
        table: {
            name: [row[0] for row in ask(f"SELECT {show(kind).format(name)} FROM {{}}.{table} ORDER BY id")]
            for name, kind in columns.items()
        }
        for table, columns in made.items()
    }


@SEEDED
def test_values_of_postgresql(cluster, warehouse, tmp_path, seed):
    def literal(value, kind):
        return "NULL" if value is None else "'" + value.replace("'", "''") + f"'::{kind}"

    statements, made = created(POSTGRESQL, random.Random(seed), literal)
    ask_postgres(cluster.url, "; ".join(["DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public", *statements]))
    tables = shown(
        made,
        lambda statement: ask_postgres(cluster.url, "SET TIME ZONE 'UTC'; " + statement.format("public")),
        lambda kind: {"numeric[]": "to_json({})::text", "text[]": "to_json({})::text", "char(12)": "{}"}.get(
            kind, "{}::text"
        ),
    )
    place = Place(tmp_path, "sql_database", as_source(cluster), destination=warehouse)
    print(round_trip(place, tables))
    assert {made["usual"][name] for name in texts(place)} == {
        "text", "varchar(20)", "char(12)", "timetz", "uuid", "interval", "int4range", "inet", "bit varying(40)",
        "money", "point", "xml",
    }  # fmt: skip


#: type -> its values, as literals of MariaDB.
MARIADB = {
    "tinyint": whole(8),
    "tinyint(1)": one_of("0", "1", "7", "-128"),
    "boolean": one_of("0", "1"),
    "smallint unsigned": whole(16, signed=False),
    "mediumint": whole(24),
    "int unsigned": whole(32, signed=False),
    "bigint": whole(64),
    "bigint unsigned": Kind(lambda dice: str(dice.randrange(2**63)), (str(2**64 - 1), str(2**63))),
    "decimal(12,4)": Kind(lambda dice: number(dice, 12, 4)),
    "decimal(38,10)": Kind(lambda dice: number(dice, 38, 10)),
    "decimal(65,30)": Kind(lambda dice: number(dice, 65, 30), alone=True),
    "float": Kind(lambda dice: repr(dice.uniform(-1e6, 1e6)), ("1e-30", "3.4e38", "16777216")),
    "double": Kind(lambda dice: repr(dice.uniform(-1e12, 1e12)), ("5e-324", "1.7976931348623157e308")),
    "bit(1)": one_of("b'0'", "b'1'"),
    "bit(64)": Kind(lambda dice: str(dice.getrandbits(62)), (str(2**64 - 1),)),
    "date": Kind(lambda dice: f"'{moment(dice).date()}'", ("'0000-00-00'", "'2026-00-00'", "'9999-12-31'")),
    "datetime(6)": Kind(lambda dice: f"'{moment(dice)}'", ("'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'")),
    "datetime": Kind(lambda dice: f"'{moment(dice).replace(microsecond=0)}'", ("'2026-02-00 10:00:00'",)),
    "timestamp(6)": Kind(
        lambda dice: f"'{dice.randrange(1971, 2037)}-{moment(dice):%m-%d %H:%M:%S.%f}'", ("'0000-00-00 00:00:00'",)
    ),
    "time(6)": Kind(
        lambda dice: f"'{moment(dice).time()}'", ("'-120:00:00'", "'838:59:59'", "'24:00:00'", "'-00:00:00.5'")
    ),
    "year": Kind(lambda dice: str(dice.randrange(1901, 2155)), ("0",)),
    "char(12)": Kind(lambda dice: literal(text(dice))),
    "varchar(40)": Kind(lambda dice: literal(text(dice)), ("''",)),
    "longtext": Kind(lambda dice: literal(text(dice)), ("' '",)),
    "varchar(20) character set latin1": one_of("'é'", "'ü ß'", "''"),
    "json": Kind(lambda dice: f"'{{\"a\": {number(dice, 12, 4)}}}'", ("'[1.234567890123456789012345]'", "'null'")),
    "enum('a','b','','é')": one_of("'a'", "'b'", "''", "'é'"),
    "set('a','b','c')": one_of("'a'", "'c,a'", "''"),
    "binary(4)": Kind(lambda dice: f"x'{dice.randbytes(4).hex()}'"),
    "varbinary(20)": Kind(lambda dice: f"x'{dice.randbytes(dice.randrange(9)).hex()}'", ("x'00'",)),
    "longblob": Kind(lambda dice: f"x'{dice.randbytes(dice.randrange(9)).hex()}'"),
    "uuid": Kind(lambda dice: f"'{UUID(int=dice.getrandbits(128))}'"),
    "inet6": one_of("'::1'", "'2001:db8::ff'"),
}  # fmt: skip


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


UTC_TIME = "SET time_zone = '+00:00'"


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    require(mariadbd=MariaDb.programs())
    server = MariaDb(tmp_path_factory.mktemp("mariadb"))
    yield server
    server.close()


@SEEDED
def test_values_of_mariadb(mariadb, warehouse, tmp_path, seed):
    def show(kind):
        if kind == "float":
            return "CAST(CAST({} AS DOUBLE) AS CHAR)"
        if kind.startswith("bit("):
            return "CAST({} + 0 AS CHAR)"
        return "LOWER(HEX({}))" if "binary" in kind or "blob" in kind else "CAST({} AS CHAR)"

    statements, made = created(MARIADB, random.Random(seed), lambda value, _: value or "NULL")
    begin = ["DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "USE shop", UTC_TIME, "SET sql_mode = ''"]
    mariadb.ask(*begin, *statements, *mariadb.reader("shop"))
    tables = shown(made, lambda statement: mariadb.ask(UTC_TIME, statement.format("shop")), show)
    place = Place(tmp_path, "sql_database", mariadb.source("shop"), destination=warehouse)
    print(round_trip(place, tables))
    of_text = ("char", "varchar", "longtext", "json", "enum", "set", "uuid", "inet6")  # its JSON is a text
    as_text = {made["usual"][name] for name in texts(place)}
    assert as_text == {kind for kind in MARIADB if kind.split("(")[0].split(" ")[0] in of_text}


#: Values of any type, as Python gives them to SQLite: it keeps any of them in nearly any column.
ANY = [
    0, 1, 2, -1, 2**53 + 1, 2**63 - 1, -(2**63), 1.5, 0.1, 1.239, 1e300, 1e16, 5e-324, float("inf"), "", " ", "abc",
    "7", "1.50", "é漢😀", b"", b"\x00\xff", b"abc", "2026-01-01", "2026-02-30", "0000-00-00", "2026-01-01 10:00:00",
    "2026-01-01 10:00", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00+02:00", "2026-01-01 10:00:00.123456789",
    "20260101",
    "10:30:00", "24:00:00", "10:30", "12:00:00+02:00", "true", "false", "NULL", "infinity", 2460000.5, 1767225600,
    "123456789012345678901234567890", "0x1F", "1e5", "NaN",
]  # fmt: skip
#: declared type -> values that belong there
SQLITE = {
    "INTEGER": Kind(lambda dice: dice.randrange(-(2**63), 2**63), ANY),
    "INT": Kind(lambda dice: dice.randrange(99), ANY),
    "REAL": Kind(lambda dice: dice.uniform(-1e9, 1e9), ANY),
    "DOUBLE": Kind(lambda dice: float(dice.randrange(99)), ANY),
    "TEXT": Kind(text, ANY),
    "VARCHAR(20)": Kind(text, ANY),
    "BLOB": Kind(lambda dice: dice.randbytes(dice.randrange(9)), ANY),
    "NUMERIC": Kind(lambda dice: dice.choice((dice.randrange(99), round(dice.random(), 6))), ANY),
    "DECIMAL(10,2)": Kind(lambda dice: dice.choice((dice.randrange(99), round(dice.uniform(0, 99), 2))), ANY),
    "BOOLEAN": Kind(lambda dice: dice.randrange(2), ANY),
    "DATE": Kind(lambda dice: moment(dice).date().isoformat(), ANY),
    "DATETIME": Kind(lambda dice: moment(dice).isoformat(dice.choice(" T")), ANY),
    "TIMESTAMP": Kind(lambda dice: str(moment(dice)), ANY),
    "TIME": Kind(lambda dice: moment(dice).time().isoformat(), ANY),
    "JSON": Kind(lambda dice: f'{{"a": {number(dice, 30, 20)}}}', ANY),
    "": Kind(lambda dice: dice.choice(ANY), ANY),
    "FANCY": Kind(lambda dice: dice.randrange(99), ANY),
}


def same_in_sqlite(source, value):
    if isinstance(value, bool):
        return source in (0, 1) and value == bool(source)
    if source == "" or (isinstance(source, float) and isinstance(value, str)):
        return str(source) == value or repr(source) == value
    if value.__class__.__name__ == "datetime" and isinstance(source, str) and len(source) == 10:
        return value.isoformat(" ") == f"{source} 00:00:00"
    return same(source, value)


@SEEDED
def test_values_of_sqlite(warehouse, tmp_path, seed):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"}, destination=warehouse)
    kinds, tables = list(SQLITE), {}
    with closing(sqlite3.connect(place.project / "shop.db")) as source:
        for table, columns in tables_of(list(SQLITE.values()), random.Random(seed)).items():
            declared = "".join(f", v{number} {kinds[number]}" for number in columns)
            source.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY{declared})")
            rows = zip(range(ROWS), *columns.values(), strict=True)
            source.executemany(f"INSERT INTO {table} VALUES (?{', ?' * len(columns)})", rows)
            there = list(zip(*source.execute(f"SELECT * FROM {table} ORDER BY id"), strict=True))
            tables[table] = {f"v{number}": list(values) for number, values in zip(columns, there[1:], strict=True)}
        source.commit()
    print(round_trip(place, tables, same_in_sqlite))
    assert {kinds[int(name[1:])] for name in texts(place)} == {"TEXT", "VARCHAR(20)", ""}
