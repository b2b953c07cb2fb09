"""Orders as dex gives them, carried out by real child processes, and what the warehouse then holds."""

import threading
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from psycopg2.extras import register_default_json, register_default_jsonb

from nodes.connections.connectors import client

SECRET = "s3cr3t-of-the-source"


class Place:
    """A project, a home, a warehouse, and orders on them."""

    def __init__(self, folder: Path, connector: str, config: dict[str, Any], **order: Any) -> None:
        self.folder, self.connector, self.config = folder, connector, config
        self.project = folder / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        self.order = {
            "dataset": "shop",
            "pipeline": "c7_e3",
            "pipelines_dir": str(folder / "pipelines"),
            "project_dir": str(self.project),
            "destination": {"type": "duckdb", "path": str(folder / "warehouse.duckdb")},
            "network": {"private": True},
            **order,
        }
        self.log = bytearray()
        self.events: list[dict[str, Any]] = []

    def _order(self, action: str, streams: tuple[Any, ...] = ()) -> dict[str, Any]:
        chosen = [{"name": each} if isinstance(each, str) else each for each in streams]
        return {**self.order, "action": action, "connector": self.connector, "config": self.config, "streams": chosen}

    def load(self, *streams: Any, **options: Any) -> client.Outcome:
        options = {"on_log": self.log.extend, "on_event": self.events.append, "timeout": 120, **options}
        return client.run_order(self._order("load", streams), home=self.folder / "home", **options)

    def loaded(self, *streams: Any) -> dict[str, dict[str, Any]]:
        """As load, and it must go well. Out: stream -> what was said of it at the end."""
        outcome = self.load(*streams)
        assert outcome.ok, (outcome, self.log.decode(errors="replace")[-3000:])
        return {event["stream"]: event for event in outcome.done}

    def failed(self, *streams: Any, **options: Any) -> tuple[str, str]:
        """As load, and it must fail. Out: kind and sentence of the stream that did."""
        outcome = self.load(*streams, **options)
        assert outcome.state == "failed", outcome
        (wrong,) = [event for event in outcome.done if event["event"] == "stream_failed"]
        assert SECRET not in self.log.decode(errors="replace") + str(outcome)
        return wrong["kind"], wrong["message"]

    def test(self, **options: Any) -> client.Outcome:
        return client.test(self._order("test"), home=self.folder / "home", on_log=self.log.extend, **options)

    def discover(self) -> dict[str, dict[str, Any]]:
        outcome, streams = client.discover(self._order("discover"), home=self.folder / "home", on_log=self.log.extend)
        assert outcome.ok, (outcome, self.log.decode(errors="replace")[-3000:])
        return {stream["name"]: stream for stream in streams}

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the warehouse answers."""
        return ask(self.order["destination"], statement, *values)

    def one(self, statement: str) -> tuple[Any, ...]:
        (row,) = self.rows(statement)
        return row


def ask(destination: dict[str, Any], statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask a warehouse of either kind."""
    if destination["type"] == "duckdb":
        if not Path(destination["path"]).exists():
            return []
        with duckdb.connect(destination["path"]) as connection:
            return list(connection.execute(statement, list(values)).fetchall())
    return ask_postgres(url_of(destination), statement, *values)


def ask_postgres(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    for register in (register_default_json, register_default_jsonb):
        register(connection, loads=str)  # as it is written: Python's own reading rounds numbers
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def url_of(about: dict[str, Any]) -> str:
    return f"postgresql://{about['user']}@{about['host']}:{about['port']}/{about['dbname']}"


def as_warehouse(server: Any) -> dict[str, Any]:
    """A PostgreSQL cluster of the tests as a destination."""
    return {"type": "postgres", "host": "127.0.0.1", "port": server.port, "user": "dex", "dbname": "dex"}


def as_source(server: Any, **more: Any) -> dict[str, Any]:
    """A PostgreSQL cluster of the tests as a source."""
    about = {"system": "postgresql", "host": "127.0.0.1", "port": server.port, "database": "dex", "user": "dex"}
    return {**about, "password": SECRET, "db_schema": "public", **more}


class Readers:
    """Somebody who reads a table of PostgreSQL all the time, and remembers everything that was to be seen."""

    def __init__(self, url: str, statement: str) -> None:
        self._url, self._statement = url, statement
        self._stop = threading.Event()
        self.seen: set[Any] = set()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Readers":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        connection = psycopg2.connect(self._url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not self._stop.wait(0.005):
                cursor.execute(self._statement)
                self.seen.add(cursor.fetchone())
        connection.close()
