"""`python -m nodes.dbt.session`: a dbt process that stays and executes single resources when told to.

Commands come as lines of JSON on standard input, events go as lines of JSON to what standard output was
at the start; docs/decisions/0002-dbt-session.md has the protocol. Everything else that is printed goes to
standard error.
"""

import io
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from nodes.dbt.execution import Execution, Hooks
from nodes.dbt.internals import Project
from nodes.dbt.protocol import Writer, log_line

GRACE_S = 2.0  # for queries to be cancelled once nobody listens any more

_current: ContextVar[str | None] = ContextVar("task", default=None)


class _Printed(io.TextIOBase):
    """Standard output of Python models: whole lines, each to the log of the task that printed it."""

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self._rest = threading.local()

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._rest, "text", "") + text).split("\n")
        self._rest.text = rest
        for line in lines:
            self._log("info", line)
        return len(text)


class Session:
    """Takes commands one after the other; executions run side by side in threads of their own."""

    def __init__(self, events: Writer) -> None:
        self._events = events
        self._project: Project | None = None
        self._orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[tuple[Execution | Hooks, Callable[[], None]] | None] = queue.SimpleQueue()
        self._executions: dict[str, Execution | Hooks] = {}  # from the command to the result
        self._started: set[str] = set()  # those of the current run
        self._idle = threading.Condition()
        threading.Thread(target=self._obey, name="control", daemon=True).start()

    def listen(self) -> None:
        """Read commands until there are no more; a cancel does not wait for what is going on."""
        for line in sys.stdin.buffer:
            order = json.loads(line)
            if order["command"] == "cancel":
                self.cancel(str(order["task"]))
            else:
                execution: Execution | Hooks | None = None
                if order["command"] == "execute":
                    execution = Execution(order, self._submit, self._report)
                elif order["command"] == "hooks":
                    execution = Hooks(order, self._report)
                if execution:  # known from now on: a cancel may be the next line
                    with self._idle:
                        self._executions[execution.task] = execution
                self._orders.put(order)
                if order["command"] == "close":
                    threading.Event().wait()  # the control thread ends the process
        self.abandon()

    def cancel(self, task: str) -> None:
        """Cancel one task, wherever it is; what it left unfinished is reported as cancelled."""
        with self._idle:
            execution = self._executions.get(task)
        if execution and not execution.ticket.cancelled.is_set():
            execution.ticket.cancelled.set()
            threading.Thread(target=self._interrupt, args=(execution,), daemon=True).start()

    def abandon(self, code: int = 1) -> None:
        """Nobody listens any more: cancel what runs and end, whatever happens."""
        with self._idle:
            running = list(self._executions.values())
        for execution in running:
            self.cancel(execution.task)
        for execution in running:
            execution.ticket.over.wait(GRACE_S / max(1, len(running)))
        os._exit(code)

    def log(self, level: str, text: str) -> None:
        """A line of dbt; it belongs to the task whose thread says it."""
        if text:
            self._events.emit(log_line(_current.get(), level, text))

    def _interrupt(self, execution: Execution | Hooks) -> None:
        # Between two statements there is nothing to interrupt, so we try until it is over, less and less often.
        pause = 0.05
        while self._project is not None and not execution.ticket.over.wait(pause):
            self._project.interrupt(execution.ticket)
            pause = min(1.0, pause * 1.5)

    def _obey(self) -> None:
        while True:
            order = self._orders.get()
            try:
                getattr(self, f"_{order['command']}")(order)
            except Exception as error:
                traceback.print_exc()
                self._fatal(str(error) or type(error).__name__)

    def _fatal(self, message: str) -> None:
        self._events.emit({"event": "fatal", "message": message})
        self._events.finish()
        os._exit(1)

    def _open(self, order: dict[str, Any]) -> None:
        options = {key: value for key, value in order.items() if key != "command"}
        self._project = Project(log=self.log, **options)
        for number in range(self._project.threads):
            threading.Thread(target=self._serve, name=f"Thread-{number + 1} (worker)", daemon=True).start()
        self._events.emit({"event": "ready", "pid": os.getpid(), "threads": self._project.threads})

    def _opened(self) -> Project:
        if self._project is None:
            raise RuntimeError("the first command has to be open")
        return self._project

    def _begin(self, order: dict[str, Any]) -> None:
        project = self._opened()
        try:
            options = {name: order[name] for name in ("hooks", "label", "leftovers", "invocation") if name in order}
            report = project.begin(order["unique_ids"], **options)
        except Exception as error:  # no connection, a locked file: the session itself is fine
            project.release()
            self._events.emit({"event": "begun", "ok": False, "proceed": False, "message": str(error), "hooks": []})
            return
        self._events.emit(
            {
                "event": "begun",
                "ok": not report.message,
                "proceed": report.proceed,
                "message": report.message,
                "hooks": list(report.hooks),
            }
        )

    def _execute(self, order: dict[str, Any]) -> None:
        project = self._opened()
        with self._idle:
            execution = self._executions[str(order["task"])]
            self._started.add(execution.task)
        self._submit(execution, lambda: execution.start(project))

    _hooks = _execute

    def _end(self, order: dict[str, Any]) -> None:
        project = self._opened()
        with self._idle:
            self._idle.wait_for(lambda: not self._started)
        report = project.end()
        self._events.emit(
            {"event": "ended", "ok": report.proceed, "message": report.message, "hooks": list(report.hooks)}
        )

    def _close(self, order: dict[str, Any]) -> None:
        for task in list(self._executions):
            self.cancel(task)
        if self._project is not None:
            self._project.close()
        self._events.emit({"event": "closed"})
        self._events.finish()
        os._exit(0)

    def _submit(self, execution: Execution | Hooks, work: Callable[[], None]) -> None:
        self._work.put((execution, work))

    def _serve(self) -> None:
        while True:
            job = self._work.get()
            if job is None:
                return
            execution, work = job
            _current.set(execution.task)
            try:
                work()
            except BaseException as error:  # a thread of the session never ends
                self._report(log_line(execution.task, "error", f"{type(error).__name__}: {error}"))
            finally:
                _current.set(None)
            del job, execution, work

    def _report(self, event: dict[str, Any]) -> None:
        if event["event"] == "result":
            with self._idle:
                self._executions.pop(event["task"], None)
                self._started.discard(event["task"])
                self._idle.notify_all()
        self._events.emit(event)


def main() -> None:
    """Take the pipes for the protocol alone, then obey."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Celery's workers ignore it, children inherit that
    protocol = os.dup(1)
    os.dup2(2, 1)
    events = Writer(protocol)
    events.start()
    session = Session(events)
    sys.stdout = _Printed(session.log)
    try:
        session.listen()
    except KeyboardInterrupt:
        session.abandon(130)
    except Exception:
        traceback.print_exc()
        session.abandon(1)


if __name__ == "__main__":
    main()
