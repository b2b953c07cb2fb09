"""Columns that come, go and change are told; the policy decides whether the load goes on."""

import sqlite3

import pytest

from tests.nodes.connections.loads import Place, as_source, as_warehouse, ask_postgres


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    source = sqlite3.connect(made.project / "shop.db", isolation_level=None)

    def table(name, columns, *rows):
        source.execute(f"DROP TABLE IF EXISTS {name}")
        source.execute(f"CREATE TABLE {name} ({columns})")
        for row in rows:
            source.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)

    made.table = table
    yield made
    source.close()


def changes(place):
    return [
        (event["stream"], event["added"], event["removed"], event["changed"])
        for event in place.events
        if event["event"] == "schema_change"
    ]


def test_each_policy_on_columns_that_came_and_went(place):
    names = ("evolving", "frozen", "asking")
    policies = dict(zip(names, ("evolve", "freeze", "ask"), strict=True))
    for name in names:
        place.table(name, "id INTEGER, old TEXT", (1, "a"))
    streams = [{"name": name, "schema_policy": policy} for name, policy in policies.items()]
    place.loaded(*streams)
    for name in names:
        place.table(name, "id INTEGER, new TEXT", (1, "b"), (2, "c"))
    outcome = place.load(*streams)
    assert changes(place) == [(name, ["new"], ["old"], []) for name in names]
    evolved, frozen, asking = outcome.done
    assert evolved["schema_changes"] == {"added": ["new"], "removed": ["old"], "changed": []}
    assert place.rows("SELECT id, old, new FROM shop.evolving ORDER BY id") == [(1, None, "b"), (2, None, "c")]
    assert (frozen["kind"], frozen["message"]) == (
        "schema", "The columns changed (new: new; gone: old); let the stream evolve to load it.",
    )  # fmt: skip
    assert (asking["kind"], asking["message"]) == (
        "schema", "The columns changed (new: new; gone: old); accept the change to load it.",
    )  # fmt: skip
    for name in ("frozen", "asking"):
        assert place.rows(f"SELECT * EXCLUDE _dlt_load_id FROM shop.{name}") == [(1, "a")]
    # Accepted: the same stream, once, with the policy that lets it.
    place.loaded({"name": "asking", "schema_policy": "evolve"})
    place.loaded({"name": "asking", "schema_policy": "ask", "mode": "append"})
    assert place.one("SELECT count(*), count(old) FROM shop.asking") == (4, 0)


def test_a_cursor_column_that_went_is_a_clear_failure(place):
    stream = {"name": "orders", "mode": "incremental", "cursor": "seen_at"}
    place.table("orders", "id INTEGER, seen_at INTEGER", (1, 1))
    place.loaded(stream)
    place.table("orders", "id INTEGER", (1,), (2,))
    assert place.failed(stream) == ("schema", "The table orders has no column seen_at (any more).")
    assert place.one("SELECT count(*) FROM shop.orders") == (1,)


def test_types_that_changed(place):
    """What still fits is converted, what needs more room gets it, and the rest asks for a full refresh."""
    place.table("a", "id INTEGER, amount NUMERIC(10,2), note TEXT", (1, 1.5, "x"))
    place.table("b", "id INTEGER, amount INTEGER", (1, 7))
    place.table("c", "id INTEGER, amount TIMESTAMP", (1, "2026-01-01 00:00:00"))
    place.loaded("a", "b", "c")
    place.table("a", "id INTEGER, amount NUMERIC(16,4), note INTEGER", (1, 123456789012.1234, 5))
    place.table("b", "id INTEGER, amount TEXT", (1, "seven"))
    place.table("c", "id INTEGER, amount INTEGER", (1, 3))
    place.events.clear()
    outcome = place.load("a", "b", "c")
    assert changes(place) == [
        ("a", [], [], [{"name": "amount", "was": "decimal(10,2)", "is": "decimal(16,4)"}]),
        ("b", [], [], [{"name": "amount", "was": "bigint", "is": "text"}]),
        ("c", [], [], [{"name": "amount", "was": "timestamp", "is": "bigint"}]),
    ]
    assert [event["event"] for event in outcome.done] == ["stream_done", "stream_done", "stream_failed"]
    assert place.rows("SELECT CAST(amount AS VARCHAR), note FROM shop.a") == [("123456789012.1234", "5")]
    assert place.rows("SELECT amount FROM shop.b") == [("seven",)]
    assert outcome.done[2]["message"] == (
        "The column amount changed from timestamp to bigint, which does not fit the table: "
        "load this stream once with a full refresh."
    )
    assert place.one("SELECT count(*) FROM shop.c WHERE amount = TIMESTAMP '2026-01-01'") == (1,)
    place.loaded({"name": "c", "refresh": True})
    assert place.rows("SELECT amount FROM shop.c") == [(3,)]


