"""Folders of files become tables, whole or only what is new; broken files are named and change nothing."""

import json
import os

import duckdb
import pytest

from tests.nodes.connections.api import Api
from tests.nodes.connections.books import Error, write_book
from tests.nodes.connections.loads import Place

HEAD = "id,amount,day,note\n"


def csv(first, last, note="tea"):
    return HEAD + "".join(f'{i},{i * 1.5},2026-01-{1 + i % 28:02},"{note}, ""{i}"""\n' for i in range(first, last))


def parquet(path, first, last):
    path.parent.mkdir(exist_ok=True)
    duckdb.sql(
        f"SELECT range AS id, (range * 1.25)::decimal(10,2) AS amount FROM range({first}, {last})"
    ).write_parquet(str(path))


@pytest.fixture
def folder(tmp_path):
    place = Place(tmp_path, "files", {"folder": "data"})
    data = place.project / "data"
    data.mkdir()
    (data / "orders.csv").write_text(csv(1, 101))
    (data / "events.jsonl").write_text("".join(json.dumps({"id": i, "tags": ["a", "b"]}) + "\n" for i in range(50)))
    (data / "README.md").write_text("not data")
    parquet(data / "facts" / "2025.parquet", 0, 500)
    parquet(data / "facts" / "2026.parquet", 500, 900)
    write_book(data / "prices.xlsx", [["sku", "Price", "since"], ["a", 1.5, "2026-01-01"], ["b", 2, None]])
    return place


def test_every_format_of_a_folder_twice_with_changed_data(folder):
    assert folder.test().ok
    found = folder.discover()
    assert sorted(found) == ["events", "facts", "orders", "prices"]
    assert [column["type"] for column in found["orders"]["columns"]] == ["int64", "double", "date32[day]", "string"]
    assert "id" in found["orders"]["cursor_candidates"]
    streams = (
        {"name": "orders", "mode": "incremental", "cursor": "id"},
        {"name": "events", "mode": "merge", "primary_key": ["id"]},
        {"name": "facts"},
        {"name": "prices", "columns": ["sku", "Price"]},
    )
    folder.loaded(*streams)
    data = folder.project / "data"
    assert folder.one("SELECT count(*), sum(amount), min(note) FROM shop.orders") == (100, 7575.0, 'tea, "1"')
    assert folder.one("SELECT count(*), sum(amount) FROM shop.facts") == (900, duckdb.sql(
        "SELECT sum((range * 1.25)::decimal(10,2)) FROM range(900)").fetchall()[0][0])  # fmt: skip
    assert folder.one("SELECT count(*), (SELECT count(*) FROM shop.events__tags) FROM shop.events") == (50, 100)
    assert folder.rows("SELECT sku, price FROM shop.prices ORDER BY sku") == [("a", 1.5), ("b", 2.0)]

    (data / "orders.csv").write_text(csv(51, 121))
    (data / "events.jsonl").write_text(
        json.dumps({"id": 49, "tags": ["c"]}) + "\n" + json.dumps({"id": 50, "tags": []})
    )
    parquet(data / "facts" / "2025.parquet", 100, 500)
    done = folder.loaded(*streams)
    assert done["orders"]["rows"] == 20
    assert folder.one("SELECT count(*), count(DISTINCT id), max(id) FROM shop.orders") == (120, 120, 120)
    assert folder.one("SELECT count(*), (SELECT count(*) FROM shop.events__tags) FROM shop.events") == (51, 99)
    assert folder.one("SELECT count(*), min(id) FROM shop.facts") == (800, 100)


def test_files_without_rows_make_a_table_where_the_types_of_its_columns_are_known(folder):
    data = folder.project / "data"
    (data / "orders.csv").write_text("id,amount\n")
    parquet(data / "facts" / "2025.parquet", 0, 0)
    parquet(data / "facts" / "2026.parquet", 0, 0)
    write_book(data / "prices.xlsx", [["sku", "Price"]])
    (data / "events.jsonl").write_text("")
    told = folder.loaded("orders", "facts", "prices", "events")
    assert {name: event["rows"] for name, event in told.items()} == dict.fromkeys(told, 0)
    assert folder.one("SELECT count(id), sum(amount) FROM shop.facts") == (0, None)
    for name in ("orders", "prices", "events"):
        said = f"{name} has no rows and its columns are unknown, so no table was created."
        assert said in folder.log.decode()
    (data / "orders.csv").write_text(csv(1, 101))
    (data / "events.jsonl").write_text('{"id": 1}\n')
    parquet(data / "facts" / "2026.parquet", 0, 9)
    folder.loaded("orders", "events", "facts")
    assert folder.one("SELECT count(*), sum(amount) FROM shop.orders") == (100, 7575.0)
    assert folder.one("SELECT (SELECT count(*) FROM shop.events), count(*) FROM shop.facts") == (1, 9)


