"""Tables of databases arrive whole, twice, in every mode."""

import sqlite3

import pytest

from tests.nodes.connections.loads import Place, Readers, as_source, as_warehouse, ask_postgres

COUNTS = "SELECT count(*), sum(amount), count(DISTINCT id) FROM {}"


TABLES = ("orders_replace", "orders_incremental", "orders_merge")


@pytest.fixture
def shop(cluster):
    """A schema with orders, three times the same: 5,000 rows, every seventh without a note, every fifth with ''."""
    ask_postgres(
        cluster.url,
        """
        DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
        DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS shop_staging CASCADE;
        CREATE TABLE orders_replace AS SELECT i AS id, (i * 1.37)::numeric(12,2) AS amount, i % 3 = 0 AS paid,
            timestamptz '2026-01-01' + i * interval '1 minute' AS updated_at,
            CASE WHEN i % 7 = 0 THEN NULL WHEN i % 5 = 0 THEN '' ELSE 'note ' || i END AS note
            FROM generate_series(1, 5000) i;
        ALTER TABLE orders_replace ADD PRIMARY KEY (id);
        CREATE TABLE orders_incremental AS SELECT * FROM orders_replace;
        CREATE TABLE orders_merge AS SELECT * FROM orders_replace;
        CREATE TABLE nothing (id bigint, born date, about jsonb);
        CREATE TABLE customers (id bigint, name text, born date, about jsonb, photo bytea);
        INSERT INTO customers
        VALUES (1, 'Zoë', '1990-02-03', '{"likes": ["tea"]}', '\\x00ff'), (2, NULL, NULL, NULL, NULL);
        """,
    )
    return lambda statement: ask_postgres(cluster.url, statement)


STREAMS = (
    {"name": "orders_replace"},
    {"name": "orders_incremental", "mode": "incremental", "cursor": "id"},
    {"name": "orders_merge", "mode": "merge", "primary_key": ["id"], "cursor": "updated_at"},
)


def test_postgresql_to_postgresql_twice_with_changed_data(cluster, shop, tmp_path):
    place = Place(tmp_path, "sql_database", as_source(cluster), destination=as_warehouse(cluster))
    first = place.loaded(*STREAMS, "customers", "nothing")
    assert place.rows("SELECT max(born), count(about) FROM shop.nothing") == [(None, 0)]
    for table in TABLES:
        assert first[table]["rows"] == 5000
        assert first[table]["bytes"] > 0
        assert place.rows(COUNTS.format(f"shop.{table}")) == shop(COUNTS.format(table))

    for table in TABLES:
        shop(f"INSERT INTO {table} SELECT 5001, 9.99, true, timestamptz '2026-06-01', 'late'")
    for table in ("orders_replace", "orders_merge"):
        shop(f"UPDATE {table} SET amount = amount + 100, updated_at = timestamptz '2026-06-01' WHERE id % 10 = 0")
    shop("DELETE FROM orders_replace WHERE id <= 50")
    watched = {table: Readers(cluster.url, COUNTS.format(f"shop.{table}")) for table in TABLES}
    with watched[TABLES[0]], watched[TABLES[1]], watched[TABLES[2]]:
        second = place.loaded(*STREAMS)
    whole = "SELECT count(*), sum(amount), count(note), count(*) FILTER (WHERE note = '') FROM {}"
    for table in TABLES:
        assert place.rows(whole.format(f"shop.{table}")) == shop(whole.format(table))
        assert len(watched[table].seen) <= 2, "readers saw a table that was neither the old one nor the new one"
    assert [second[table]["rows"] for table in TABLES] == [4951, 1, 501]
    assert second["orders_incremental"]["cursor_before"] == first["orders_incremental"]["cursor_after"] == "5000"
    assert second["orders_incremental"]["cursor_after"] == "5001"
    assert second["orders_merge"]["cursor_after"].startswith("2026-06-01T00:00:00")

    born = "SELECT id, name, born, about::jsonb, photo FROM {} ORDER BY id"
    assert [tuple(map(_plain, row)) for row in place.rows(born.format("shop.customers"))] == [
        tuple(map(_plain, row)) for row in shop(born.format("customers"))
    ]


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


