"""What pages and commands read of runs."""

from typing import Any

from runs.models import Run


def as_json(run: Run) -> dict[str, Any]:
    """{"run", "state", "error", "tasks": [{"identifier", "state", "reason", "started_at", "finished_at", "attempts"}]}; times in ISO 8601, UTC."""
    rows = run.task_runs.exclude(kind="gate")
    return {
        "run": run.pk,
        "flow": run.flow_name,
        "state": run.state,
        "error": run.error,
        "tasks": [
            {
                "identifier": row.identifier,
                "state": row.state,
                "reason": row.reason,
                "started_at": row.started_at and row.started_at.isoformat(),
                "finished_at": row.ended_at and row.ended_at.isoformat(),
                "attempts": row.attempts,
            }
            for row in rows
        ],
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
