"""What a dbt session says of one task, turned into how the attempt ended."""

import json
from typing import Any

from flows.infra.redaction import Redactor
from nodes.tasks import After, AttemptOutcome
from runs.engine.claims import Claim
from runs.logs.store import LogWriter

TESTS_KEPT = 500


def outcome_of(event: dict[str, Any], *, timed_out: bool, limit: float | None) -> AttemptOutcome:
    """The end of an attempt from a session's result event; a cancel that a timeout asked for is a timeout."""
    status = event.get("status", "error")
    tests = event.get("tests") or []
    result = {
        "status": status,
        "message": (event.get("message") or "")[:4000],
        "rows_affected": event.get("rows_affected"),
        "execution_time": event.get("execution_time"),
        "adapter_response": event.get("adapter_response") or {},
        "tests": tests[:TESTS_KEPT],
    }
    after: After = event.get("after") or ""
    if after:
        result["after"] = after
    if status == "success":
        return AttemptOutcome("succeeded", _tested(tests), result=result)
    if status == "cancelled":
        if timed_out:
            return AttemptOutcome("failed", f"timeout after {limit:g} s" if limit else "timeout", result=result)
        return AttemptOutcome("cancelled", "cancelled", result=result)
    return AttemptOutcome("failed", _first_line(event.get("message")) or status, result=result, after=after)


def _tested(tests: list[dict[str, Any]]) -> str:
    warned = [test for test in tests if test.get("status") == "warn"]
    return f"{len(warned)} of {len(tests)} tests warned" if warned else ""


def _first_line(message: str | None) -> str:
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    # dbt puts the kind of error first and what happened below it: both are wanted in one line.
    return " ".join(lines[:3])[:1000]


def write_rows(claimed: Claim, sample: dict[str, Any], redactor: Redactor) -> dict[str, str]:
    """Keep the rows that fail tests beside the attempt's log, masked; {"failing_rows": path} or nothing."""
    if not sample:
        return {}
    path = claimed.log_path.removesuffix(".log") + ".rows.json"
    writer = LogWriter(path, redactor, exact=True)
    writer.append(json.dumps(sample).encode())
    writer.close()
    return {"failing_rows": path}


def write_compiled(claimed: Claim, code: str, redactor: Redactor) -> dict[str, str]:
    """Keep the compiled SQL beside the attempt's log, masked; {"compiled": path} or nothing."""
    if not code:
        return {}
    path = claimed.log_path.removesuffix(".log") + ".sql"
    writer = LogWriter(path, redactor, exact=True)
    writer.append(code.encode())
    writer.close()
    return {"compiled": path}
