"""The loads of one attempt at a connection: its child process, what it said of each table, how it ended."""

import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.infra import process
from nodes.connections.connectors.client import CODE, Event, Outcome, run_order
from nodes.connections.connectors.streams import identifier
from nodes.tasks import AttemptOutcome, Context, Stopped

#: Kinds of failures that may pass by themselves.
PASSING = ("port", "timeout", "http", "busy", "other")
_LOOK_S = 0.2


class LoadProgress:
    """How far each table of an attempt is, from the events of its child process.

    In: the names of the streams, in order; `done`, table -> result of what an earlier attempt has loaded.
    """

    def __init__(self, names: Sequence[str], done: Mapping[str, Mapping[str, Any]]) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        for name in names:
            table = identifier(name)
            state = {"state": "succeeded", **done[table]} if table in done else {"state": "waiting"}
            self._rows[name] = {"name": name, "table": table, **state}

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Those that were tried and could not be loaded."""
        return [row for row in self._rows.values() if row["state"] == "failed"]

    @property
    def are_loaded(self) -> bool:
        """Whether nothing is left to load."""
        return all(row["state"] == "succeeded" for row in self._rows.values())

    def take(self, event: Event) -> tuple[str, dict[str, Any]] | None:
        """Take one event in. Out: name and result of a table when it tells that this one is loaded."""
        row = self._rows.get(str(event.get("stream")))
        if row is None:
            return None
        match event["event"]:
            case "stream_started":
                row["state"] = "running"
            case "stream_progress":
                row |= {"state": "running", "rows_affected": event.get("rows"), "bytes": event.get("bytes")}
            case "schema_change":
                change = {key: event.get(key, []) for key in ("added", "removed", "changed")}
                row["schema_changes"] = [*row.get("schema_changes", ()), {"stream": row["name"], **change}]
            case "stream_failed":
                self._forget(row)
                kind, message = str(event.get("kind") or "other"), str(event.get("message") or "")
                row |= {"state": "failed", "kind": kind, "message": message or "its log says why"}
            case "stream_done":
                details = {key: event[key] for key in ("bytes", "cursor_before", "cursor_after") if event.get(key)}
                self._forget(row)
                row |= {"state": "succeeded", "rows_affected": event.get("rows"), **details}
                return row["name"], _result_of(row)
        return None

    def close(self) -> None:
        """Nothing more will come: what was being loaded is not loaded."""
        for row in self._rows.values():
            if row["state"] == "running":
                self._forget(row)
                row["state"] = "cancelled"

    def result(self) -> dict[str, Any]:
        """Of one table what it told; of several their sums, and each under "tables"."""
        rows = [dict(row) for row in self._rows.values()]
        if len(rows) == 1:
            return _result_of(rows[0])
        sums = {name: sum(row.get(name) or 0 for row in rows) for name in ("rows_affected", "bytes")}
        return {**sums, "tables": rows}

    def sentence(self) -> str:
        """What failed, for people."""
        failed = self.failed
        if len(self._rows) == 1:
            return "".join(str(row["message"]) for row in failed)
        each = " ".join(f"{row['table']}: {row['message']}" for row in failed)
        return each if len(failed) < 2 else f"{len(failed)} of {len(self._rows)} tables failed. {each}"

    @staticmethod
    def _forget(row: dict[str, Any]) -> None:
        """Numbers of what was on its way."""
        row.pop("rows_affected", None)
        row.pop("bytes", None)


def _result_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("name", "table", "state", "message")}


def load(
    context: Context,
    order: Mapping[str, Any],
    progress: LoadProgress,
    loaded: Callable[[str, dict[str, Any]], None],
    *,
    sandboxed: bool = False,
) -> AttemptOutcome:
    """Carry out a load order; rows, cursor and changed columns of its tables are the result.

    In: `loaded`, is called with name and result of each table as soon as it is in the warehouse; `sandboxed`, whether
    code of the project runs in it. Raises Stopped when the worker ends.
    """
    if progress.are_loaded:  # an earlier attempt did, and died before it could say so
        return AttemptOutcome("succeeded", result=progress.result())
    untold: dict[str, dict[str, Any]] = {}

    def on_event(event: Event) -> None:
        if (done := progress.take(event)) is not None:
            untold[done[0]] = done[1]
            loaded(*done)
            del untold[done[0]]
        context.progress(progress.result())

    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(context, stop), daemon=True)
    watcher.start()
    home = context.work
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        outcome = run_order(
            order,
            on_event=on_event,
            on_log=context.log,
            timeout=context.timeout,
            cancelled=stop,
            home=home,
            on_start=lambda child: context.started(child, None),
            limits=process.Limits(nice=5),
            spawn=in_a_box(order, home) if sandboxed else process.start,
        )
    finally:
        stop.set()
        shutil.rmtree(home, ignore_errors=True)
    for name, result in untold.items():  # the database was away
        loaded(name, result)
    progress.close()
    return _ended(context, outcome, progress)


def _ended(context: Context, outcome: Outcome, progress: LoadProgress) -> AttemptOutcome:
    if context.cancelled.is_set():
        return AttemptOutcome("cancelled", "cancelled", result=progress.result(), exit_code=outcome.exit_code)
    if context.must_end:
        raise Stopped
    result = progress.result()
    if outcome.ok and progress.are_loaded:
        changed = any(row.get("schema_changes") for row in result.get("tables", [result]))
        return AttemptOutcome("succeeded", "columns changed" if changed else "", result=result)
    if outcome.state == "timeout":
        return AttemptOutcome("failed", f"timeout after {context.timeout:g} s", result=result)
    message = progress.sentence() or outcome.message or "the load failed; its log says why"
    kinds = [str(row["kind"]) for row in progress.failed] or [outcome.kind or "other"]
    passing = outcome.state == "died" or any(kind in PASSING for kind in kinds)
    return AttemptOutcome("failed", message, result={"kind": kinds[0], **result}, retryable=passing)


def _watch(context: Context, stop: threading.Event) -> None:
    """Passes on any reason to end: the child's supervisor looks at one event."""
    while not stop.wait(_LOOK_S):
        if context.must_end:
            stop.set()


def in_a_box(order: Mapping[str, Any], home: Path) -> Any:
    """flows.infra.process.start in a sandbox that holds what the order needs; level 3 alone changes anything."""
    # Of dex only its code: DEX_HOME, with the keys, may lie beside it.
    readable = [*process.interpreter(), Path(sys.prefix), CODE / "flows", CODE / "nodes"]
    if order.get("project_dir"):
        readable.append(Path(order["project_dir"]))
    readable += [Path(root) for root in order["files"]["roots"] if Path(root).is_dir()]
    writable = [home, Path(order["pipelines_dir"])]
    if order.get("destination", {}).get("type") == "duckdb":
        writable.append(Path(order["destination"]["path"]).parent)

    def start(argv: Any, **options: Any) -> process.Child:
        box = process.Sandbox(readable=tuple(readable), writable=tuple(writable), tmp=home)
        return process.start(argv, box=box, **{**options, "preload": None})  # nobody else has the same sandbox

    return start
