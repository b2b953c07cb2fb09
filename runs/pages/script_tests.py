"""The test of a script on its form: starts one, and follows it."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from flows.models import Flow
from nodes.forms.node import ArgumentsWidget
from nodes.kinds.script import SCRIPT
from nodes.models import Node
from runs.logs import reading
from runs.models import Run, Trigger
from runs.operations.script_tests import start_script_test
from runs.pages.log import shown_lines
from runs.services import RunError

LINES = 60


@require_POST
@permission_required(["runs.add_run", "nodes.change_node"], raise_exception=True)
def start(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Run the script in the form once; answers with a part of a page that follows it, or the page of the run."""
    flow = get_object_or_404(Flow.objects.select_related("environment"), pk=flow_id)
    node = Node(
        flow=flow,
        name=request.POST.get("name", "")[:200],
        kind=SCRIPT.name,
        package=request.POST.get("package", "")[:200],
        arguments=ArgumentsWidget().value_from_datadict(request.POST, {}, "arguments") or [],
        uses_warehouse="uses_warehouse" in request.POST,
        network="network" in request.POST,
    )
    try:
        run = start_script_test(node, actor=request.user.get_username(), user=request.user)  # type: ignore[arg-type]
    except RunError as error:
        return render(request, "runs/_script_test.html", {"problem": str(error)})
    if not getattr(request, "htmx", False):
        return redirect("runs:run", run.pk)
    return render(request, "runs/_script_test.html", _context(run))


@require_safe
@permission_required(["runs.view_run", "runs.view_log"], raise_exception=True)
def script_test(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far a script test is."""
    run = get_object_or_404(Run, pk=run_id, trigger=Trigger.TEST)
    return render(request, "runs/_script_test.html", _context(run))


def _context(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    task = run.task_runs.first()
    if task is None:
        raise Http404("This test no longer exists.")
    attempt = task.tries.last()
    lines = []
    if attempt is not None:
        lines = shown_lines(reading.window(attempt.log_path).lines[-LINES:])
    return {"run": run, "task": task, "attempt": attempt, "lines": lines}
