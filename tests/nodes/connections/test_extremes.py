"""Values at the edge: carried over exactly, or refused with table, column, row, value and what to do."""

import sqlite3
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal

import pytest

from tests.helpers.servers import require
from tests.nodes.connections.loads import Place, as_source, as_warehouse, ask_postgres
from tests.nodes.connections.servers import MariaDb


@pytest.fixture
def shop(cluster):
    def make(kind, *values, more=""):
        ask_postgres(
            cluster.url,
            "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS shop CASCADE; "
            f"DROP SCHEMA IF EXISTS shop_staging CASCADE; CREATE TABLE t (id int PRIMARY KEY, v {kind}{more}); "
            + "".join(f"INSERT INTO t VALUES ({n}, {value}); " for n, value in enumerate(values, 1)),
        )

    return make


@pytest.fixture(params=["duckdb", "postgres"])
def place(request, cluster, tmp_path):
    destination = {"destination": as_warehouse(cluster)} if request.param == "postgres" else {}
    return Place(tmp_path, "sql_database", as_source(cluster), **destination)


def read(place):
    return [row[0] for row in place.rows("SELECT v FROM shop.t ORDER BY id")]


ODD = [
    ("timestamp", "'2026-01-01 10:00'", "'infinity'"),
    ("timestamptz", "'2026-01-01 10:00+00'", "'-infinity'"),
    ("date", "'2026-01-01'", "'infinity'"),
    ("date", "'2026-01-01'", "'0044-03-15 BC'"),
    ("timestamp", "'2026-01-01'", "'12026-01-01'"),
    ("time", "'10:00'", "'24:00:00'"),
    ("numeric", "1.5", "0.1234567890123"),
    ("numeric", "1.5", "'NaN'"),
    ("numeric", "1.5", "'Infinity'"),
    ("numeric", "1.5", "1234567890123456789012345678901.5"),
]


def test_a_value_that_fits_no_column_is_refused_with_its_row_and_can_be_loaded_as_text(place, shop, cluster):
    shop("int")
    for number, (kind, good, odd) in enumerate(ODD):
        name = f"t{number}"
        ask_postgres(
            cluster.url,
            f"CREATE TABLE {name} (id int PRIMARY KEY, v {kind}); INSERT INTO {name} VALUES (1, {good}), (2, {odd})",
        )
    names = [f"t{number}" for number in range(len(ODD))]
    said = {event["stream"]: event for event in place.load(*names).done}
    place.loaded(*({"name": name, "types": {"v": "text"}} for name in names))
    for name, (_, _, odd) in zip(names, ODD, strict=True):
        value = odd.strip("'")
        assert said[name]["kind"] == "data", said[name]
        assert f"{name}, column v, the row with id 2: {value[:10]}" in said[name]["message"]
        assert "Choose another type" in said[name]["message"]
        assert place.rows(f"SELECT v FROM shop.{name} WHERE id = 2")[0][0].startswith(value)


def test_a_cursor_never_jumps_to_the_end_of_time(place, shop, cluster):
    shop("timestamp", "'2026-01-01 10:00'", "'infinity'")
    stream = {"name": "t", "mode": "incremental", "cursor": "v"}
    assert "column v, the row with id 2: infinity" in place.failed(stream)[1]
    only = {**stream, "row_filter": [{"column": "id", "op": "!=", "value": 2}]}
    assert place.loaded(only)["t"]["cursor_after"].startswith("2026-01-01T10:00:00")
    ask_postgres(cluster.url, "INSERT INTO t VALUES (3, '2026-01-02')")
    assert place.loaded(only)["t"]["rows"] == 1


def test_a_time_with_a_zone_keeps_it_as_text_and_this_is_reported(place, shop):
    shop("timetz", "'10:00:00+05:30'", "NULL")
    place.loaded("t")
    assert read(place) == ["10:00:00+05:30", None]
    assert "The column v is a time with a zone. It is loaded as text" in place.log.decode()


def test_numbers_of_forty_digits_are_reported_before_anything_is_read(place, shop):
    shop("numeric(40,20)", "12345678901234567890.12345678901234567890")
    said = place.failed("t")
    assert said[0] == "schema" and "The column v of t is NUMERIC(40, 20)" in said[1] and "at most 38 digits" in said[1]
    assert "does not fit" in place.failed({"name": "t", "types": {"v": "decimal(38,10)"}})[1]
    place.loaded({"name": "t", "types": {"v": "double"}})
    assert read(place) == [12345678901234567890.12345678901234567890]
    assert "The column v is loaded as double, as you chose" in place.log.decode()
    place.loaded({"name": "t", "types": {"v": "text"}, "rename": {"v": "w"}})
    assert place.rows("SELECT w FROM shop.t") == [("12345678901234567890.12345678901234567890",)]


def test_a_number_fits_the_decimal_that_was_chosen_or_is_refused(place, shop):
    shop("numeric", "0.12345678901", "1")
    place.loaded({"name": "t", "types": {"v": "decimal(38,11)"}})
    assert read(place) == [Decimal("0.12345678901"), Decimal(1)]