def test_a_type_that_changed_below_a_view_of_dbt(tmp_path, cluster):
    ask_postgres(
        cluster.url,
        "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS shop CASCADE;"
        "DROP SCHEMA IF EXISTS shop_staging CASCADE; CREATE TABLE orders AS SELECT 1 AS id, 2 AS amount",
    )
    place = Place(tmp_path, "sql_database", as_source(cluster), destination=as_warehouse(cluster))
    place.loaded("orders")
    ask_postgres(cluster.url, "CREATE VIEW shop.stg_orders AS SELECT amount FROM shop.orders")
    place.loaded("orders")
    assert place.one("SELECT amount FROM shop.stg_orders") == (2,)
    ask_postgres(cluster.url, "ALTER TABLE orders ALTER amount TYPE text; ALTER TABLE orders ADD more int")
    assert place.failed("orders") == (
        "schema",
        "The type of a column changed, and a view reads it. Drop the view, then load again with a full refresh.",
    )
    assert place.one("SELECT amount FROM shop.stg_orders") == (2,)


WIDER = [
    ("int", "numeric(20,4)", "5", "7.1234"),
    ("numeric(10,2)", "numeric(10,4)", "1.25", "2.1234"),
    ("int", "bigint", "5", "99999999999"),
    ("int", "double precision", "5", "7.5"),
    ("date", "timestamp", "'2026-01-01'", "'2026-01-01 10:00'"),
    ("numeric(10,2)", "text", "1.25", "'abc'"),
    ("smallint", "text", "1", "'x'"),
]


@pytest.mark.parametrize("where", ["duckdb", "postgres"])
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_a_column_that_becomes_wider_is_loaded_at_once(cluster, tmp_path, where, mode):
    ask_postgres(
        cluster.url,
        "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS shop CASCADE; "
        "DROP SCHEMA IF EXISTS shop_staging CASCADE; "
        + "".join(
            f"CREATE TABLE t{n} (id int PRIMARY KEY, v {before}); INSERT INTO t{n} VALUES (1, {old}); "
            for n, (before, _, old, _) in enumerate(WIDER)
        ),
    )
    more = {"destination": as_warehouse(cluster)} if where == "postgres" else {}
    place = Place(tmp_path, "sql_database", as_source(cluster), **more)
    key = {"primary_key": ["id"]} if mode == "merge" else {}
    streams = [{"name": f"t{n}", "mode": mode, **key} for n in range(len(WIDER))]
    place.loaded(*streams)
    for n, (_, after, _, new) in enumerate(WIDER):
        ask_postgres(cluster.url, f"ALTER TABLE t{n} ALTER v TYPE {after}; INSERT INTO t{n} VALUES (2, {new})")
    place.loaded(*streams)
    for n in range(len(WIDER)):
        rows = dict(place.rows(f"SELECT id, v FROM shop.t{n} ORDER BY id"))
        assert rows == dict(ask_postgres(cluster.url, f"SELECT id, v FROM t{n}")), WIDER[n]


@pytest.mark.parametrize("where", ["duckdb", "postgres"])
def test_no_number_is_rounded_when_a_type_changes(cluster, tmp_path, where):
    changes = [
        (
            "double precision",
            "numeric(20,18)",
            "0.5",
            "0.123456789012345678",
            "t0, column v, the row with id 2: 0.1234",
        ),
        ("double precision", "bigint", "0.5", "9007199254740993", "t1, column v, the row with id 2: 9007199254740993"),
        (
            "bigint",
            "double precision",
            "9007199254740993",
            "0.5",
            "to double, which would round 9007199254740993 in t2",
        ),
    ]
    ask_postgres(
        cluster.url,
        "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS shop CASCADE; "
        "DROP SCHEMA IF EXISTS shop_staging CASCADE; "
        + "".join(
            f"CREATE TABLE t{n} (id int PRIMARY KEY, v {before}); INSERT INTO t{n} VALUES (1, {old}); "
            for n, (before, _, old, _, _) in enumerate(changes)
        ),
    )
    more = {"destination": as_warehouse(cluster)} if where == "postgres" else {}
    place = Place(tmp_path, "sql_database", as_source(cluster), **more)
    streams = [{"name": f"t{n}", "mode": "merge", "primary_key": ["id"]} for n in range(len(changes))]
    place.loaded(*streams)
    for n, (_, after, _, new, _) in enumerate(changes):
        ask_postgres(
            cluster.url,
            f"DROP TABLE t{n}; CREATE TABLE t{n} (id int PRIMARY KEY, v {after}); INSERT INTO t{n} VALUES (2, {new})",
        )
    told = [event["message"] for event in place.load(*streams).done]
    for said, (*_, wanted) in zip(told, changes, strict=True):
        assert wanted in said
    assert [place.one(f"SELECT v FROM shop.t{n}")[0] for n in range(3)] == [0.5, 0.5, 9007199254740993]