def test_rows_and_columns_that_nobody_chose_are_not_loaded(cluster, shop, tmp_path):
    place = Place(tmp_path, "sql_database", as_source(cluster))
    hostile = "note' OR 1=1 --"
    filters = [
        {"column": "id", "op": "<=", "value": "100"},
        {"column": "paid", "op": "=", "value": "true"},
        {"column": "updated_at", "op": ">=", "value": "2026-01-01T00:30:00+00:00"},
        {"column": "note", "op": "!=", "value": hostile},
        {"column": "id", "op": "not in", "value": [33, "36"]},
    ]
    place.loaded({"name": "orders_replace", "columns": ["id", "note"], "row_filter": filters})
    asked = shop(
        "SELECT count(*), sum(id) FROM orders_replace "
        "WHERE id BETWEEN 30 AND 100 AND id NOT IN (33, 36) AND paid AND note <> 'x'"
    )
    assert place.rows("SELECT count(*), sum(id) FROM shop.orders_replace") == asked
    assert [row[0] for row in place.rows("DESCRIBE shop.orders_replace")] == ["id", "note", "_dlt_load_id"]
    place.order["limits"] = {"rows": 7}  # a trial
    assert place.loaded({"name": "orders_replace", "columns": ["id", "note"]})["orders_replace"]["rows"] == 7
    kind, message = place.failed(
        {"name": "orders_replace", "row_filter": [{"column": "id", "op": "=", "value": "1 OR 1=1"}]}
    )
    assert (kind, "id is not a int" in message) == ("config", True)


def test_parallel_loads_of_one_new_dataset_do_not_disturb_each_other(cluster, shop, tmp_path):
    import threading

    place = Place(tmp_path, "sql_database", as_source(cluster), destination=as_warehouse(cluster))
    for name in ("a", "b", "c"):
        shop(f"CREATE TABLE {name} AS SELECT * FROM orders_replace")
    outcomes = {}
    threads = [
        threading.Thread(target=lambda name=name: outcomes.update({name: place.load(name)})) for name in ("a", "b", "c")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: outcome.state for name, outcome in outcomes.items()} == dict.fromkeys("abc", "succeeded"), outcomes
    assert place.one("SELECT (SELECT count(*) FROM shop.a), (SELECT count(*) FROM shop.b), count(*) FROM shop.c") == (
        5000, 5000, 5000,
    )  # fmt: skip


LITE = (
    {"name": "Replaced"},
    {"name": "Merged", "mode": "merge", "primary_key": ["id"], "cursor": "updated_at"},
    {"name": "Added", "mode": "incremental", "cursor": "updated_at"},
)


@pytest.fixture
def lite(tmp_path):
    """An SQLite shop, with moments as SQLite users write them."""
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    source = sqlite3.connect(place.project / "shop.db", isolation_level=None)
    columns = "(id INTEGER PRIMARY KEY, amount NUMERIC(10,2), updated_at TIMESTAMP, note TEXT)"
    source.execute("PRAGMA synchronous = OFF")
    source.execute("BEGIN")
    for table in ("Orders", "Replaced", "Merged", "Added"):
        source.execute(f"CREATE TABLE {table} {columns}")
        source.executemany(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?)",
            [(i, i * 0.25, f"2026-01-{1 + i // 100:02} 10:00:00", None if i % 7 else "") for i in range(1, 1001)],
        )
    source.execute("COMMIT")
    place.source = source
    yield place
    source.close()


def test_sqlite_to_duckdb_in_every_mode_twice(lite):
    found = lite.discover()["Orders"]
    assert (found["primary_key"], found["cursor_candidates"]) == (["id"], ["id", "amount", "updated_at"])
    tables = ("Replaced", "Merged", "Added")

    def same(table):
        there = lite.source.execute(COUNTS.format(table)).fetchone()
        assert lite.one(COUNTS.format(f"shop.{table.lower()}")) == there, table

    lite.loaded(*LITE)
    for table in tables:
        same(table)
        # The same moment as the newest row: neither lost nor twice.
        lite.source.execute(f"INSERT INTO {table} SELECT max(id) + 1, 7, max(updated_at), 'new' FROM {table}")
    lite.source.execute("UPDATE Merged SET amount = 1, updated_at = '2026-02-01T12:00:00' WHERE id = 5")
    lite.loaded(*LITE)
    for table in tables:
        same(table)
    again = lite.loaded(*LITE)
    for table in tables:
        same(table)
    assert {name: (done["rows"], done["table"]) for name, done in again.items()} == {
        "Replaced": (1001, "replaced"),
        "Merged": (0, "merged"),
        "Added": (0, "added"),
    }


