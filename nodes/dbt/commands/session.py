"""`python -m nodes.dbt.commands.session PROGRAM`: executes resources by commands of dbt, in place of a dbt session.

It speaks the protocol of nodes.dbt.session (docs/decisions/0002-dbt-session.md, with what 0028 adds): one process of
dbt at a time builds all that may be built now. Everything happens in one thread, in the order of one queue.
"""

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes.dbt.commands.hooks import HookRun
from nodes.dbt.commands.log import Line, Outcome, read
from nodes.dbt.commands.opening import open_project
from nodes.dbt.commands.process import Place, Process
from nodes.dbt.commands.project import MARKER, Resources
from nodes.dbt.commands.work import Work, choose, compare
from nodes.dbt.protocol import Writer, log_line

GATHER_S = 0.1  # orders that come together share a process
SETTLE_S = 0.4  # after a cancel others may follow
TICK_S = 0.2

Item = tuple[str, Any, Any]


class Session:
    """Takes orders, and has dbt execute them."""

    def __init__(self, events: Writer, program: str) -> None:
        self._events, self._program = events, program
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._place: Place | None = None
        self._resources = Resources({})
        self._copy: Path | None = None  # whose hooks wait; None where the project has no hooks
        self._plan: dict[str, Work] = {}
        self._orders: dict[str, Work] = {}  # by task, what waits for a process
        self._hook_orders: dict[str, HookRun] = {}
        self._by_order: set[str] = set()  # keys that are executed only when they are ordered, until the next plan
        self._misplaced: set[str] = set()  # the same for the whole run: dbt has another order for them
        self._done: set[str] = set()  # keys that ended well
        self._ahead = True  # whether a process may begin what is planned only; after a refusal not, until an order
        self._process: Process | None = None
        self._aboard: dict[str, Work] = {}  # by key, what the process is to execute and has not ended yet
        self._owners: dict[str, Work] = {}  # by unique id, of the process
        self._errors: list[str] = []  # what the process said of no resource
        self._late: dict[str, Work] = {}  # by key, what has ended with its process and was not ordered yet
        self._hook_run: HookRun | None = None  # whose hooks the process runs
        self._launch_at: float | None = None
        self._ending = False
        self._commands: dict[str, Callable[[dict[str, Any]], None]] = {
            "open": self._open,
            "begin": self._begin,
            "plan": self._plan_order,
            "execute": self._execute,
            "hooks": self._hooks,
            "refuse": lambda order: self._keep_back(str(order["key"])),
            "cancel": self._cancel,
            "end": self._end,
            "close": self._close,
        }

    def listen(self) -> None:
        """Obey until the input ends."""
        threading.Thread(target=self._hear_orders, name="orders", daemon=True).start()
        while True:
            try:
                kind, one, two = self._queue.get(timeout=0.02 if self._launch_at else TICK_S if self._process else None)
            except queue.Empty:
                kind, one, two = "", None, None
            if kind == "eof":
                self._leave(1)
            elif kind == "order":
                self._commands[one["command"]](one)
            elif kind == "said" and one is self._process:
                if two is None:
                    self._ended()
                else:
                    self._take(read(two))
            self._go_on()

    def _hear_orders(self) -> None:
        for line in sys.stdin.buffer:
            self._queue.put(("order", json.loads(line), None))
        self._queue.put(("eof", None, None))

    def _hear_process(self, process: Process, line: bytes | None) -> None:
        self._queue.put(("said", process, line))

    def _leave(self, code: int) -> None:
        if self._process is not None:
            self._process.interrupt()
            until = time.monotonic() + 1.5
            while self._process.exit_code is None and time.monotonic() < until:
                time.sleep(0.02)
            self._process.kill()
        self._events.finish()
        os._exit(code)

    def _fatal(self, message: str) -> None:
        self._events.emit({"event": "fatal", "message": message})
        self._leave(1)

    # --- orders ------------------------------------------------------------------------------------------
    def _open(self, order: dict[str, Any]) -> None:
        self._place, self._resources, self._copy = open_project(order, self._program)
        self._events.emit({"event": "ready", "pid": os.getpid(), "threads": self._place.threads})

    def _begin(self, order: dict[str, Any]) -> None:
        self._plan, self._misplaced = {}, set()
        self._by_order, self._done, self._late = set(), set(), {}
        self._events.emit({"event": "begun", "ok": True, "proceed": True, "message": "", "hooks": []})

    def _plan_order(self, order: dict[str, Any]) -> None:
        plan = [Work.of(item) for item in order["items"]]
        ids = {work.key: work.unique_id for work in plan}
        self._plan = {work.key: work.keeping(lambda key: ids.get(key, ""), self._resources.parents) for work in plan}
        self._by_order = set()  # what is done stays so: a process that goes on has it from an earlier plan

    def _execute(self, order: dict[str, Any]) -> None:
        key = str(order.get("key"))
        aboard = self._late.pop(key, None) or self._aboard.get(key)
        if aboard is not None and not aboard.task:  # dbt has it already
            aboard.task, aboard.compiled = str(order["task"]), bool(order.get("compiled"))
            if aboard.offered:
                self._events.emit({"event": "executing", "task": aboard.task})
            for event in aboard.unsaid:
                self._events.emit({**event, "task": aboard.task})
            aboard.unsaid.clear()
            self._finish_if_over(aboard)
            return
        self._orders[str(order["task"])] = Work.of(order)
        self._ahead = True
        self._soon(GATHER_S)

    def _hooks(self, order: dict[str, Any]) -> None:
        self._hook_orders[str(order["task"])] = HookRun(str(order["task"]), str(order["when"]))
        self._soon(0)

    def _cancel(self, order: dict[str, Any]) -> None:
        task = str(order["task"])
        if work := self._orders.pop(task, None):
            work.cancelled = True
            self._tell(work)
        elif hooks := self._hook_orders.pop(task, None):
            self._events.emit(hooks.ended_before())
        running: list[Work | HookRun] = [*self._aboard.values(), *([self._hook_run] if self._hook_run else [])]
        if self._process is not None and (aboard := [each for each in running if each.task == task]):
            aboard[0].cancelled = True
            self._process.interrupt()

    def _end(self, order: dict[str, Any]) -> None:
        self._ending = True
        left = [work for work in self._aboard.values() if not work.over]
        if self._process is not None and left and not any(work.task for work in left):
            self._process.interrupt()  # nobody will claim what it goes on with

    def _close(self, order: dict[str, Any]) -> None:
        self._events.emit({"event": "closed"})
        self._leave(0)

    # --- processes ---------------------------------------------------------------------------------------
    def _soon(self, pause: float) -> None:
        self._launch_at = self._launch_at or time.monotonic() + pause

    def _go_on(self) -> None:
        if self._process is not None:
            self._process.insist()
            return
        if self._launch_at is not None and time.monotonic() >= self._launch_at:
            self._launch_at = None
            self._launch()
        if self._ending and self._process is None and not self._orders and not self._hook_orders:
            self._ending = False
            self._events.emit({"event": "ended", "ok": True, "message": "", "hooks": []})

    def _launch(self) -> None:
        place = self._place
        if place is None:
            raise RuntimeError("the first command has to be open")
        flags: tuple[bool, int | None] = (False, None)
        if self._hook_orders:
            self._hook_run = self._hook_orders.pop(next(iter(self._hook_orders)))
            terms = [MARKER[self._hook_run.when]]
        elif chosen := self._choose():
            flags = next(iter(chosen)).flags
            terms = [self._resources.term(each) for work in chosen for each in work.resources]
            self._aboard = {work.key: work for work in chosen}
            self._owners = {each: work for work in chosen for each in work.resources}
            for work in chosen:
                self._orders.pop(work.task, None)
        else:
            return
        self._errors = []
        argv = place.command(terms, full_refresh=flags[0], threads=flags[1], copy=self._copy)
        self._process = Process(argv, place, self._hear_process)  # an OSError says why it cannot start

    def _choose(self) -> list[Work]:
        """What the next process executes. What is ordered and not in the project has failed."""
        for work in list(self._orders.values()):
            if unknown := [each for each in work.resources if each not in self._resources]:
                del self._orders[work.task]
                self._tell(work, f"the project has no resource {unknown[0]}")
        kept_back = {*self._done, *self._by_order, *self._misplaced, *self._late}
        ahead = [work for work in self._plan.values() if self._ahead and work.key not in kept_back]
        return choose(list(self._orders.values()), ahead, self._done, self._resources.term)

    def _take(self, line: Line) -> None:
        if self._hook_run is not None:
            for event in self._hook_run.take(line):
                self._events.emit(event)
            return
        work = self._owners.get(line.unique_id)
        if work is None or work.key not in self._aboard:
            if line.text:
                self._events.emit(log_line(None, line.level, line.text))
                if not line.unique_id and (line.level == "error" or not line.event):
                    self._errors = [*self._errors[-20:], line.text]
            return
        outcome = work.take(line)
        if line.begun or (outcome is not None and outcome.status != "skipped"):
            self._begun(work)
        if line.text:
            self._log(work, line.level, line.text)
        if outcome is not None:
            self._take_outcome(work, outcome)

    def _begun(self, work: Work) -> None:
        if work.offered:
            return
        work.begin()
        if work.task:
            self._events.emit({"event": "executing", "task": work.task})
            return
        ended = self._done | {each.key for each in self._owners.values() if each.good}
        if work.follows(ended, ended):
            self._announce()
        else:  # dbt has another order than the run
            self._misplaced.add(work.key)
            self._keep_back(work.key)

    def _announce(self) -> None:
        """Offer what dbt has begun, as soon as what it waits for was ordered and has been told: dbt may be quicker."""
        for work in (*self._aboard.values(), *self._late.values()):
            if work.offered and not work.announced and not work.task and work.follows(self._done, self._done):
                work.announced = True
                self._events.emit({"event": "starting", "key": work.key})

    def _log(self, work: Work, level: str, text: str) -> None:
        take = self._events.emit if work.task else work.unsaid.append
        take(log_line(work.task or None, level, text))

    def _take_outcome(self, work: Work, outcome: Outcome) -> None:
        if self._process is not None and self._process.interrupted_at is not None and not outcome.good:
            return  # it was broken off, which says nothing of the resource
        work.outcomes[outcome.unique_id] = outcome
        if outcome.message and not outcome.good and outcome.status != "skipped":
            self._log(work, "error", outcome.message)
        self._finish_if_over(work)

    def _finish_if_over(self, work: Work) -> None:
        if work.over and work.task:
            self._aboard.pop(work.key, None)
            if work.was_skipped and not work.put_off:  # for something of this process that failed
                work.put_off = True
                self._orders[work.task] = work.again()
                self._soon(0)
            else:
                self._tell(work)
        elif work.over and not work.offered:  # dbt skipped it, as the run does
            self._aboard.pop(work.key, None)

    def _tell(self, work: Work, error: str = "") -> None:
        if work.good:
            self._done.add(work.key)
        else:
            self._by_order.add(work.key)
        code = ""
        if work.compiled and work.builds and self._place is not None and work.outcomes:
            code = self._resources.compiled(work.unique_id, self._place.target_path)
        self._events.emit(work.result(code, error))
        self._announce()

    def _keep_back(self, key: str) -> None:
        """What was offered may not be executed now."""
        self._by_order.add(key)
        self._ahead = False
        self._late.pop(key, None)
        work = self._aboard.pop(key, None)
        if work is not None and not work.over and self._process is not None:
            self._process.interrupt()

    def _ended(self) -> None:
        process, hooks, aboard = self._process, self._hook_run, self._aboard
        self._process, self._hook_run, self._aboard = None, None, {}
        if process is None:
            return
        interrupted = process.interrupted_at is not None
        if process.signal and not interrupted:
            self._fatal(f"dbt was killed by signal {process.signal}")
        if hooks is not None:
            project = process.place.project_dir
            self._events.emit(hooks.result(process.exit_code, project, self._resources.dbt_version))
            return
        for problem in compare(self._owners, process.results(), interrupted=interrupted):
            self._events.emit(log_line(None, "error", problem))
        for work in aboard.values():
            self._after_the_process(work, process, interrupted)
        self._owners = {}
        if self._orders or self._hook_orders:
            self._launch_at = time.monotonic() + (SETTLE_S if interrupted else 0)

    def _after_the_process(self, work: Work, process: Process, interrupted: bool) -> None:
        """Of what had not ended when the process did: it is over now, goes to another process, or has failed."""
        if not work.task:
            if work.over and (work.offered or work.good):
                self._late[work.key] = work
            return
        if work.over or work.cancelled:
            self._tell(work)
        elif interrupted:
            self._events.emit(log_line(work.task, "warn", "dbt was stopped for another task; this one starts again"))
            self._orders[work.task] = work.again()
        else:
            self._tell(work, "\n".join(self._errors) or f"dbt ended with exit code {process.exit_code} without it")


def main() -> None:
    """Take the pipes for the protocol alone, then obey."""
    protocol = os.dup(1)
    os.dup2(2, 1)
    events = Writer(protocol)
    events.start()
    session = Session(events, sys.argv[1])
    try:
        session.listen()
    except Exception as error:
        traceback.print_exc()
        session._fatal(str(error) or type(error).__name__)


if __name__ == "__main__":
    main()