def test_usual_values_come_as_before(place, shop):
    shop("timestamp", "'2026-01-01 10:00:00.123456'", "'0001-01-01'", "'9999-12-31 23:59:59.999999'", "NULL")
    place.loaded("t")
    assert read(place) == [
        datetime(2026, 1, 1, 10, 0, 0, 123456),
        datetime(1, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
        None,
    ]
    shop("time", "'00:00:00'", "'23:59:59.999999'", "NULL")
    place.loaded({"name": "t", "refresh": True})
    assert read(place) == [time(0), time(23, 59, 59, 999999), None]
    shop("date", "'0001-01-01'", "'9999-12-31'")
    place.loaded({"name": "t", "refresh": True})
    assert read(place) == [date(1, 1, 1), date(9999, 12, 31)]


def test_times_of_mariadb_that_are_no_times_of_a_day_are_reported_and_loaded_as_text(tmp_path):
    require(mariadbd=MariaDb.programs())
    server = MariaDb(tmp_path)
    try:
        server.ask(
            "CREATE DATABASE shop",
            "CREATE TABLE shop.t (id int PRIMARY KEY, v time(6), d date)",
            "INSERT INTO shop.t VALUES (1, '10:00:00.5', '2026-01-01'), (2, '23:59:59', NULL)",
            *server.reader("shop"),
        )
        place = Place(tmp_path, "sql_database", server.source("shop"))
        place.loaded("t")
        assert place.rows("SELECT v FROM shop.t ORDER BY id") == [(time(10, 0, 0, 500000),), (time(23, 59, 59),)]
        for odd in ("-120:00:00", "838:59:59", "24:00:00"):
            server.ask(f"UPDATE shop.t SET v = '{odd}' WHERE id = 2")
            assert f"t, column v, the row with id 2: {odd}" in place.failed("t")[1]
        place.loaded({"name": "t", "types": {"v": "text"}, "rename": {"v": "w"}})
        assert place.rows("SELECT w FROM shop.t WHERE id = 2") == [("24:00:00.000000",)]
        server.ask("SET sql_mode = ''", "UPDATE shop.t SET v = '00:00:00', d = '0000-00-00' WHERE id = 2")
        assert "t, column d, the row with id 2: 0000-00-00" in place.failed("t")[1]
    finally:
        server.close()


ODD_IN_SQLITE = [
    ("DATE", "2026-02-30"),
    ("DATE", "2026-01-01 10:30:00"),
    ("DATETIME", "2026-01-01 10:00:00.123456789"),
    ("DATETIME", 1767225600),
    ("TIME", "24:00:00"),
    ("BOOLEAN", 5),
    ("INTEGER", "abc"),
    ("DECIMAL(10,2)", 1.239),
    ("TEXT", b"abc"),
]


def test_values_of_sqlite_that_are_not_of_their_columns_type_are_refused_with_their_row_and_loaded_as_text(tmp_path):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    with closing(sqlite3.connect(place.project / "shop.db")) as source:
        for n, (kind, value) in enumerate(ODD_IN_SQLITE):
            source.execute(f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, v {kind})")
            source.executemany(f"INSERT INTO t{n} VALUES (?, ?)", [(1, None), (2, value)])
        source.commit()
    names = [f"t{n}" for n in range(len(ODD_IN_SQLITE))]
    said = {event["stream"]: event["message"] for event in place.load(*names).done}
    place.loaded(*({"name": name, "types": {"v": "text"}} for name in names))
    for name, (_, value) in zip(names, ODD_IN_SQLITE, strict=True):
        shown = value.decode() if isinstance(value, bytes) else str(value)
        assert f"{name}, column v, the row with id 2: {shown} does not fit its type. Choose another type" in said[name]
        kept = "x'616263'" if isinstance(value, bytes) else str(value)
        assert place.rows(f"SELECT v FROM shop.{name} WHERE id = 2") == [(kept,)]


def test_an_hour_of_autumn_that_mariadb_shows_twice_is_two_moments(tmp_path):
    require(mariadbd=MariaDb.programs())
    server = MariaDb(tmp_path)
    try:
        server.ask(
            "CREATE DATABASE shop",
            "SET GLOBAL time_zone = '+02:00'",
            "CREATE TABLE shop.t (id int PRIMARY KEY, v timestamp(6) NULL, f float)",
            "SET time_zone = '+00:00'",
            "INSERT INTO shop.t VALUES (1, '2026-10-25 00:30:00', 16777216), (2, '2026-10-25 01:30:00', 1.1)",
            *server.reader("shop"),
        )
        place = Place(tmp_path, "sql_database", server.source("shop"))
        place.loaded("t")
        assert place.rows("SELECT epoch(v), f FROM shop.t ORDER BY id") == [
            (1792888200.0, 16777216.0),
            (1792891800.0, 1.100000023841858),
        ]
    finally:
        server.close()
