"""What is wrong with a database is said in one sentence, by kind, without the secret, and changes nothing."""

import socket
import threading

import psycopg2
import pytest

from tests.helpers.servers import free_port
from tests.helpers.waiting import within
from tests.nodes.connections.loads import SECRET, Place, as_source, as_warehouse, ask_postgres


@pytest.fixture
def locked(cluster):
    """A role that must give a password, and a schema that is half closed to it."""
    rules = cluster.data / "pg_hba.conf"
    if "locked" not in rules.read_text():
        rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        ask_postgres(cluster.url, f"SELECT pg_reload_conf(); CREATE ROLE locked LOGIN PASSWORD '{SECRET}'")
    ask_postgres(
        cluster.url,
        "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO locked;"
        "DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS shop_staging CASCADE;"
        "CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 10) i; GRANT SELECT ON orders TO locked;"
        "CREATE TABLE closed AS SELECT * FROM orders",
    )
    return as_source(cluster, user="locked")


class Silent:
    """A port that takes calls and says nothing, or the wrong thing."""

    def __init__(self, says=b""):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.calls = []

        def answer():
            while True:
                try:
                    call, _ = self.listener.accept()
                except OSError:
                    return
                self.calls.append(call)
                if says:
                    call.sendall(says)

        threading.Thread(target=answer, daemon=True).start()

    def close(self):
        self.listener.close()
        for call in self.calls:
            call.close()


def test_a_test_says_what_is_wrong(tmp_path, locked):
    silent, other = Silent(), Silent(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    cases = [
        ({}, "", ""),
        ({"password": "wrong-password"}, "auth", "The user name or the password is wrong."),
        ({"password": None}, "auth", "The user name or the password is wrong."),
        ({"port": free_port()}, "port", "The host does not answer. Check host and port"),
        ({"port": other.port}, "port", "A different service answers on this port"),
        ({"port": silent.port, "connect_timeout": 2}, "timeout", "The server did not answer in time."),
        ({"host": "no-such-host.invalid"}, "name", "The host no-such-host.invalid was not found."),
        ({"database": "nowhere"}, "name", "The database does not exist."),
        ({"tls": "verify-full"}, "config", "does not accept this encryption setting"),
        ({"system": "oracle"}, "config", "Database system: Choose 'postgresql'"),
        ({"parameters": {"passfile": "/etc/passwd"}}, "config", "passfile is not allowed"),
    ]
    outcomes = [None] * len(cases)

    def one(number):
        place = Place(tmp_path / str(number), "sql_database", {**locked, **cases[number][0]})
        outcomes[number] = (place, place.test())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (change, kind, message), (place, said) in zip(cases, outcomes, strict=True):
        assert (said.kind, message in said.message) == (kind, True), (change, said)
        assert said.ok == (not kind)
        for secret in (SECRET, "wrong-password"):
            assert secret not in place.log.decode() + str(said)
    silent.close()
    other.close()


def test_a_test_has_a_time_limit_and_can_be_cancelled(tmp_path, locked):
    silent = Silent()
    place = Place(tmp_path, "sql_database", {**locked, "port": silent.port, "connect_timeout": 60})
    cancelled = threading.Event()
    with within(10):
        assert place.test(timeout=2).state == "timeout"
        threading.Timer(1, cancelled.set).start()
        assert place.test(cancelled=cancelled).state == "cancelled"
    silent.close()


def test_streams_that_fail_do_not_keep_the_others(tmp_path, cluster, locked):
    place = Place(tmp_path, "sql_database", locked)
    outcome = place.load(
        "gone",
        "closed",
        "orders",
        {"name": "orders", "columns": ["id", "nothing"]},
        {"name": "orders", "mode": "merge"},
    )
    said = [(event["stream"], event.get("kind"), event.get("message", "")) for event in outcome.done]
    assert said == [
        ("gone", "config", "The table does not exist (any more). (gone)"),
        ("closed", "permission", "The user does not have permission to read this. Grant it, or use another user. "
         "(permission denied for table closed)"),
        ("orders", None, ""),
        ("orders", "schema", "The table orders has no column nothing (any more)."),
        ("orders", "config", "Merge needs a primary key: choose the columns that identify a row."),
    ]  # fmt: skip
    assert outcome.state == "failed"
    assert place.one("SELECT count(*) FROM shop.orders") == (10,)


def test_values_that_break_things(tmp_path, cluster, locked):
    """A cell of 50 MB arrives as it is; a value that is not of its type stops the load."""
    place = Place(tmp_path, "sql_database", as_source(cluster), destination=as_warehouse(cluster))
    ask_postgres(
        cluster.url,
        "CREATE TABLE wide AS SELECT 1 AS id, repeat('x', 50000000) AS cell;"
        "CREATE TABLE odd AS SELECT i AS id, nullif(i, 7) AS cursor FROM generate_series(1, 9) i;"
        "CREATE TABLE twice AS SELECT 1 AS id, i AS amount FROM generate_series(1, 3) i",
    )
    place.loaded("wide")
    assert place.one("SELECT count(*), sum(length(cell)) FROM shop.wide") == (1, 50_000_000)
    outcome = place.load(
        {"name": "odd", "mode": "incremental", "cursor": "cursor"},
        {"name": "odd", "mode": "merge", "primary_key": ["cursor"]},
        {"name": "twice", "mode": "merge", "primary_key": ["id"], "cursor": "amount"},
    )
    first, second, third = outcome.done
    assert (first["kind"], "The cursor column has empty values" in first["message"]) == ("data", True)
    assert (second["kind"], second["message"]) == (
        "data", "The column cursor has empty values, which its key does not allow.",
    )  # fmt: skip
    assert third["event"] == "stream_done"
    assert place.one("SELECT count(*), max(amount) FROM shop.twice") == (1, 3)
    assert place.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'shop' AND tablename = 'odd'") == [] or (
        place.one("SELECT count(*) FROM shop.odd") == (0,)
    )


def test_a_warehouse_that_is_not_there_or_not_ours(tmp_path, cluster, locked):
    place = Place(tmp_path, "sql_database", locked)
    place.order["destination"] = {**as_warehouse(cluster), "user": "locked", "password": "wrong-password"}
    assert place.failed("orders")[0] == "auth"
    place.order["destination"] = {**as_warehouse(cluster), "user": "locked", "password": SECRET}
    assert place.failed("orders")[0] == "permission"
    with psycopg2.connect(cluster.url):
        place.order["destination"] = {**as_warehouse(cluster), "port": free_port()}
        assert place.failed("orders")[0] == "port"
