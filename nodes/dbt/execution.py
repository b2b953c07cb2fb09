"""One task of dex in a dbt session: unit tests, the resource, its tests, in the order of `dbt build`."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from nodes.dbt.internals import HookReport, Outcome, Project, Ticket, skipped
from nodes.dbt.internals.versions import UTC
from nodes.dbt.protocol import log_line
from nodes.dbt.results import count_of_rows, report_of_test, verdict

MOST_CODE = 256 * 1024  # characters of compiled code that are worth sending

Emit = Callable[[dict[str, Any]], None]
Submit = Callable[["Execution", Callable[[], None]], None]


class Execution:
    """Runs in the session's threads; its tests run side by side, the last one to end reports."""

    def __init__(self, order: dict[str, Any], submit: Submit, emit: Emit) -> None:
        self.task = str(order["task"])
        self.ticket = Ticket()
        self._order, self._submit, self._emit = order, submit, emit
        self._lock = threading.Lock()
        self._tests: dict[str, Outcome] = {}
        self._rows: dict[str, dict[str, Any]] = {}  # of tests that failed: some of the rows that fail
        self._node: Outcome | None = None
        self._error = ""
        self._started = datetime.now(UTC)

    def start(self, project: Project) -> None:
        """Do everything up to the tests, and hand those on."""
        self._project = project
        self._started = datetime.now(UTC)
        left = list(self._order.get("tests") or ())
        try:
            if not self._build():
                left = []
        except Exception as error:
            self._error, left = str(error) or type(error).__name__, []
        self._left = len(left)
        for test in left:
            self._submit(self, lambda test=test: self._test(test))  # type: ignore[misc]
        if not left:
            self._finish()

    def _build(self) -> bool:
        """Unit tests and the resource itself; False if its tests make no sense any more."""
        for test in self._order.get("unit_tests") or ():
            if self.ticket.cancelled.is_set():
                return False
            outcome = self._run(test)
            self._tests[test] = outcome
            if not outcome.good and self._order.get("run_model", True):
                return False
        if self._order.get("run_model", True):
            if self.ticket.cancelled.is_set():
                return False
            self._node = self._run(self._order["unique_id"])
            return self._node.good
        return True

    def _test(self, unique_id: str) -> None:
        try:
            outcome = None if self.ticket.cancelled.is_set() else self._run(unique_id)
        except Exception as error:
            outcome = Outcome(unique_id, unique_id, "error", str(error) or type(error).__name__)
        with self._lock:
            if outcome:
                self._tests[unique_id] = outcome
            self._left -= 1
            last = self._left == 0
        if last:
            self._finish()

    def _run(self, unique_id: str) -> Outcome:
        outcome = self._project.execute(
            unique_id,
            self.ticket,
            step=str(self._order.get("step") or ""),
            full_refresh=bool(self._order.get("full_refresh")),
            since=self._order.get("since"),
            known=self._order.get("known"),
            tell=lambda said: self._emit({"event": "batches", "task": self.task, **said}),
        )
        if outcome.message and not outcome.good:
            self._emit(log_line(self.task, "error", outcome.message))
        elif outcome.status == "warn" and outcome.message:
            self._emit(log_line(self.task, "warn", f"{outcome.name}: {outcome.message}"))
        if unique_id.startswith("test."):
            self._sample(outcome)
        return outcome

    def _sample(self, outcome: Outcome) -> None:
        """Keep some of the rows that make a test of data fail. What goes wrong here says nothing about the test."""
        most = int(self._order.get("failing_rows") or 0)
        if not most or not outcome.failures or outcome.status not in ("fail", "warn") or not outcome.compiled_code:
            return
        try:
            sample = self._project.sample(outcome.name, outcome.compiled_code, most, self.ticket)
        except Exception as error:
            sample = {"problem": str(error)[:500] or type(error).__name__}
            self._emit(log_line(self.task, "warn", f"The failing rows of {outcome.name} could not be fetched: {error}"))
        with self._lock:
            self._rows[outcome.unique_id] = sample

    def _finish(self) -> None:
        self.ticket.over.set()
        status, message = self._verdict()
        node = self._node
        finished = datetime.now(UTC)
        result: dict[str, Any] = {
            "event": "result",
            "task": self.task,
            "unique_id": self._order["unique_id"],
            "status": status,
            "message": message,
            "rows_affected": count_of_rows(node.adapter_response.get("rows_affected")) if node else None,
            "adapter_response": node.adapter_response if node else {},
            "failures": node.failures if node else None,
            "started_at": self._started.isoformat(),
            "finished_at": finished.isoformat(),
            "execution_time": node.execution_time if node else (finished - self._started).total_seconds(),
            "tests": [report_of_test(each, self._tests.get(each)) for each in self._wanted_tests()],
            "failing_rows": self._rows,
            "records": self._records(),
        }
        if self._order.get("compiled") and node and node.compiled_code:
            result["compiled_code"] = node.compiled_code[:MOST_CODE]
        self._emit(result)

    def _records(self) -> dict[str, dict[str, Any]]:
        """What dbt's results say of all that was to be executed; what was not reached counts as skipped."""
        node = self._order["unique_id"]
        wanted = [*(self._order.get("unit_tests") or ())]
        wanted += [node] if self._order.get("run_model", True) else []
        wanted += self._order.get("tests") or ()
        records = {key: outcome.record for key, outcome in self._tests.items()}
        records |= {node: self._node.record} if self._node else {}
        return {key: records.get(key) or skipped() for key in wanted}

    def _wanted_tests(self) -> list[str]:
        return [*(self._order.get("unit_tests") or ()), *(self._order.get("tests") or ())]

    def _verdict(self) -> tuple[str, str]:
        """(status, message) of the whole task."""
        return verdict(
            self._node,
            self._tests.values(),
            len(self._wanted_tests()),
            builds=bool(self._order.get("run_model", True)),
            cancelled=self.ticket.cancelled.is_set(),
            error=self._error,
        )


class Hooks:
    """The hooks of one end of a run, as a task: they have a log and a result like a model."""

    def __init__(self, order: dict[str, Any], emit: Emit) -> None:
        self.task = str(order["task"])
        self.ticket = Ticket()
        self._when, self._emit = str(order["when"]), emit
        self._recorded = order.get("recorded")

    def start(self, project: Project) -> None:
        """Run them and report."""
        started = datetime.now(UTC)
        try:
            report = project.run_hooks(self._when, self.ticket, recorded=self._recorded)
            good, message = report.proceed, report.message
        except Exception as error:
            report, good, message = HookReport(False, aborted=True), False, str(error) or type(error).__name__
        self.ticket.over.set()
        if message:
            self._emit(log_line(self.task, "error", message))
        finished = datetime.now(UTC)
        cancelled = self.ticket.cancelled.is_set() and not good
        self._emit(
            {
                "event": "result",
                "task": self.task,
                "unique_id": self._when,
                "status": "success" if good else "cancelled" if cancelled else "error",
                "message": message,
                "rows_affected": None,
                "adapter_response": {},
                "failures": None,
                "started_at": started.isoformat(),
                "finished_at": finished.isoformat(),
                "execution_time": (finished - started).total_seconds(),
                "tests": [],
                "records": report.records,
                # What becomes of the rest of the run, as dbt has it.
                "after": "" if good else "abort" if report.aborted else "proceed" if project.goes_on else "skip",
            }
        )
