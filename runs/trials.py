"""Trying a script: one run of one package outside of its flow, with parameters that nobody saved."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from flows.access import require
from flows.models import Flow
from flows.parameters import ParameterError, check_values
from nodes.forms import ArgumentsWidget
from nodes.kinds.base import Problem
from nodes.kinds.script import options_of, problems_of
from nodes.models import Node
from runs.engine.release import release
from runs.logview import reading
from runs.logview.views import shown_lines
from runs.models import Run, TaskRun, Trigger
from runs.planning import warehouse_pool_of
from runs.services import RunError
from runs.states import RunState
from runs.transitions import move_run, open_run, open_task_runs

LINES = 60
LARGEST_ID = 2**63


def try_script(node: Node, *, actor: str, user: AbstractBaseUser | None = None) -> Run:
    """Run the package of an unsaved script node once, on the environment's current revision; the run.

    It belongs to no flow, so that no state, schedule or alert of the flow is touched by it. Parameters of the flow have
    their defaults. Raises RunError, PermissionDenied.
    """
    require("runs.add_run", "nodes.change_node")
    environment = node.flow.environment
    revision = environment.current_revision
    if revision is None or not revision.exists_on_disk:
        raise RunError(f"{environment} was not synced yet.")
    problems: list[Problem] = list(problems_of(node, revision.project_dir))
    if problems:
        raise RunError(" ".join(problem.message for problem in problems))
    try:
        parameters = check_values(node.flow.parameters, {})
    except ParameterError as error:
        raise RunError(f"A test uses the defaults of the flow's parameters. {error}") from error
    with transaction.atomic():
        run = open_run(
            None,
            name=f"Test of {node.package}",
            environment=environment,
            actor=actor,
            trigger=Trigger.TEST,
            triggered_by=user,
            parameters=parameters,
            revision=revision,
        )
        move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor=actor, started_at=Now())
        key = f"script.{node.package}"
        task = TaskRun(
            run=run,
            node_name=node.name or node.package,
            kind=Node.Kind.SCRIPT,
            unique_id=key,
            identifier=node.package,
            resource_type="script",
            warehouse_pool=warehouse_pool_of(revision) if node.uses_warehouse else "",
            spec={"unique_id": key, "timeout": node.timeout or settings.TASK_TIMEOUT_S, **options_of(node)},
        )
        open_task_runs([task], [], actor=actor)
    release(run.pk)
    return run


@require_POST
@permission_required(["runs.add_run", "nodes.change_node"], raise_exception=True)
def try_once(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Run what a script's form holds, once; a part of a page that follows it, or the page of the run."""
    flow = get_object_or_404(Flow.objects.select_related("environment"), pk=flow_id if flow_id < LARGEST_ID else None)
    node = Node(
        flow=flow,
        name=request.POST.get("name", "")[:200],
        kind=Node.Kind.SCRIPT,
        package=request.POST.get("package", "")[:200],
        arguments=ArgumentsWidget().value_from_datadict(request.POST, {}, "arguments") or [],
        uses_warehouse="uses_warehouse" in request.POST,
        network="network" in request.POST,
    )
    try:
        run = try_script(node, actor=request.user.get_username(), user=request.user)  # type: ignore[arg-type]
    except RunError as error:
        return render(request, "runs/_trial.html", {"problem": str(error)})
    if not getattr(request, "htmx", False):
        return redirect("runs:run", run.pk)
    return render(request, "runs/_trial.html", _context(run))


@require_safe
@permission_required(["runs.view_run", "runs.view_log"], raise_exception=True)
def trial(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far a test is."""
    run = get_object_or_404(Run, pk=run_id if run_id < LARGEST_ID else None, trigger=Trigger.TEST)
    return render(request, "runs/_trial.html", _context(run))


def _context(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    task = run.task_runs.first()
    if task is None:
        raise Http404("This test is gone.")
    attempt = task.tries.last()
    lines = []
    if attempt is not None:
        lines = shown_lines(reading.window(attempt.log_path).lines[-LINES:])
    return {"run": run, "task": task, "attempt": attempt, "lines": lines}
