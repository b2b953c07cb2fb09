"""What dbt knows of one result, as plain data that outlives the session, and back again for on-run-end hooks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dbt.artifacts.schemas.results import NodeStatus, RunStatus, TestStatus, TimingInfo
from dbt.artifacts.schemas.run import RunResult

from nodes.dbt.internals.versions import BatchResults

LONGEST_MESSAGE = 4000
COMPILED = ("test", "unit_test", "operation")  # whose code is kept with the record; that of models is beside their log
WORKER = "Thread-1 (worker)"  # as dbt calls the first of its threads

Batch = tuple[datetime, datetime]


def record_of(result: RunResult) -> dict[str, Any]:
    """A result as plain data."""
    of_batches = getattr(result, "batch_results", None)
    code = getattr(result.node, "compiled_code", None) if result.node.resource_type in COMPILED else None
    return {
        "status": str(result.status),
        "message": None if result.message is None else str(result.message)[:LONGEST_MESSAGE],
        "failures": result.failures,
        "execution_time": result.execution_time,
        "thread_id": result.thread_id,
        "adapter_response": result.adapter_response or {},
        "timing": [
            {"name": each.name, "started_at": _iso(each.started_at), "completed_at": _iso(each.completed_at)}
            for each in result.timing
        ],
        **({"compiled_code": code} if code else {}),
        **(
            {"batches": {"successful": _texts(of_batches.successful), "failed": _texts(of_batches.failed)}}
            if of_batches
            else {}
        ),
    }


def skipped() -> dict[str, Any]:
    """The record of what dbt skips."""
    return {"status": "skipped"}


def result_of(record: Mapping[str, Any], node: Any) -> RunResult:
    """The result that a record was made of, or one that dbt would have made."""
    of_batches = record.get("batches")
    return RunResult(
        status=_status(str(record.get("status") or "error"), node),
        thread_id=str(record.get("thread_id") or WORKER),
        execution_time=float(record.get("execution_time") or 0),
        timing=[
            TimingInfo(str(each["name"]), _time(each.get("started_at")), _time(each.get("completed_at")))
            for each in record.get("timing") or ()
        ],
        message=record.get("message"),
        node=node,
        adapter_response=dict(record.get("adapter_response") or {}),
        failures=record.get("failures"),
        **(
            {"batch_results": BatchResults(batches(of_batches["successful"]), batches(of_batches["failed"]))}
            if of_batches
            else {}
        ),
    )


def batches(texts: Any) -> list[Batch]:
    """Pairs of moments from their texts."""
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in texts]


def _texts(windows: list[Batch]) -> list[list[str]]:
    return [[start.isoformat(), end.isoformat()] for start, end in windows]


def _status(status: str, node: Any) -> RunStatus | TestStatus | NodeStatus:
    kinds = (TestStatus, RunStatus) if node.resource_type in ("test", "unit_test") else (RunStatus, TestStatus)
    for kind in (*kinds, NodeStatus):
        if status in {each.value for each in kind}:
            return kind(status)
    return RunStatus.Error


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
