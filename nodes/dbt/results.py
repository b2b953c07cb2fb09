"""From what dbt says of single resources to the result of a task: its status, its message, its tests. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

# dbt's words for the ways a resource ends -> the words of a task and of a test
TASK = {
    "success": "success",
    "pass": "success",
    "warn": "success",
    "no-op": "success",
    "fail": "fail",
    "skipped": "skipped",
}
TEST = {"success": "pass", "pass": "pass", "warn": "warn", "fail": "fail", "skipped": "skipped"}
_ERRORS = ("error", "runtime error")
GOOD = ("success", "pass", "warn", "no-op")  # what dbt counts as a success


class Ended(Protocol):
    """What became of one resource, in dbt's words."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def status(self) -> str:
        """How it ended."""

    @property
    def message(self) -> str:
        """What dbt says of it."""

    @property
    def failures(self) -> int | None:
        """Of a test: the number of rows that fail."""

    @property
    def execution_time(self) -> float:
        """Seconds."""

    @property
    def good(self) -> bool:
        """Whether dbt counts it as a success."""


def named(outcome: Ended, known: Mapping[str, str]) -> str:
    """The message of an outcome; with the name that dbt has for it where dex has none."""
    if outcome.status in known or outcome.status in _ERRORS:
        return outcome.message
    return f"dbt ended it as “{outcome.status}”{': ' if outcome.message else ''}{outcome.message}"


def report_of_test(unique_id: str, outcome: Ended | None) -> dict[str, Any]:
    """A test as the result of its task names it; one without an outcome was skipped."""
    if outcome is None:
        name = unique_id.split(".")[2]
        said: dict[str, Any] = {"status": "skipped", "failures": None, "message": "", "execution_time": 0.0}
        return {"unique_id": unique_id, "name": name, **said}
    return {
        "unique_id": unique_id,
        "name": outcome.name,
        "status": TEST.get(outcome.status, "error"),
        "failures": outcome.failures,
        "message": named(outcome, TEST),
        "execution_time": outcome.execution_time,
    }


def verdict(
    node: Ended | None, tests: Iterable[Ended], wanted: int, *, builds: bool, cancelled: bool, error: str = ""
) -> tuple[str, str]:
    """(status, message) of a whole task.

    In: what became of the resource, if it ran, and of the tests that ran; how many tests there are; whether the
    resource itself was to run; whether somebody cancelled it; what went wrong beside dbt.
    """
    ran = list(tests)
    broken = [each for each in ran if not each.good]
    built = node.good if node else not builds
    good = built and len(ran) == wanted and not broken and not error
    if cancelled and not good:
        return "cancelled", "cancelled"
    if error:
        return "error", error
    if node is not None and not node.good:
        return TASK.get(node.status, "error"), named(node, TASK)
    if broken:
        names = ", ".join(each.name for each in broken)
        kind = "unit tests" if node is None and builds else "tests"
        failed = any(each.status == "fail" for each in broken)
        return "fail" if failed else "error", f"{len(broken)} of {len(ran)} {kind} failed: {names}"
    return "success", node.message if node else ""


def count_of_rows(rows: object) -> int | None:
    """Rows that a statement changed; drivers say -1 where that is not a question, as of a view."""
    return rows if isinstance(rows, int) and rows >= 0 else None