def test_only_files_that_changed_are_read_again_when_their_time_is_the_cursor(folder):
    data = folder.project / "data" / "days"
    data.mkdir()
    for day in (1, 2):
        (data / f"{day}.csv").write_text(csv(day * 10, day * 10 + 5, f"day {day}"))
        os.utime(data / f"{day}.csv", (1_700_000_000 + day, 1_700_000_000 + day))
    folder.config = {"folder": "data", "file_columns": True, "tables": [{"name": "days", "pattern": "days/*.csv"}]}
    stream = {"name": "days", "mode": "incremental", "cursor": "_file_modified"}
    assert folder.loaded(stream)["days"]["rows"] == 10
    (data / "1.csv").write_text("this is read no more: its time is older\n")
    os.utime(data / "1.csv", (1_600_000_000, 1_600_000_000))
    (data / "3.csv").write_text(csv(30, 35))
    assert folder.loaded(stream)["days"]["rows"] == 5
    assert folder.rows("SELECT _file, count(*) FROM shop.days GROUP BY 1 ORDER BY 1") == [
        ("days/1.csv", 5), ("days/2.csv", 5), ("days/3.csv", 5),
    ]  # fmt: skip


def test_broken_files_are_named_with_their_line_and_nothing_of_them_is_seen(folder):
    data = folder.project / "data"
    folder.loaded("orders")
    before = folder.one("SELECT count(*), sum(amount) FROM shop.orders")
    (data / "ragged.csv").write_text(csv(1, 3000) + "1,2\n" + csv(1, 10)[len(HEAD) :])
    (data / "binary.csv").write_bytes(HEAD.encode() + bytes(range(256)) * 50)
    (data / "huge.csv").write_text(HEAD + f"1,2,2026-01-01,{'x' * 50_000_000}\n")
    (data / "cut.jsonl").write_text('{"id": 1}\n{"id": 2')
    (data / "list.jsonl").write_text('{"id": 1}\n[1, 2]\n')
    (data / "fake.parquet").write_bytes(b"PAR1 no")
    (data / "mock.xlsx").write_bytes(b"PK no")
    (data / "orders.csv").write_text(csv(1, 50) + "nonsense\n")
    outcome = folder.load("ragged", "binary", "huge", "cut", "list", "fake", "mock", "orders", "gone")
    said = {event["stream"]: (event["kind"], event["message"]) for event in outcome.done}
    assert {name: kind for name, (kind, _) in said.items()} == {**dict.fromkeys(said, "data"), "gone": "config"}
    assert said["binary"][1] == "binary.csv: this is not UTF-8 text. Is it a binary file?"
    assert said["huge"][1] == "huge.csv, line 2: it is longer than 16 MiB; is a quote missing?"
    assert said["cut"][1].startswith("cut.jsonl, line 2: this is not JSON: Expecting ")
    assert said["list"][1] == "list.jsonl, line 2: this is not a JSON object."
    assert said["gone"][1] == "The table gone has no files (any more)."
    assert "ragged.csv" in said["ragged"][1]
    assert "orders.csv" in said["orders"][1]
    for _, message in said.values():
        assert str(folder.project) not in message
    assert folder.one("SELECT count(*), sum(amount) FROM shop.orders") == before
    assert [row[0] for row in folder.rows("SHOW TABLES FROM shop") if not row[0].startswith("_dlt")] == ["orders"]


