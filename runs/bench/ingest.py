"""Rows from PostgreSQL into DuckDB: a connection of dex, plain dlt with the same settings, and COPY as the limit."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flows.infra.process.table import cpu_seconds, descendants
from nodes.connections.connectors import client

RUNS = 3  # of each; the fastest one counts
TABLE = """
CREATE TABLE orders AS SELECT i AS id, 'customer ' || i % 1000 AS customer, (i * 1.37)::numeric(12,2) AS amount,
    timestamptz '2026-01-01' + i * interval '1 second' AS updated_at, i % 7 = 0 AS paid,
    CASE WHEN i % 5 = 0 THEN NULL ELSE md5(i::text) END AS note FROM generate_series(1, {rows}) i
"""
PLAIN = """
import sys, dlt
from dlt.sources.sql_database import sql_table
url, path, folder = sys.argv[1:]
pipeline = dlt.pipeline("plain", pipelines_dir=folder, dataset_name="shop", destination=dlt.destinations.duckdb(
    path, replace_strategy="insert-from-staging", supports_transactions=True))
table = sql_table(url, "orders", schema="public", backend="pyarrow", chunk_size=50_000, reflection_level="full")
pipeline.run(table, write_disposition="replace", loader_file_format="parquet")
"""
COPY = """
import sys, duckdb, psycopg2
url, path, folder = sys.argv[1:]
with psycopg2.connect(url) as source, open(f"{folder}/orders.csv", "wb") as file:
    source.cursor().copy_expert("COPY orders TO STDOUT (FORMAT csv)", file)
with duckdb.connect(path) as target:
    target.execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id BIGINT, customer TEXT, amount DECIMAL(12,2), "
                   "updated_at TIMESTAMPTZ, paid BOOLEAN, note TEXT)")
    target.execute(f"COPY shop.orders FROM '{folder}/orders.csv'")
"""


def ingest(size: int = 1_000_000) -> dict[str, Any]:
    """Load `size` rows three ways, each in a process of its own, start included. Out: rows a second and peak memory.

    Raises RuntimeError where PostgreSQL is not installed, or a load does not bring every row.
    """
    with tempfile.TemporaryDirectory(prefix="dex-bench-ingest-") as name, _postgres(Path(name)) as port:
        folder = Path(name)
        url = f"postgresql+psycopg2://dex@127.0.0.1:{port}/postgres"
        _ask(url, TABLE.format(rows=size), "ALTER TABLE orders ADD PRIMARY KEY (id)", "ANALYZE orders")
        total = _ask(url, "SELECT count(*), sum(amount) FROM orders")
        ways: dict[str, Callable[[Path], None]] = {
            "copy": lambda place: _script(COPY, url.replace("+psycopg2", ""), place),
            "plain": lambda place: _script(PLAIN, url, place),
            "dex": lambda place: _dex(port, place),
        }
        best: dict[str, tuple[float, float, float]] = {}
        for number in range(RUNS):
            for way, load in ways.items():
                place = folder / f"{way}-{number}"
                place.mkdir()
                figures = _measured(lambda load=load, place=place: load(place))  # type: ignore[misc]
                if _loaded(place) != total:
                    raise RuntimeError(f"{way} loaded {_loaded(place)} of {total}")
                best[way] = min(best.get(way, figures), figures)
                shutil.rmtree(place)
    made: dict[str, Any] = {"bench": "ingest", "rows": size}
    for way, (took, cpu, peak) in best.items():
        made |= {f"{way}_s": round(took, 2), f"{way}_cpu_s": round(cpu, 2), f"{way}_rows_per_s": round(size / took)}
        made[f"{way}_peak_mib"] = round(peak)
    for number, name in enumerate(("ratio_to_plain", "cpu_ratio_to_plain")):
        made[name] = round(best["dex"][number] / best["plain"][number], 3)
    return made


bench = ingest


def _dex(port: int, place: Path) -> None:
    order = {
        "action": "load",
        "connector": "sql_database",
        "config": {"host": "127.0.0.1", "port": port, "database": "postgres", "user": "dex", "db_schema": "public"},
        "streams": [{"name": "orders"}],
        "destination": {"type": "duckdb", "path": str(place / "warehouse.duckdb")},
        "dataset": "shop",
        "pipeline": "bench",
        "pipelines_dir": str(place / "pipelines"),
        "network": {"private": True},
    }
    outcome = client.run_order(order, home=place / "home")
    if not outcome.ok:
        raise RuntimeError(outcome.message)


def _script(code: str, url: str, place: Path) -> None:
    command = [sys.executable, "-c", code, url, str(place / "warehouse.duckdb"), str(place)]
    environment = {
        **client.ENVIRONMENT,
        "HOME": str(place),
        "DLT_DATA_DIR": str(place / "dlt"),
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run(command, env=environment, cwd=place, check=True, stdout=subprocess.DEVNULL)


def _measured(load: Callable[[], None]) -> tuple[float, float, float]:
    """Seconds; seconds of CPU and the most memory in MiB of the busiest process below this one."""
    most, cpu = [0.0], [0.0]
    over, old = threading.Event(), set(descendants(os.getpid()))

    def watch() -> None:
        while not over.wait(0.02):
            for pid in set(descendants(os.getpid())) - old:
                with suppress(OSError, IndexError, ValueError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    most[0] = max(most[0], int(status.split("VmHWM:")[1].split()[0]) / 1024)
                    cpu[0] = max(cpu[0], cpu_seconds(pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.monotonic()
    load()
    took = time.monotonic() - began
    over.set()
    watcher.join()
    return took, cpu[0], most[0]


def _loaded(place: Path) -> tuple[Any, ...]:
    import duckdb

    with duckdb.connect(str(place / "warehouse.duckdb"), read_only=True) as connection:
        row: tuple[Any, ...] = connection.execute("SELECT count(*), sum(amount) FROM shop.orders").fetchall()[0]
    return row


def _ask(url: str, *statements: str) -> tuple[Any, ...]:
    import psycopg2

    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        found: tuple[Any, ...] = (cursor.fetchone() or ()) if cursor.description else ()
    connection.close()
    return found


@contextmanager
def _postgres(folder: Path) -> Iterator[int]:
    """A cluster of its own, on a port of its own. initdb refuses to run as root, so root lends it to `postgres`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else Path(shutil.which("initdb") or "")
    if not initdb.is_file():
        raise RuntimeError("PostgreSQL is not installed: initdb is not found")
    data = folder / "pg"
    data.mkdir()
    lend: list[str] = []
    if os.getuid() == 0:
        folder.chmod(0o711)
        shutil.chown(data, "postgres")
        lend = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]

    def do(program: str, *arguments: str) -> None:
        command = [*lend, str(initdb.parent / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    do("initdb", "-A", "trust", "-U", "dex", "--no-sync")
    do("pg_ctl", "-w", "-l", str(data / "log"), "-o", f"-p {port} -h 127.0.0.1 -k '' -c fsync=off", "start")
    try:
        yield port
    finally:
        do("pg_ctl", "-w", "-m", "immediate", "stop")
