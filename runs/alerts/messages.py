"""What a message says: one text about a run as a whole, made from the database, without secrets."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from flows.infra.redaction import Redactor
from flows.infra.times import instant
from flows.models import Flow
from nodes.ordering import GATE
from runs.alerts.failure_groups.models import FailureGroup
from runs.alerts.failure_groups.normalise import first_error_line
from runs.alerts.failure_groups.record import error_line
from runs.alerts.kinds import EventKind
from runs.logs.masking import redactor_of, redactor_of_environment
from runs.models import Run, TaskRun
from runs.planning.usual import usual_duration
from runs.scheduling.upcoming import next_start
from runs.states import TaskState

MOST_NAMED = 10
LONGEST_LINE = 500
_SAID = {
    EventKind.START: "started",
    EventKind.SUCCESS: "succeeded",
    EventKind.FAILURE: "failed",
    EventKind.FIRST: "failed",
    EventKind.RECOVERED: "succeeded again",
    EventKind.REPEATED: "failed again",
    EventKind.SLOW: "is taking longer than usual",
}


def link_to(path: str) -> str:
    """The whole address of a page; the path alone where DEX_SITE_URL is not set."""
    return f"{settings.SITE_URL}{path}"


def of_run(run: Run, event: EventKind, in_a_row: int = 0) -> tuple[str, dict[str, Any]]:
    """Subject and body of a message about a run. In: `in_a_row`, failures up to this one.

    Times are in ISO 8601, UTC; durations in seconds; what is not known is null.
    """
    rows = TaskRun.objects.filter(run=run).exclude(kind=GATE)
    counts = dict(rows.order_by().values_list("state").annotate(number=Count("pk")))
    broken = run.first_failure
    line = error_line(broken) if broken else first_error_line(run.error)
    group = FailureGroup.objects.filter(failures__task_run=broken).first() if broken else None
    usual = usual_duration(run)
    end = run.ended_at or timezone.now()
    failed = rows.filter(state=TaskState.FAILED).order_by("ended_at", "pk").values_list("identifier", flat=True)
    body: dict[str, Any] = {
        "event": str(event),
        "flow": run.flow_name,
        "run": run.pk,
        "state": run.state,
        "environment": run.environment_name,
        "owner": run.flow.owner if run.flow else "",
        "failed_task": broken.identifier if broken else None,
        "failed_tasks": list(failed[:MOST_NAMED]),
        "error": line[:LONGEST_LINE] or None,
        "failed": counts.get(TaskState.FAILED, 0),
        "skipped": counts.get(TaskState.SKIPPED, 0),
        "tasks": sum(counts.values()),
        "failures_in_a_row": in_a_row,
        "note": group.note if group else "",
        "seen": group.count if group else 0,
        "started_at": instant(run.started_at),
        "ended_at": instant(run.ended_at),
        "duration_s": _seconds(end - run.started_at) if run.started_at else None,
        "usual_s": _seconds(usual),
        "next_start": _next(run.flow),
        "url": link_to(reverse("runs:run", args=[run.pk])),
    }
    verb = _SAID[event]
    if event is EventKind.REPEATED:
        verb = f"failed {in_a_row} times in a row"
    subject = f"{run.flow_name} #{run.pk} {verb}"
    if broken and event in (EventKind.FAILURE, EventKind.FIRST, EventKind.REPEATED):
        more = f" and {body['failed'] - 1} more" if body["failed"] > 1 else ""
        subject += f": {broken.identifier}{more}"
    return _clean(redactor_of(run.pk), subject, body)


def of_late(flow: Flow, due_at: datetime, reason: str) -> tuple[str, dict[str, Any]]:
    """Subject and body about a due time that has passed without a run."""
    body = {
        "event": str(EventKind.LATE),
        "flow": flow.name,
        "run": None,
        "environment": str(flow.environment),
        "owner": flow.owner,
        "due_at": instant(due_at),
        "error": reason or None,
        "next_start": _next(flow, after=max(due_at + flow.delay, timezone.now())),
        "url": link_to(reverse("runs:due", args=[flow.pk])),
    }
    subject = f"{flow.name} was due at {due_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC and no run has started"
    return _clean(redactor_of_environment(flow.environment), subject, body)


def of_test(name: str) -> tuple[str, dict[str, Any]]:
    """Subject and body of a test message."""
    body = {"event": str(EventKind.TEST), "flow": None, "run": None, "url": link_to(reverse("home"))}
    return f"Test message of the channel {name}", body


def as_text(subject: str, body: dict[str, Any]) -> str:
    """The message for people, a line a fact."""
    lines = [subject, ""]
    if body.get("failed_task"):
        lines.append(f"First failed task: {body['failed_task']}")
    if body.get("error"):
        lines.append(f"Error: {body['error']}")
    if body.get("failed", 0) + body.get("skipped", 0):
        lines.append(f"{body['failed']} failed, {body['skipped']} skipped of {body['tasks']} tasks")
    if body.get("failed", 0) > 1:
        more = " ..." if body["failed"] > len(body["failed_tasks"]) else ""
        lines.append(f"Failed: {', '.join(body['failed_tasks'])}{more}")
    if body.get("seen", 0) > 1:
        lines.append(f"This failure occurred {body['seen']} times")
    if body.get("note"):
        lines += ["Note:", body["note"]]
    if body.get("owner"):
        lines.append(f"Owner: {body['owner']}")
    if body.get("duration_s") is not None:
        usual = f", usually {_words(body['usual_s'])}" if body.get("usual_s") is not None else ""
        lines.append(f"Took {_words(body['duration_s'])}{usual}")
    if body.get("next_start"):
        lines.append(f"Next start: {body['next_start']}")
    lines += ["", str(body.get("url", ""))]
    return "\n".join(lines)


def _clean(redactor: Redactor, subject: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Without the secrets in scope: names of tasks and notes may hold one too."""

    def mask(value: Any) -> Any:
        if isinstance(value, str):
            return redactor.whole(value)
        return [redactor.whole(each) for each in value] if isinstance(value, list) else value

    one_line = " ".join(mask(subject).split())
    return one_line[:300], {key: mask(value) for key, value in body.items()}


def _next(flow: Flow | None, after: datetime | None = None) -> str | None:
    """When a flow starts next, and after a moment where one is given."""
    return instant(next_start(flow, after)) if flow is not None else None


def _seconds(span: timedelta | None) -> float | None:
    return round(max(span.total_seconds(), 0), 1) if span is not None else None


def _words(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"
