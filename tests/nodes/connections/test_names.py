"""Names that the warehouse would have as one: told with both of them, never merged in silence; renamed or left out."""

import json
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.connections.connectors.streams import column_identifier
from tests.nodes.connections.loads import Place


@pytest.fixture
def folder(tmp_path):
    place = Place(tmp_path, "files", {"folder": "data"})
    (place.project / "data").mkdir()
    return place


def write(place, *rows):
    (place.project / "data" / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("row", "both"),
    [
        ({"userId": 1, "user_id": 2}, ("userId", "user_id")),
        ({"Amount": 1, "amount": 2}, ("Amount", "amount")),
        ({"a": {"b": 1}, "a__b": 2}, ("a.b", "a__b")),
        ({"a": {"userId": 1, "user_id": 2}}, ("a.userId", "a.user_id")),
        ({"l": [{"p": 1, "P": 2}]}, ("l.[].p", "l.[].P")),
        ({"a b": 1, "a-b": 2}, ("a b", "a-b")),
    ],
    ids=range(6),
)
def test_two_keys_that_become_one_name_are_reported_and_nothing_is_loaded(folder, row, both):
    write(folder, {"id": 1, **row})
    kind, said = folder.failed("events")
    assert kind == "schema" and all(name in said for name in both)
    assert "Rename one in the settings of this table, or exclude it" in said


def test_keys_that_collide_in_different_rows_are_reported_too(folder):
    write(folder, {"id": 1, "userId": 1}, {"id": 2, "user_id": 2})
    assert "userId and user_id" in folder.failed("events")[1]


def test_a_name_that_dlt_reserves_is_reported(folder):
    write(folder, {"id": 1, "_dlt_load_id": "mine"})
    assert "_dlt_load_id of events has a name that is reserved for dlt" in folder.failed("events")[1]


def test_a_column_is_renamed_or_left_out_and_both_values_arrive(folder):
    write(folder, {"id": 1, "userId": 10, "user_id": 20}, {"id": 2, "userId": 11})
    folder.loaded({"name": "events", "rename": {"userId": "customer_id"}})
    assert folder.rows("SELECT id, customer_id, user_id FROM shop.events ORDER BY 1") == [(1, 10, 20), (2, 11, None)]
    folder.loaded({"name": "events", "columns": ["id", "userId"], "refresh": True})
    assert folder.rows("SELECT id, user_id FROM shop.events ORDER BY 1") == [(1, 10), (2, 11)]


@pytest.mark.parametrize("mode", ["replace", "merge", "incremental"])
def test_columns_of_tables_collide_and_are_renamed_with_keys_and_cursors(tmp_path, mode):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    with sqlite3.connect(place.project / "shop.db") as db:
        db.execute('CREATE TABLE t (userId INTEGER, "user_id" TEXT, "a__b" INTEGER)')
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, f"x{n}", n * 2) for n in range(3)])
    stream = {"name": "t", "mode": mode}
    if mode == "merge":
        stream |= {"primary_key": ["userId"]}
    if mode != "replace":
        stream |= {"cursor": "userId"}
    kind, said = place.failed(stream)
    assert kind == "schema" and "userId and user_id" in said
    place.loaded({**stream, "rename": {"userId": "number"}})
    with sqlite3.connect(place.project / "shop.db") as db:
        db.execute("INSERT INTO t VALUES (3, 'x3', 6)")
    place.loaded({**stream, "rename": {"userId": "number"}})
    rows = place.rows("SELECT number, user_id, a__b FROM shop.t ORDER BY 1")
    assert rows == [(0, "x0", 0), (1, "x1", 2), (2, "x2", 4), (3, "x3", 6)]


def test_columns_of_files_collide(folder):
    (folder.project / "data" / "a.csv").write_text("userId,user_id\n1,2\n")
    assert "userId and user_id of a would both be user_id" in folder.failed("a")[1]
    folder.loaded({"name": "a", "rename": {"user_id": "other"}})
    assert folder.one("SELECT user_id, other FROM shop.a") == (1, 2)


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=20))
def test_names_are_those_of_dlt(name):
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    if name.replace("_", "").strip():
        assert column_identifier(name) == NamingConvention(None).normalize_path(name)
