"""The list of flows with their latest runs, and the buttons that start them."""

import secrets
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access import acting
from flows.infra.ids import id_of
from flows.models import Flow
from flows.parameters import ParameterError
from flows.projects.current_environment import chosen_environment
from nodes.ordering import GATE
from nodes.services import pause_flow
from nodes.views.editor import flow_or_404, page_context
from runs import services
from runs.forms import StartForm
from runs.models import Run, TaskRun, Trigger
from runs.pages.flow_list import flows_with, lines_of
from runs.states import RunState, TaskState

PAGE = 50
MOST_AT_ONCE = 100
_STATES = [("", "Any state"), *((state.value, state.value.capitalize()) for state in RunState), ("none", "Never ran")]


@require_safe
@permission_required("flows.view_flow", raise_exception=True)
def flows(request: HttpRequest) -> HttpResponse:
    """All flows: ?q=, ?state=, ?tag=, ?paused= narrow the list, ?page= pages it."""
    filters = {name: request.GET.get(name, "").strip()[:200] for name in ("q", "state", "tag", "paused")}
    environment = chosen_environment(request)
    rows = flows_with(
        query=filters["q"].replace("\0", ""),
        environment=environment,
        state=filters["state"].replace("\0", ""),
        tag=filters["tag"],
        paused={"1": True, "0": False}.get(filters["paused"]),
    )
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "lines": lines_of(list(page.object_list)),
        "filters": filters,
        "narrowed": any(filters.values()),
        "environment": environment,
        "states": _STATES,
        "tags": sorted({tag for tags in Flow.objects.values_list("tags", flat=True) for tag in tags}),
        "key": secrets.token_urlsafe(12),
        "may_add": acting().may("flows.add_flow"),
        "may_run": acting().may("runs.add_run"),
        "may_pause": acting().may("flows.pause_flow"),
    }
    fragment = getattr(request, "htmx", False) and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, "runs/_flows.html" if fragment else "runs/flows.html", context)


def _link(run: Run) -> str:
    return format_html('<a href="{}">{}</a>', reverse("runs:run", args=[run.pk]), run)


def _start(request: HttpRequest, flow: Flow, values: dict[str, Any], key: str) -> Run:
    actor = acting()
    once = f"form {key[:60]} {flow.pk}" if key else None
    return services.start_run(
        flow, trigger=Trigger.MANUAL, actor=actor.name, user=actor.user, parameters=values, key=once
    )


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("runs.add_run", raise_exception=True)
def start(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Start a flow. One that declares parameters asks for their values first; a form starts one run, sent twice too."""
    flow = flow_or_404(flow_id)
    key = request.POST.get("key", "")
    submitted = "start" in request.POST
    form = StartForm(flow, request.POST if submitted else None)
    if request.method == "POST" and (not flow.parameters or (submitted and form.is_valid())):
        try:
            run = _start(request, flow, form.values if submitted else {}, key)
        except ParameterError as error:
            messages.error(request, f"{flow}: {error}")
        else:
            messages.success(request, format_html("{} was started.", _link(run)))
            return redirect(reverse("runs:run", args=[run.pk]))
    context = {**page_context(flow), "form": form, "key": key or secrets.token_urlsafe(12)}
    return render(request, "runs/start.html", context, status=422 if form.is_bound and form.errors else 200)


@require_POST
@permission_required("flows.view_flow", raise_exception=True)
def bulk(request: HttpRequest) -> HttpResponse:
    """Run, pause or resume the chosen flows."""
    chosen = [pk for text in request.POST.getlist("flow") if (pk := id_of(text)) is not None][:MOST_AT_ONCE]
    rows = list(Flow.objects.filter(pk__in=chosen).select_related("environment__project"))
    action = request.POST.get("action", "")
    if not rows:
        messages.warning(request, "Select flows first, with the checkboxes on the left.")
    elif action == "run":
        _run_all(request, rows)
    elif action in ("pause", "resume"):
        for flow in rows:
            pause_flow(flow, action == "pause")
        done = "paused" if action == "pause" else "resumed"
        messages.success(request, f"{len(rows)} flow{'' if len(rows) == 1 else 's'} {done}.")
    else:
        messages.error(request, "Choose what to do with the flows: run, pause or resume.")
    return redirect("runs:flows")


def _run_all(request: HttpRequest, rows: list[Flow]) -> None:
    started = []
    for flow in rows:
        try:
            started.append(_start(request, flow, {}, request.POST.get("key", "")))
        except ParameterError as error:
            messages.error(request, f"{flow}: {error} Start this flow on its own to enter its values.")
    for run in started[:5]:
        messages.success(request, format_html("{} was started.", _link(run)))
    if len(started) > 5:
        messages.success(request, f"{len(started) - 5} more were started.")


@require_safe
@permission_required("flows.view_flow", raise_exception=True)
def states(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The state of each node in the flow's latest run: {"nodes": {id: {"state", "run_url"}}}."""
    flow = get_object_or_404(Flow, pk=flow_id)
    run = flow.runs.order_by("-pk").first()
    nodes: dict[str, dict[str, str]] = {}
    if run is not None and acting().may("runs.view_run"):
        url = reverse("runs:run", args=[run.pk])
        by_node: dict[int, set[str]] = {}
        rows = TaskRun.objects.filter(run=run, node__isnull=False).exclude(kind=GATE)
        for node_id, state in rows.values_list("node_id", "state").distinct():
            by_node.setdefault(node_id, set()).add(state)
        nodes = {str(pk): {"state": _worst(of_node), "run_url": url} for pk, of_node in by_node.items()}
    return JsonResponse({"nodes": nodes})


# A node is shown in the first of these states that one of its tasks has.
_WORST = (
    *(TaskState.FAILED, TaskState.RUNNING, TaskState.WAITING, TaskState.QUEUED, TaskState.CANCELLED),
    *(TaskState.SKIPPED, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.REUSED),
)


def _worst(present: set[str]) -> str:
    return next(state for state in _WORST if state in present)