def test_appending_adds_everything_every_time_and_does_not_become_incremental_by_itself(lite):
    for _ in range(2):
        lite.loaded({"name": "Orders", "mode": "append"})
    assert lite.one(COUNTS.format("shop.orders")) == (2000, lite.one("SELECT sum(amount) FROM shop.orders")[0], 1000)
    by_id = {"name": "Orders", "mode": "incremental", "cursor": "id"}
    assert lite.failed(by_id) == (
        "config",
        "orders holds rows that were not loaded by the cursor id. Load it once with a full refresh "
        "to avoid duplicate rows.",
    )
    lite.loaded({**by_id, "refresh": True})
    lite.source.execute("INSERT INTO Orders VALUES (5000, 1, NULL, NULL)")
    assert lite.loaded(by_id)["Orders"]["rows"] == 1
    assert lite.one("SELECT count(*), count(DISTINCT id) FROM shop.orders") == (1001, 1001)


def test_a_refreshed_merge_begins_anew_once(lite):
    """The hint that empties the table must not stay with it."""
    merge = {"name": "Orders", "mode": "merge", "primary_key": ["id"], "cursor": "updated_at"}
    lite.loaded(merge)
    lite.source.execute("DELETE FROM Orders WHERE id <= 100")
    assert lite.loaded({**merge, "refresh": True})["Orders"]["rows"] == 900
    assert lite.one("SELECT count(*) FROM shop.orders") == (900,)
    lite.source.execute("INSERT INTO Orders VALUES (5000, 1, '2026-03-01 00:00:00', NULL)")
    assert lite.loaded(merge)["Orders"]["rows"] == 1
    assert lite.one("SELECT count(*), count(DISTINCT id) FROM shop.orders") == (901, 901)


def test_a_source_that_became_empty_empties_the_table_and_a_dropped_table_is_loaded_afresh(lite):
    by_id = {"name": "Orders", "mode": "incremental", "cursor": "id"}
    lite.loaded(by_id)
    lite.rows("DROP TABLE shop.orders")
    assert lite.loaded(by_id)["Orders"]["rows"] == 1000
    assert lite.one("SELECT count(*) FROM shop.orders") == (1000,)
    lite.source.execute("DELETE FROM Orders")
    assert lite.loaded("Orders")["Orders"]["rows"] == 0
    assert lite.one("SELECT count(*) FROM shop.orders") == (0,)


@pytest.mark.parametrize(
    "settings",
    [{}, {"mode": "append"}, {"mode": "incremental", "cursor": "id"}, {"mode": "merge", "primary_key": ["id"]}],
    ids=lambda settings: settings.get("mode", "replace"),
)
def test_a_table_without_rows_is_there_with_its_columns_and_fills_later(lite, settings):
    rows = lite.source.execute("SELECT count(*) FROM Orders").fetchone()[0]
    lite.source.execute("CREATE TABLE kept AS SELECT * FROM Orders")
    lite.source.execute("DELETE FROM Orders")
    told = lite.loaded({"name": "Orders", **settings})["Orders"]
    assert told["rows"] == 0 and "id" in [column["name"] for column in told["tables"]["orders"]]
    assert lite.one("SELECT count(id) FROM shop.orders") == (0,)
    lite.source.execute("INSERT INTO Orders SELECT * FROM kept")
    assert lite.loaded({"name": "Orders", **settings})["Orders"]["rows"] == rows
    assert lite.one("SELECT count(*), count(DISTINCT id) FROM shop.orders") == (rows, rows)


TYPES = {
    "smallint": "BIGINT", "bigint": "BIGINT", "numeric(12,4)": "DECIMAL(12,4)", "numeric": "DECIMAL(38,9)",
    "real": "DOUBLE", "double precision": "DOUBLE", "boolean": "BOOLEAN", "text": "VARCHAR", "date": "DATE",
    "time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP WITH TIME ZONE", "bytea": "BLOB",
    "jsonb": "JSON", "integer[]": "JSON", "interval": "VARCHAR", "inet": "VARCHAR", "uuid": "VARCHAR",
}  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1])
def test_columns_have_the_types_of_the_source_also_without_a_value(cluster, shop, tmp_path, rows):
    columns = ", ".join(f"v{n} {kind}" for n, kind in enumerate(TYPES))
    shop(f"CREATE TABLE t (id int, {columns}); INSERT INTO t (id) SELECT generate_series(1, {rows})")
    place = Place(tmp_path, "sql_database", as_source(cluster))
    place.loaded("t")
    found = [row[1] for row in place.rows("DESCRIBE shop.t") if row[0].startswith("v")]
    assert dict(zip(TYPES, found, strict=True)) == TYPES
    assert place.one("SELECT count(*) FROM shop.t") == (rows,)
    assert "is loaded as text, as the database writes it" in place.log.decode()
