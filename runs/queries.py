"""What pages and commands read of runs."""

from typing import Any

from runs.models import Run, TaskRun


def as_json(run: Run) -> dict[str, Any]:
    """A run for scripts: {"run", "flow", "state", "error", "tasks", "tests"}; times in ISO 8601, UTC.

    Tasks and tests are {"identifier", "resource_type", "state", "reason", "started_at", "finished_at", "attempts"};
    `tests` holds those that stand between models, all others are part of their model's task.
    """
    rows = list(run.task_runs.exclude(kind="gate"))
    return {
        "run": run.pk,
        "flow": run.flow_name,
        "state": run.state,
        "error": run.error,
        "tasks": [_task(row) for row in rows if not _stands_between(row)],
        "tests": [_task(row) for row in rows if _stands_between(row)],
    }


def _stands_between(row: TaskRun) -> bool:
    return row.unique_id.startswith("test.")


def _task(row: TaskRun) -> dict[str, Any]:
    return {
        "identifier": row.identifier,
        "resource_type": row.resource_type,
        "state": row.state,
        "reason": row.reason,
        "started_at": row.started_at and row.started_at.isoformat(),
        "finished_at": row.ended_at and row.ended_at.isoformat(),
        "attempts": row.attempts,
    }


def as_table(run: Run) -> str:
    """The same for people: one line a task."""
    rows = list(run.task_runs.exclude(kind="gate"))
    width = max([len(row.identifier) for row in rows] + [4])
    lines = [f"{run} {run.state}" + (f": {run.error or run.reason}" if run.error or run.reason else "")]
    for row in rows:
        took = f"{(row.ended_at - row.started_at).total_seconds():8.2f} s" if row.ended_at and row.started_at else ""
        lines.append(f"  {row.identifier:<{width}}  {row.state:<10} {took:>10}  {row.reason}".rstrip())
    return "\n".join(lines)
