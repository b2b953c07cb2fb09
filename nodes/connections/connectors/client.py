"""The worker's side of a connection: starts the child process, gives it its order, hands on what it says."""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flows.infra import process
from nodes.connections.connectors.streams import identifier

Event = dict[str, Any]
State = Literal["succeeded", "failed", "cancelled", "timeout", "died"]
CODE = Path(__file__).resolve().parents[3]
TEST_S, DISCOVER_S = 10.0, 60.0
_TICK_S = 0.2
# What dlt reads from its environment; the rest is said in code.
_PACKAGE = "nodes.connections.connectors"
ENVIRONMENT = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # what fails is told once, by us
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    "PYTHONPATH": str(CODE),
}
# Importing these takes more than a second of CPU; loads, tests and discoveries share one process that has done it.
PRELOAD = process.Preload((f"{_PACKAGE}.child", f"{_PACKAGE}.catalogue", f"{_PACKAGE}.loading", "dlt", "sqlalchemy"))


@dataclass(frozen=True)
class Outcome:
    """How an order ended."""

    state: State
    message: str = ""
    kind: str = ""  # of a failed test or discovery, as in failures.KINDS
    exit_code: int | None = None
    signal: int | None = None
    done: tuple[Event, ...] = ()  # stream_done and stream_failed, in order
    events: tuple[Event, ...] = field(default=(), repr=False)  # the others that are kept: tested, streams, failed

    @property
    def ok(self) -> bool:
        """Whether all of it succeeded."""
        return self.state == "succeeded"


class _Listener(threading.Thread):
    """Reads events to the end, and keeps those that say how it went."""

    def __init__(self, child: process.Child, on_event: Callable[[Event], None]) -> None:
        super().__init__(name=f"ingestion-{child.pid}", daemon=True)
        self._child, self._on_event = child, on_event
        self.kept: list[Event] = []
        self.last: Event | None = None

    def run(self) -> None:
        if self._child.stdout is None:
            return
        with os.fdopen(os.dup(self._child.stdout.fileno()), "rb") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:  # the last line of a killed one
                    continue
                if not isinstance(event, dict) or "event" not in event:
                    continue
                if event["event"] == "done":
                    self.last = event
                elif event["event"] != "stream_progress":
                    self.kept.append(event)
                with suppress(Exception):  # whoever listens may fail; the load goes on
                    self._on_event(event)
        self._child.stdout.close()


def run_order(
    order: Mapping[str, Any],
    *,
    on_event: Callable[[Event], None] | None = None,
    on_log: Callable[[bytes], None] | None = None,
    timeout: float | None = None,
    cancelled: threading.Event | None = None,
    home: Path | None = None,
    on_start: Callable[[process.Child], None] | None = None,
    limits: process.Limits | None = None,
    grace: tuple[float, float] = (5.0, 2.0),
    scratch: Path | None = None,
    spawn: Callable[..., process.Child] = process.start,
    argv: tuple[str, ...] = ("-m", f"{_PACKAGE}.child"),
) -> Outcome:
    """Carry out an order in a child process; returns when it has ended, however it ended.

    In: `on_event`, gets every event, from a thread; `on_log`, what it prints, not yet masked; `cancelled`, ends it when
    set; `home`, its HOME and where dlt keeps its settings; `on_start`, gets the child, for a lease; `grace`, seconds
    that it gets after SIGINT and after SIGTERM; `scratch`, a folder for what it downloads, removed at the end, also of
    one that was killed (default: one in its HOME); `spawn`, flows.infra.process.start or one with a sandbox.
    """
    stop = cancelled or threading.Event()
    environment = process.clean_environment(ENVIRONMENT, home=home)
    environment["DLT_DATA_DIR"] = str(Path(environment["HOME"]) / ".dlt")
    scratch = scratch or Path(tempfile.mkdtemp(prefix="ingestion-", dir=environment["HOME"]))
    environment["TMPDIR"] = str(scratch)
    try:
        child = spawn(
            [sys.executable, *argv],
            env=environment,
            cwd=environment["HOME"],
            limits=limits or process.Limits(),
            stdin=process.PIPE,
            stdout=process.PIPE,
            preload=PRELOAD if argv[0] == "-m" else None,
            on_output=on_log or (lambda data: None),
        )
        listener = _Listener(child, on_event or (lambda event: None))
        listener.start()
        state = ""
        try:
            if on_start:
                on_start(child)
            _tell(child, order)
            state = _wait(child, timeout, stop)
        finally:
            if child.poll() is None:
                child.kill_tree(grace_int=grace[0], grace_term=grace[1])
            listener.join(10)
    finally:
        for folder in (scratch, *_folders(order)):  # rows of the source; one that was killed left them
            shutil.rmtree(folder, ignore_errors=True)
    return _outcome(child, listener, state, timeout)


def test(order: Mapping[str, Any], *, timeout: float = TEST_S, **options: Any) -> Outcome:
    """Whether the source can be reached; `kind` and `message` say what is wrong. Options as for run_order."""
    return run_order({**order, "action": "test"}, timeout=timeout, grace=(0.5, 0.5), **options)


def discover(order: Mapping[str, Any], *, timeout: float = DISCOVER_S, **options: Any) -> tuple[Outcome, list[Event]]:
    """How it went, and the streams of the source. Options as for run_order."""
    outcome = run_order({**order, "action": "discover"}, timeout=timeout, grace=(0.5, 0.5), **options)
    streams = [stream for event in outcome.events if event["event"] == "streams" for stream in event["streams"]]
    return outcome, streams


def _folders(order: Mapping[str, Any]) -> list[Path]:
    """Where the streams of an order were worked on."""
    if order.get("action") != "load":
        return []
    tables = [identifier(str(each.get("name", ""))) for each in order["streams"]]
    return [Path(order["pipelines_dir"]) / table for table in tables if table]


def _tell(child: process.Child, order: Mapping[str, Any]) -> None:
    data = json.dumps(dict(order), default=str).encode()
    with suppress(OSError, ValueError):  # it has ended already; how, is told below
        if child.stdin:
            while data:  # a raw pipe may take less than it is given
                data = data[child.stdin.write(data) :]
            child.stdin.close()


def _wait(child: process.Child, timeout: float | None, stop: threading.Event) -> str:
    deadline = None if timeout is None else time.monotonic() + timeout
    while child.wait(_TICK_S) is None:
        if stop.is_set():
            return "cancelled"
        if deadline is not None and time.monotonic() > deadline:
            return "timeout"
    return ""


def _outcome(child: process.Child, listener: _Listener, state: str, timeout: float | None) -> Outcome:
    kept, last = listener.kept, listener.last
    finished = tuple(event for event in kept if event["event"] in ("stream_done", "stream_failed"))
    others = tuple(event for event in kept if event not in finished)

    def made(state: State, message: str = "", kind: str = "") -> Outcome:
        return Outcome(state, message, kind, child.exit_code, child.signal, finished, others)

    if state == "cancelled":
        return made("cancelled", "It was cancelled.")
    if state == "timeout":
        return made("timeout", f"It took longer than {timeout:g} s.", "timeout")
    if last is None:
        how = f"by signal {child.signal}" if child.signal else f"with exit code {child.exit_code}"
        return made("died", f"The process of the connection ended unexpectedly {how}.", "other")
    if last.get("ok"):
        return made("succeeded")
    wrong: Event = next((event for event in kept if event.get("message") and event.get("kind")), {})
    return made("failed", str(last.get("message") or wrong.get("message") or ""), str(wrong.get("kind") or "other"))
