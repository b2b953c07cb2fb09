"""The log of an attempt: read by lines, searched, followed while it grows, and downloaded."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.utils.http import content_disposition_header
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from flows.access import acting
from runs.logs import reading
from runs.logs.ansi import line_to_html
from runs.logs.store import path_of
from runs.models import Attempt
from runs.states import TaskState

reads = permission_required(["runs.view_run", "runs.view_log"], raise_exception=True)


def _attempt_or_404(run_id: int, task_run_id: int, fence: int) -> Attempt:
    rows = Attempt.objects.select_related("task_run__run")
    return get_object_or_404(rows, task_run__run=run_id, task_run=task_run_id, fence=fence)


def shown_lines(lines: list[reading.Line]) -> list[dict[str, Any]]:
    """Lines for a template: number, and text as HTML with colours."""
    # line_to_html escapes what it is given.
    return [{"number": line.number, "html": mark_safe(line_to_html(line.text, line.beyond))} for line in lines]  # noqa: S308


def _unfinished(shown: reading.Window) -> dict[str, Any] | None:
    return shown_lines([shown.unfinished])[0] if shown.unfinished else None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and 0 < len(text) < 16 else None


@require_safe
@reads
def log(request: HttpRequest, run_id: int, task_run_id: int, fence: int) -> HttpResponse:
    """The log of one attempt: ?line= shows the lines around it, else the end; ?q= lists where a text occurs."""
    attempt = _attempt_or_404(run_id, task_run_id, fence)
    query = request.GET.get("q", "").replace("\0", "")[:200]
    line = _number(request.GET.get("line", ""))
    try:
        first = max(1, line - 200) if line is not None else None
        shown = reading.window(attempt.log_path, first, whole=attempt.ended_at is None)
        matches = reading.search(attempt.log_path, query) if query else None
    except ValueError as error:
        raise Http404("Log not found.") from error
    task = attempt.task_run
    context = {
        "run": task.run,
        "task": task,
        "attempt": attempt,
        "attempts": task.tries.order_by("fence"),
        "lines": shown_lines(shown.lines),
        "unfinished": _unfinished(shown),
        "window": shown,
        "marked": line,
        "query": query,
        "found": matches,
        "hits": shown_lines(matches.hits) if matches else [],
        "earlier": max(1, shown.first - reading.WINDOW + 200) if shown.first > 1 else None,
        "later": shown.last + 201 if shown.last + bool(shown.unfinished) < shown.total else None,
        "goes_on": attempt.ended_at is None and task.state == TaskState.RUNNING and shown.last + 1 >= shown.total,
        "may_download": acting().may("runs.download_log"),
    }
    return render(request, "runs/log.html", context)


@require_safe
@reads
def tail(request: HttpRequest, run_id: int, task_run_id: int, fence: int) -> HttpResponse:
    """What was added to a log since byte ?from=, at which line ?line= begins: {"html", "open", "from", "line", "over"}.

    "open" is the line that has no newline yet, as it is now; it comes again as long as it has none.
    """
    attempt = _attempt_or_404(run_id, task_run_id, fence)
    begin, line = _number(request.GET.get("from", "")) or 0, _number(request.GET.get("line", "")) or 1
    try:
        grown = reading.after(attempt.log_path, begin, line)
    except ValueError as error:
        raise Http404("Log not found.") from error
    html = render_to_string("runs/_log_lines.html", {"lines": shown_lines(grown.lines)})
    unfinished = _unfinished(grown)
    open_line = render_to_string("runs/_log_lines.html", {"unfinished": unfinished}).strip() if unfinished else ""
    over = attempt.ended_at is not None and len(grown.lines) < reading.WINDOW
    answer = {"html": html, "open": open_line, "from": grown.end, "line": line + len(grown.lines), "over": over}
    return JsonResponse(answer)


@require_safe
@reads
def download(request: HttpRequest, run_id: int, task_run_id: int, fence: int) -> StreamingHttpResponse:
    """The whole log as a file: the lines that the page shows, secrets masked as everywhere."""
    if not acting().may("runs.download_log"):
        raise PermissionDenied
    attempt = _attempt_or_404(run_id, task_run_id, fence)
    try:
        path = path_of(attempt.log_path)
    except ValueError as error:
        raise Http404("Log not found.") from error
    try:
        file = path.open("rb")
    except OSError as error:
        raise Http404("This log no longer exists.") from error
    task = "".join(letter if letter.isprintable() else "_" for letter in attempt.task_run.identifier)
    name = f"run-{run_id}-{task}-{fence}.log"
    # Without a length: a line that is drawn again makes the file of a running attempt shorter while it is read.
    answer = StreamingHttpResponse(reading.texts(file), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = content_disposition_header(True, name)
    return answer