def test_files_elsewhere_are_not_read_whatever_leads_there(folder, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "passwords.csv").write_text(csv(1, 3))
    (folder.project / "data" / "link.csv").symlink_to(tmp_path / "secret" / "passwords.csv")
    (folder.project / "linked").symlink_to(tmp_path / "secret")
    assert "link" not in folder.discover()
    for path in ("../secret", str(tmp_path / "secret"), "linked", "/etc"):
        folder.config = {"folder": path}
        said = folder.test()
        assert (said.kind, "outside the folders" in said.message) == ("permission", True), path
    folder.order["files"] = {"roots": [str(tmp_path / "secret")]}
    folder.config = {"folder": str(tmp_path / "secret")}
    assert folder.test().message == ""
    assert folder.test().ok


def test_a_file_behind_an_address(tmp_path):
    api = Api()
    api.files = {"/orders.csv": ("text/csv", csv(1, 51).encode()), "/page.csv": ("text/html", b"<html>sign in</html>")}
    place = Place(tmp_path, "http_file", {"url": f"{api.url}/orders.csv", "table": "orders"})
    try:
        assert place.test().ok
        assert place.discover()["orders"]["columns"][0] == {"name": "id", "type": "int64"}
        place.loaded("orders")
        api.files["/orders.csv"] = ("text/csv", csv(1, 71).encode())
        place.loaded("orders")
        assert place.one("SELECT count(*), sum(id) FROM shop.orders") == (70, 70 * 71 // 2)
        place.config["url"] = f"{api.url}/page.csv"
        assert place.failed("orders") == (
            "http",
            "page.csv is a web page (HTML), not a data file. Check the URL.",
        )
        assert place.one("SELECT count(*) FROM shop.orders") == (70,)
    finally:
        api.close()


def test_columns_of_a_sheet_with_no_name_or_a_repeated_one_are_reported(folder):
    data = folder.project / "data"
    write_book(data / "a.xlsx", [["sku", "", "price"], ["x", "lost?", 1]])
    write_book(data / "b.xlsx", [["sku", "price", "price", "sku"], ["x", 1, 2, "y"]])
    write_book(data / "c.xlsx", [["sku", "", "price"], ["x", None, 1]])
    said = {event["stream"]: event.get("message") for event in folder.load("a", "b", "c").done}
    assert said["a"] == "a.xlsx: column 2 has values, and no name in line 1. Name it."
    assert said["b"] == "b.xlsx: several columns have the name price, sku."
    assert folder.rows("SELECT sku, price FROM shop.c") == [("x", 1)]


def test_parquet_times_finer_than_a_warehouse_can_hold_are_kept_or_refused(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = folder.project / "data"
    nano, whole = 1_767_225_600_000_000_001, 1_767_225_600_000_000_000
    for name, values in (
        ("fine", {"at": pa.array([nano], pa.timestamp("ns"))}),
        ("whole", {"at": pa.array([whole], pa.timestamp("ns")), "n": pa.array([7], pa.uint64())}),
        ("large", {"n": pa.array([2**64 - 1], pa.uint64())}),
        ("long", {"n": pa.array([10**40], pa.decimal256(45, 0))}),
    ):
        pq.write_table(pa.table({"id": [1], **values}), data / f"{name}.parquet")
    said = {event["stream"]: event.get("message") for event in folder.load("fine", "whole", "large", "long").done}
    at = "2026-01-01 00:00:00.000000001"
    assert (
        f"fine, column at, row 1: {at} has more than 6 decimal digits of seconds. Choose another type" in said["fine"]
    )
    assert f"large, column n, row 1: {2**64 - 1} is larger than" in said["large"]
    assert f"long, column n, row 1: {10**40} has more than 38 digits" in said["long"]
    assert folder.one('SELECT epoch_us("at"), n FROM shop.whole') == (whole // 1000, 7)
    folder.loaded(*({"name": name, "types": {"at": "text", "n": "text"}} for name in ("large", "long")))
    assert folder.one("SELECT n FROM shop.large") == (str(2**64 - 1),) and folder.one("SELECT n FROM shop.long")[
        0
    ] == str(10**40)


def test_cells_that_show_an_error_are_empty_and_told(folder):
    write_book(folder.project / "data" / "a.xlsx", [["sku", "price"], ["x", Error("#N/A")], ["y", 2.5]])
    folder.loaded("a")
    assert folder.rows("SELECT sku, price FROM shop.a ORDER BY sku") == [("x", None), ("y", 2.5)]
    assert "a.xlsx: cells that show an error are empty in the table: B2." in folder.log.decode()
