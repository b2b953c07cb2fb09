"""The hooks of one end of a run, as a process of dbt that runs nothing else."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nodes.dbt.commands.log import Line
from nodes.dbt.commands.project import goes_on
from nodes.dbt.protocol import log_line

_ENDS = ("LogHookEndLine", "NodeFinished")


@dataclass
class HookRun:
    """One order to run hooks, and what dbt has said of them so far. `when`: on-run-start or on-run-end."""

    task: str
    when: str
    cancelled: bool = False
    problems: list[str] = field(default_factory=list)
    failed: bool = False  # a hook itself; otherwise dbt did not come so far
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def take(self, line: Line) -> list[dict[str, Any]]:
        """The events that a line of the log makes: what dbt says of other hooks, which do nothing, is left out."""
        of_hook = line.unique_id.startswith("operation.")
        if of_hook and self.when not in line.unique_id:
            return []
        if of_hook and line.event in _ENDS and line.status not in ("success", "skipped", "started"):
            self.failed = True
        if line.text and line.level == "error":
            self.problems.append(line.text.strip())
        return [log_line(self.task, line.level, line.text)] if line.text else []

    def ended_before(self) -> dict[str, Any]:
        """The result of hooks that were cancelled before they began."""
        return self._result("cancelled", "cancelled", "skip")

    def result(self, exit_code: int | None, project_dir: Path, dbt_version: str) -> dict[str, Any]:
        """The result of hooks whose process has ended. `after`: what becomes of the rest, as dbt has it."""
        if exit_code == 0 and not self.failed:
            return self._result("success", "", "")
        if self.cancelled:
            return self.ended_before()
        message = "\n".join(self.problems) or f"dbt ended with exit code {exit_code}"
        after = "abort" if not self.failed else "proceed" if goes_on(project_dir, dbt_version) else "skip"
        return self._result("error", message, after)

    def _result(self, status: str, message: str, after: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "event": "result",
            "task": self.task,
            "unique_id": self.when,
            "status": status,
            "message": message,
            "rows_affected": None,
            "adapter_response": {},
            "failures": None,
            "started_at": self.begun_at.isoformat(),
            "finished_at": now.isoformat(),
            "execution_time": (now - self.begun_at).total_seconds(),
            "tests": [],
            "after": after,
        }
