"""What a cursor sees: rows of its last value again, late ones as far as it looks back; what is kept stays small."""

import sqlite3

import pytest

from tests.nodes.connections.loads import Place, as_source, as_warehouse, ask_postgres


@pytest.fixture(params=["duckdb", "postgres"])
def place(request, cluster, tmp_path):
    ask_postgres(
        cluster.url,
        "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS shop CASCADE; "
        "DROP SCHEMA IF EXISTS shop_staging CASCADE; CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text)",
    )
    destination = {"destination": as_warehouse(cluster)} if request.param == "postgres" else {}
    made = Place(tmp_path, "sql_database", as_source(cluster), **destination)
    made.ask = lambda statement: ask_postgres(cluster.url, statement)
    return made


def rows(place):
    return place.rows("SELECT id, v FROM shop.t ORDER BY id, v")


@pytest.mark.parametrize("mode", ["incremental", "merge"])
def test_rows_of_the_last_value_that_came_later_or_changed_are_there_once(place, mode):
    key = {"primary_key": ["id"]} if mode == "merge" else {}
    stream = {"name": "t", "mode": mode, "cursor": "at", **key}
    place.ask("INSERT INTO t VALUES (1, '2026-01-01 09:00+00', 'a'), (2, '2026-01-01 10:00+00', 'b')")
    assert place.loaded(stream)["t"]["rows"] == 2
    place.ask("INSERT INTO t VALUES (3, '2026-01-01 10:00+00', 'c')")
    place.ask("UPDATE t SET v = 'B' WHERE id = 2")
    told = place.loaded(stream)["t"]
    assert rows(place) == [(1, "a"), (2, "B"), (3, "c")]
    if mode == "incremental":
        assert (told["rows"], told["rows_again"]) == (1, 1)
        idle = place.loaded(stream)["t"]
        assert (idle["rows"], idle["rows_again"]) == (0, 2) and len(rows(place)) == 3


@pytest.mark.parametrize("mode", ["incremental", "merge"])
def test_a_row_that_was_committed_late_is_found_by_looking_back(place, mode):
    key = {"primary_key": ["id"]} if mode == "merge" else {}
    stream = {"name": "t", "mode": mode, "cursor": "at", **key}
    place.ask("INSERT INTO t VALUES (1, '2026-01-01 09:00+00', 'a'), (2, '2026-01-01 10:00+00', 'b')")
    place.loaded(stream)
    place.ask("INSERT INTO t VALUES (3, '2026-01-01 09:45+00', 'late')")
    place.loaded(stream)
    assert len(rows(place)) == 2  # what a cursor cannot see
    place.loaded({**stream, "look_back": 1800})
    place.loaded({**stream, "look_back": 1800})
    assert rows(place) == [(1, "a"), (2, "b"), (3, "late")]


def test_looking_back_by_numbers_and_days(tmp_path):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    with sqlite3.connect(place.project / "shop.db") as db:
        db.execute("CREATE TABLE n (id INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO n VALUES (?)", [(1,), (50,), (100,)])
    stream = {"name": "n", "mode": "incremental", "cursor": "id", "look_back": 20}
    place.loaded(stream)
    with sqlite3.connect(place.project / "shop.db") as db:
        db.executemany("INSERT INTO n VALUES (?)", [(60,), (85,), (110,)])
    assert place.loaded(stream)["n"]["rows"] == 2
    assert place.rows("SELECT id FROM shop.n ORDER BY 1") == [(1,), (50,), (85,), (100,), (110,)]


def test_a_cursor_with_one_value_for_all_rows_keeps_none_of_them_and_this_is_reported(tmp_path):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    with sqlite3.connect(place.project / "shop.db") as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, day INTEGER)")
        db.executemany("INSERT INTO t VALUES (?, 1)", [(number,) for number in range(30_000)])
    stream = {"name": "t", "mode": "incremental", "cursor": "day"}
    for _ in range(3):
        place.loaded(stream)
    assert place.one("SELECT count(*), count(DISTINCT id) FROM shop.t") == (30_000, 30_000)
    assert place.one("SELECT max(length(state)) < 5000 FROM shop._dlt_pipeline_state") == (True,)
    assert "30,000 rows of t have the last value of the cursor day" in place.log.decode()


def test_old_rows_in_the_tables_of_dlt_are_pruned(tmp_path):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    with sqlite3.connect(place.project / "shop.db") as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    for number in range(24):
        with sqlite3.connect(place.project / "shop.db") as db:
            db.execute("INSERT INTO t VALUES (?)", (number,))
        place.loaded({"name": "t", "mode": "incremental", "cursor": "id"}, *(["other"] if not number else []))
    for table in ("_dlt_pipeline_state", "_dlt_loads", "_dlt_version"):
        assert place.one(f"SELECT count(*) FROM shop.{table}")[0] <= 22, table
    assert place.one("SELECT count(*) FROM shop.t") == (24,)
