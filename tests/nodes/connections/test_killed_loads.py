"""A load that is killed with signal 9 leaves nothing half done, and the next one leaves nothing out or in twice."""

import sqlite3
import threading
import time

import pytest

from tests.helpers.waiting import patience
from tests.nodes.connections.loads import Place, as_source, as_warehouse, ask_postgres

MODES = {
    "incremental": {"mode": "incremental", "cursor": "id"},
    "merge": {"mode": "merge", "primary_key": ["id"], "cursor": "updated_at"},
    "append": {"mode": "append"},
    "replace": {},
}
COUNTS = "SELECT count(*), sum(amount), count(DISTINCT id) FROM {}"

# Statements sleep where a row of `stall` says so: in the source, while rows become visible, and after that.
STALLS = """
DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS shop_staging CASCADE;
CREATE TABLE stall (point text);
CREATE TABLE raw AS SELECT i AS id, (i * 1.5)::numeric(12,2) AS amount,
    timestamptz '2026-01-01' + i * interval '1 minute' AS updated_at FROM generate_series(1, 3000) i;
CREATE FUNCTION lazy(at text, yes boolean) RETURNS boolean VOLATILE LANGUAGE plpgsql AS $$
    BEGIN IF yes AND EXISTS (SELECT FROM public.stall WHERE point = at) THEN PERFORM pg_sleep(120); END IF;
    RETURN true; END $$;
CREATE VIEW orders AS SELECT * FROM raw WHERE lazy('reading', id = 2990);
CREATE FUNCTION lazy_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.lazy('publishing', NEW.id = 3005); RETURN NEW; END $$;
CREATE FUNCTION lazy_load() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.lazy('recording', NEW.status = 0); RETURN NEW; END $$;
"""


def end_others(url):
    """What an earlier test left asleep would hold its locks."""
    ask_postgres(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def asleep(url):
    """The backends that sleep."""
    return set(ask_postgres(url, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


def killed(place, stream, stalled, **options):
    """Start a load, kill it where it stalls. Out: how it ended."""
    children = []
    outcome = []
    thread = threading.Thread(
        target=lambda: outcome.append(place.load(stream, on_start=children.append, **options)), daemon=True
    )
    thread.start()
    deadline = time.monotonic() + patience(30)
    while not stalled():
        assert time.monotonic() < deadline and thread.is_alive(), (outcome, place.log.decode()[-2000:])
        time.sleep(0.02)
    children[0].kill()
    thread.join(patience(30))
    return outcome[0]


@pytest.fixture
def url(cluster):
    """The cluster, without those whom an earlier test left asleep, or this one will: they hold locks."""
    end_others(cluster.url)
    yield cluster.url
    end_others(cluster.url)


@pytest.mark.parametrize("mode", MODES)
def test_killed_while_reading_publishing_and_recording_then_loaded_once_more(cluster, url, tmp_path, mode):
    ask_postgres(url, STALLS)
    place = Place(tmp_path, "sql_database", as_source(cluster), destination=as_warehouse(cluster))
    stream = {"name": "orders", **MODES[mode]}
    place.loaded(stream)
    before = place.one(COUNTS.format("shop.orders"))
    ask_postgres(
        url,
        """
        CREATE TRIGGER lazy BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION lazy_row();
        CREATE TRIGGER lazy BEFORE INSERT ON shop._dlt_loads FOR EACH ROW EXECUTE FUNCTION lazy_load();
        UPDATE raw SET id = 2990, updated_at = now() WHERE id = 2990;
        INSERT INTO raw SELECT i, 1, timestamptz '2026-09-01' FROM generate_series(3001, 3010) i;
        """,
    )
    if mode == "incremental":  # it reads nothing below 3000
        ask_postgres(url, "CREATE OR REPLACE VIEW orders AS SELECT * FROM raw WHERE lazy('reading', id = 3002)")
    for point in ("reading", "publishing", "recording"):
        ask_postgres(url, f"DELETE FROM stall; INSERT INTO stall VALUES ('{point}')")
        old = asleep(url)  # those that were killed before, and sleep on
        ended = killed(place, stream, lambda old=old: asleep(url) - old)
        assert (ended.state, ended.signal) == ("died", 9)
        assert "signal 9" in ended.message
        after = place.one(COUNTS.format("shop.orders"))
        if point == "recording":
            assert after != before, "it was not killed where it should have been"
        else:
            assert after == before, f"killed while {point}, and something of it can be seen"
        # What the killed one left running in the server sleeps on; the next load has to end it.
        ask_postgres(url, "DELETE FROM stall")
        place.order["pipelines_dir"] = str(tmp_path / f"after-{point}")  # as on another machine
    done = place.loaded(stream)["orders"]
    whole = ask_postgres(url, COUNTS.format("raw"))[0]
    if mode == "append":  # the first load, and this one; nothing of the three that were killed
        assert place.one(COUNTS.format("shop.orders")) == (3000 + 3010, before[1] + whole[1], 3010)
    else:
        assert place.one(COUNTS.format("shop.orders")) == whole
    if mode == "incremental":
        assert (done["cursor_before"], done["cursor_after"]) == ("3000", "3010")
        assert place.loaded(stream)["orders"]["rows"] == 0
    assert place.one("SELECT count(*) FROM shop._dlt_loads WHERE status <> 0") == (0,)


@pytest.mark.parametrize(("mode", "points"), [("incremental", ("publishing", "recording")), ("append", ("recording",))])
def test_killed_with_duckdb_while_publishing_and_recording(tmp_path, mode, points):
    place = Place(tmp_path, "sql_database", {"system": "sqlite", "path": "shop.db"})
    with sqlite3.connect(place.project / "shop.db") as source:
        source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER)")
        source.executemany("INSERT INTO orders VALUES (?, ?)", [(i, i) for i in range(1, 1001)])
    stream = {"name": "orders", **MODES[mode]}
    # The very first load, too: its rows are there, and nothing says where they came from.
    argv = ("-m", "tests.nodes.connections.stalling", "recording")
    assert killed(place, stream, lambda: b"stalled" in place.log, argv=argv).signal == 9
    place.loaded(stream)
    before = place.one(COUNTS.format("shop.orders"))
    assert before == (1000, 500_500, 1000)
    with sqlite3.connect(place.project / "shop.db") as source:
        source.executemany("INSERT INTO orders VALUES (?, ?)", [(i, i) for i in range(1001, 1101)])
    for point in points:
        place.log.clear()
        argv = ("-m", "tests.nodes.connections.stalling", point)
        ended = killed(place, stream, lambda: b"stalled" in place.log, argv=argv)
        assert (ended.state, ended.signal) == ("died", 9)
        after = place.one(COUNTS.format("shop.orders"))
        assert (after == before) == (point == "publishing")
    place.loaded(stream)
    added = (1100, 1100 * 1101 // 2)
    expected = added if mode == "incremental" else (before[0] + added[0], before[1] + added[1])
    assert place.one(COUNTS.format("shop.orders")) == (*expected, 1100)
