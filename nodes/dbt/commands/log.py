"""One line of dbt's JSON log, as far as the command executor needs it. Unknown events are read as well. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodes.dbt.results import GOOD

_OVER = ("NodeFinished",)  # the one event that carries how a resource ended
_BEGINS = ("LogStartLine", "NodeExecuting")  # NodeStart is said of what is then skipped, too
_ENDS = (*GOOD, "fail", "error", "runtime error", "skipped", "partial success")


@dataclass(frozen=True)
class Outcome:
    """What became of one resource, in dbt's words."""

    unique_id: str
    name: str
    status: str
    message: str = ""
    failures: int | None = None
    execution_time: float = 0.0
    adapter_response: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether dbt counts it as a success."""
        return self.status in GOOD


@dataclass(frozen=True)
class Line:
    """What one line of the log says.

    `unique_id`: the resource it belongs to, "" for none. `text` is for people: empty where nobody needs it.
    `begun`: the resource is being executed now, and not only looked at. `outcome`: how it ended.
    """

    event: str = ""
    level: str = "info"
    text: str = ""
    unique_id: str = ""
    begun: bool = False
    status: str = ""
    outcome: Outcome | None = None


def read(data: bytes, *, debug: bool = False) -> Line:
    """Read a line; one that is no JSON is a text of no resource. In: `debug`, whether people read its debug lines."""
    text = data.decode("utf-8", "replace").rstrip()
    try:
        said = json.loads(text)
        info = said["info"]
        about = said.get("data") or {}
        node = about.get("node_info") or {}
        event, level, message = str(info.get("name") or ""), str(info.get("level") or "info"), info.get("msg")
        unique_id, status = str(node.get("unique_id") or ""), str(node.get("node_status") or "").lower()
    except (ValueError, TypeError, KeyError, AttributeError):
        return Line(text=text)
    result = about.get("run_result")
    outcome = None
    if unique_id and event in _OVER:
        outcome = outcome_of(unique_id, {**node, **(result if isinstance(result, Mapping) else {})}, status)
    shown = debug or level not in ("debug", "test")
    return Line(
        event=event,
        level=level,
        text=str(message or "").rstrip() if shown else "",
        unique_id=unique_id,
        begun=bool(unique_id) and event in _BEGINS,
        status=status,
        outcome=outcome,
    )


def outcome_of(unique_id: str, result: Mapping[str, Any], status: str = "") -> Outcome | None:
    """The outcome that a result of the log or of run_results.json tells; None where it tells none.

    In: `status`, for a result without one.
    """
    ended = str(result.get("status") or status).lower()
    if ended not in _ENDS and not result.get("status"):
        return None
    failures = result.get("failures", result.get("num_failures"))
    response = result.get("adapter_response")
    return Outcome(
        unique_id=unique_id,
        name=str(result.get("node_name") or name_of(unique_id)),
        status=ended,
        message=str(result.get("message") or ""),
        failures=failures if isinstance(failures, int) and unique_id.startswith(("test.", "unit_test.")) else None,
        execution_time=_seconds(result.get("execution_time")),
        adapter_response=dict(response) if isinstance(response, Mapping) else {},
    )


def name_of(unique_id: str) -> str:
    """The name in a unique id: `not_null_a_id` of `test.shop.not_null_a_id.1234`."""
    parts = unique_id.split(".")
    if parts[0] == "unit_test":
        return parts[-1]
    return parts[2] if len(parts) > 2 else unique_id


def results_in(text: str) -> dict[str, Outcome]:
    """Unique id -> outcome of all that run_results.json holds; nothing of what cannot be read."""
    try:
        rows = json.loads(text)["results"]
        found = [(str(row["unique_id"]), row) for row in rows]
    except (ValueError, TypeError, KeyError):
        return {}
    outcomes = {unique_id: outcome_of(unique_id, row) for unique_id, row in found}
    return {unique_id: outcome for unique_id, outcome in outcomes.items() if outcome is not None}


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
