"""The supervisor's side of a dbt session: starts the child, sends commands, hands on what it says."""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows.infra import process
from nodes.dbt.parse import ParsedProject
from nodes.dbt.runtime import CODE, Runtime, built_in

Event = dict[str, Any]
# An address space, not memory in use: DuckDB reserves a lot of it.
_LIMITS = process.Limits()


# How resources are executed: in a process that stays, or by commands of dbt.
SESSION, COMMAND = "session", "command"


class SessionClosed(Exception):
    """The session has ended; it takes no more commands."""


class DbtClient:
    """A dbt session in a child process. All methods return at once; what happens comes as events.

    Without `on_event` the events wait for `next_event`. The last one is always `died`, with the exit code,
    or `closed` if it was asked to close.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str] | None = None,
        home: Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        limits: process.Limits | None = None,
        spawn: Callable[..., process.Child] = process.start,
        runtime: Runtime | None = None,
        executor: str = SESSION,
    ) -> None:
        runtime = runtime or built_in()
        self.executor = executor
        if executor == COMMAND:  # dex's own interpreter: what it starts is the runtime's dbt
            command = [sys.executable, "-m", "nodes.dbt.commands.session", runtime.program]
        else:
            command = [runtime.python, "-m", "nodes.dbt.session"]
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._deliver = on_event or self._queue.put
        self._lock = threading.Lock()
        self._closing = False
        self.child = spawn(
            command,
            env=process.clean_environment({**(env or {}), "PYTHONPATH": str(CODE)}, home=home),
            cwd=CODE,
            limits=limits or _LIMITS,
            stdin=process.PIPE,
            stdout=process.PIPE,
            preload=runtime.preload if executor == SESSION else None,
            on_output=on_output or _to_nobody,
        )
        threading.Thread(target=self._listen, name=f"dbt-session-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self.child.pid

    @property
    def pid_start(self) -> int:
        """When the child started, in the kernel's ticks."""
        return self.child.pid_start

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self.child.poll() is None

    def open(
        self,
        parsed: ParsedProject,
        *,
        work_dir: Path,
        threads: int | None = None,
        target: str | None = None,
        vars: Mapping[str, Any] | None = None,
        database_dir: Path | None = None,
        debug: bool = False,
    ) -> None:
        """Load the project; `ready` or `fatal` follows. Target and vars are those it was parsed with.

        `work_dir` is this session's own: compiled code is written there.
        """
        if self.executor == COMMAND and not _is_below(parsed.profile.database, database_dir):
            database_dir = None  # dbt's commands run in it, for a relative path of a DuckDB file
        self._send(
            "open",
            project_dir=str(parsed.project_dir),
            profiles_dir=str(parsed.profiles_dir),
            target_path=str(work_dir / "target"),
            log_path=str(work_dir / "logs"),
            partial_parse=str(parsed.target_dir / "partial_parse.msgpack"),
            target=target,
            vars=dict(vars or {}),
            threads=threads,
            database_dir=str(database_dir) if database_dir else None,
            debug=debug,
        )

    def begin(
        self,
        unique_ids: Iterable[str],
        *,
        hooks: bool = True,
        label: str = "",
        leftovers: bool = False,
        invocation: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a run of these resources and their tests; `begun` follows.

        With `hooks` False the hooks of the run wait for `hooks()`. `label` (letters, digits, blanks, dashes)
        names the connections; with `leftovers`, what another session of this label left in the warehouse is ended.
        `invocation`: what the run is to dbt {id, started_at, selected, steps, hooks}; see docs/decisions/0002.
        """
        self._send(
            "begin",
            unique_ids=sorted(unique_ids),
            hooks=hooks,
            label=label,
            leftovers=leftovers,
            invocation=dict(invocation or {}),
        )

    def hooks(self, task: str, when: str, recorded: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Run the hooks "on-run-start" or "on-run-end"; lines of `log` and one `result` follow.

        `recorded`: unique id -> the record of its result, for `results` in on-run-end.
        """
        self._send("hooks", task=task, when=when, recorded=recorded)

    def execute(
        self,
        task: str,
        unique_id: str,
        *,
        unit_tests: Iterable[str] = (),
        tests: Iterable[str] = (),
        run_model: bool = True,
        step: str = "",
        full_refresh: bool = False,
        compiled: bool = False,
        failing_rows: int = 0,
        since: str | None = None,
        known: Mapping[str, Any] | None = None,
        key: str = "",
        threads: int | None = None,
    ) -> None:
        """Execute one resource as soon as a thread is free; lines of `log` and one `result` follow.

        In: `step`, which of the invocation's steps it belongs to; `compiled`, whether the result shall carry the SQL;
        `failing_rows`, how many of the rows that fail a test.
        Of a microbatch model: `since`, when the run began whose window it has; `known`, the batches of an earlier try
        {"batches": [[start, end]], "done": [[start, end]], "incremental"}; events `batches` tell how far it is.
        For the command executor: `key` names the task in the plan of this run; `threads`, the most that it may share.
        """
        self._send(
            "execute",
            task=task,
            unique_id=unique_id,
            unit_tests=list(unit_tests),
            tests=list(tests),
            run_model=run_model,
            step=step,
            full_refresh=full_refresh,
            compiled=compiled,
            failing_rows=failing_rows,
            since=since,
            known=known,
            key=key,
            threads=threads,
        )

    def plan(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Tell the command executor what it may execute along with what is ordered; see docs/decisions/0028."""
        self._send("plan", items=list(items))

    def refuse(self, key: str) -> None:
        """Do not execute what the command executor has announced by `starting`: it may not start now."""
        self._send("refuse", key=key)

    def cancel(self, task: str) -> None:
        """Cancel one task; its `result` follows nevertheless."""
        self._send("cancel", task=task)

    def end(self) -> None:
        """End the run: hooks, then every connection is closed; `ended` follows."""
        self._send("end")

    def close(self) -> None:
        """Ask it to end; `closed` follows. Never fails."""
        self._closing = True
        with suppress(SessionClosed):
            self._send("close")

    def kill(self, grace: float = 5) -> int | None:
        """End it: its queries are cancelled first, if it still listens."""
        with self._lock, suppress(OSError):
            if self.child.stdin:
                self.child.stdin.close()
        self.child.wait(grace)
        return self.child.kill_tree(grace_int=0, grace_term=0)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event, or None if there was none in so many seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def _send(self, command: str, **arguments: Any) -> None:
        data = json.dumps({"command": command, **arguments}).encode() + b"\n"
        with self._lock:
            try:
                if self.child.stdin is None:
                    raise SessionClosed("the dbt session has no input")
                while data:  # a raw pipe may take less than it is given
                    data = data[self.child.stdin.write(data) :]
            except (OSError, ValueError) as error:
                raise SessionClosed("the dbt session has ended") from error

    def _listen(self) -> None:
        closed = False
        if self.child.stdout:
            with os.fdopen(os.dup(self.child.stdout.fileno()), "rb") as lines:
                for line in lines:
                    try:
                        event = json.loads(line)
                    except ValueError:  # the last line of a killed one
                        continue
                    closed = closed or event.get("event") == "closed"
                    self._hand_over(event)
            self.child.stdout.close()
        code = self.child.wait()
        if not closed:
            self._hand_over({"event": "died", "exit_code": code, "signal": self.child.signal})

    def _hand_over(self, event: Event) -> None:
        with suppress(Exception):  # whoever listens may fail; the session goes on
            self._deliver(event)


def _to_nobody(data: bytes) -> None:
    """Output that nobody wants is still read: a full pipe would stop the session."""


def _is_below(database: str | None, folder: Path | None) -> bool:
    return bool(database and folder and Path(database).is_relative_to(folder))
