"""The pages of a run: watched live, cancelled, repeated, compared."""

import secrets
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access import acting
from flows.infra.ids import id_of
from flows.parameters import ParameterError
from nodes import kinds
from nodes.ordering import GATE
from runs import services
from runs.forms import StartForm
from runs.models import Run, TaskRun
from runs.pages.run_detail.comparing import compare, tasks_in_both
from runs.pages.run_detail.detail import Detail, detail_of
from runs.pages.run_detail.graph_data import DISTANCE, FURTHEST, graph_data, states_of
from runs.pages.run_detail.graph_scope import graph_scope, is_collapsed
from runs.pages.run_detail.summary import executor_words, expected_end, family_of, summary_of, version_of
from runs.pages.run_detail.table import SORTS, Filters, moved_since, table, tasks_of
from runs.pages.run_detail.timeline import timeline_of
from runs.pages.run_detail.waiting import pool_wait
from runs.pages.run_list.repeating import fixed
from runs.planning import reruns
from runs.planning.kept_settings import Choice
from runs.planning.rerun_decisions import MODES, Scope
from runs.states import DONE, RunState, TaskState

TABS = ("tasks", "graph", "timeline", "log")
looks = permission_required("runs.view_run", raise_exception=True)
operates = permission_required("runs.add_run", raise_exception=True)


def _run_or_404(run_id: int) -> Run:
    rows = Run.objects.select_related(
        "flow__environment__project", "revision", "triggered_by", "retry_of", "acknowledgement"
    )
    return get_object_or_404(rows, pk=run_id)


def _task_or_404(run_id: int, task_run_id: int) -> TaskRun:
    rows = TaskRun.objects.exclude(kind=GATE).select_related("run__flow", "node")
    return get_object_or_404(rows, run=run_id, pk=task_run_id)


@require_safe
@looks
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """A run: ?tab= chooses what is shown of it, ?task= the task whose panel is open (a failed run opens on its first
    failure), ?state=, ?q=, ?sort= and ?page= narrow the table, ?node= and ?near= the graph.
    """
    run = _run_or_404(run_id)
    tab = request.GET.get("tab", "")
    context = _head(run)
    task = _chosen(request, run, context["summary"].total)
    context |= {
        "tab": tab if tab in TABS else "tasks",
        "task": task,
        "detail": _detail(task) if task is not None else None,
        "family": family_of(run),
        "latest_of_flow": _other_runs(run),
    }
    context |= _tab(request, run, context["tab"], context["summary"].total, task)
    return render(request, "runs/run.html", context)


def _head(run: Run) -> dict[str, Any]:
    summary = summary_of(run)
    may = acting().may
    return {
        "run": run,
        "summary": summary,
        "expected_end": expected_end(summary, timezone.now()),
        "pool_wait": pool_wait(run),
        "executor": executor_words(run),
        "may_operate": may("runs.add_run"),
        "may_read_logs": may("runs.view_log"),
        "can_cancel": not run.is_over and run.cancel_requested_at is None,
        "can_rerun": run.is_over and run.flow is not None,
        "only_part_succeeded": summary.total and summary.done < summary.total,
    }


def _chosen(request: HttpRequest, run: Run, total: int) -> TaskRun | None:
    """The task whose panel is open."""
    pk = id_of(request.GET.get("task", ""))
    if pk is not None:
        return run.task_runs.exclude(kind=GATE).filter(pk=pk).first()
    if "task" in request.GET or (request.GET.get("tab") == "graph" and is_collapsed(request.GET, total)):
        return None  # the nodes of a large run need the room
    return run.first_failure


def _detail(task: TaskRun) -> Detail:
    return detail_of(task, with_rows=acting().may("runs.view_failing_rows"))


def _tab(request: HttpRequest, run: Run, tab: str, total: int, task: TaskRun | None) -> dict[str, Any]:
    if tab == "timeline":
        return _timeline(request, run)
    if tab == "graph":
        return graph_scope(request.GET, run, total, task)
    if tab == "log":
        return {"logged": tasks_of(run).filter(fence__gt=0).order_by("-started_at")[:200]}
    filters = Filters.of(request.GET)
    return {"filters": filters, "page": table(run, filters), "sorts": SORTS.items(), "states": _states()}


def _timeline(request: HttpRequest, run: Run) -> dict[str, Any]:
    filters = Filters.of(request.GET)
    return {"timeline": timeline_of(run, filters.sort), "filters": filters, "sorts": SORTS.items()}


def _states() -> list[tuple[str, str]]:
    return [(str(state), state.capitalize()) for state in TaskState]


def _other_runs(run: Run) -> list[Run]:
    if run.flow_id is None:
        return []
    return list(Run.objects.filter(flow=run.flow_id).filter(~Q(pk=run.pk)).order_by("-pk")[:10])


@require_safe
@looks
def live(request: HttpRequest, run_id: int) -> HttpResponse:
    """What changed since ?since=: 204 for nothing, else the parts of the page that are to be replaced, by id.

    A page that had nothing to draw says so (?undrawn=1) and gets the graph as soon as there is a plan, whatever it
    has seen of the run; one without the list of logs gets it as they come.
    Out: {"version", "over", "parts": {id: HTML}, "states": {card of the graph: state}}.
    """
    since = id_of(request.GET.get("since", "")) or 0
    tab = request.GET.get("tab", "")
    undrawn = tab == "graph" and "undrawn" in request.GET
    drawable = undrawn and tasks_of(Run(pk=run_id)).exists()
    if version_of(run_id) <= since and not drawable:
        return HttpResponse(status=204)
    run = _run_or_404(run_id)
    head = _head(run)
    parts = {"run-head": render_to_string("runs/_run_head.html", {**head, "tab": tab}, request)}
    moved = moved_since(run, since) if since else None
    states: dict[str, str] = {}
    if drawable:
        chosen = _chosen(request, run, head["summary"].total)
        context = {**head, "task": chosen, **graph_scope(request.GET, run, head["summary"].total, chosen)}
        parts["run-graph"] = render_to_string("runs/_run_graph.html", context, request)
    elif tab == "graph":
        states = states_of(run, moved)
    elif tab == "log" and acting().may("runs.view_log"):
        context = {**head, **_tab(request, run, tab, head["summary"].total, None)}
        parts["run-logs"] = render_to_string("runs/_run_logs.html", context, request)
    elif tab == "timeline":
        parts["run-timeline"] = render_to_string("runs/_timeline.html", {**head, **_timeline(request, run)}, request)
    elif tab == "tasks":
        rows = {str(row.pk): row for row in tasks_of(run).filter(pk__in=moved or ())}
        shown = set(request.GET.get("rows", "").split("-"))
        if not shown - {""} and rows:  # the table was empty: the plan has just been written
            context = {
                **head,
                "filters": Filters(),
                "page": table(run, Filters()),
                "sorts": SORTS.items(),
                "states": _states(),
            }
            parts["run-tasks"] = render_to_string("runs/_run_tasks.html", context, request)
        for pk, row in rows.items():
            if pk in shown:
                parts[f"task-{pk}"] = render_to_string("runs/_task_row.html", {**head, "row": row}, request)
    task = id_of(request.GET.get("task", ""))
    if task is not None and moved is not None and task in moved:
        row = _task_or_404(run_id, task)
        context = {**head, "task": row, "detail": _detail(row)}
        parts["task-panel"] = render_to_string("runs/_task_panel.html", context, request)
    answer = {"version": head["summary"].version, "over": run.is_over, "parts": parts, "states": states}
    return JsonResponse(answer)


@require_safe
@looks
def graph(request: HttpRequest, run_id: int) -> HttpResponse:
    """The graph of a run as data: ?nodes=1, ?node=NAME or ?near=ID (at most ?distance= away) narrow it; where it is
    large it is looked at from ?chosen=ID.
    """
    run = _run_or_404(run_id)
    near, distance, chosen = (id_of(request.GET.get(name, "")) for name in ("near", "distance", "chosen"))
    nodes, node = request.GET.get("nodes") == "1", request.GET.get("node")
    far = min(distance or DISTANCE, FURTHEST)
    return JsonResponse(graph_data(run, nodes=nodes, node=node, near=near, distance=far, chosen=chosen))


@require_safe
@looks
def task(request: HttpRequest, run_id: int, task_run_id: int) -> HttpResponse:
    """A task's panel for the page of its run; opened by itself, the page of its run with the panel open."""
    row = _task_or_404(run_id, task_run_id)
    if not getattr(request, "htmx", False):
        return redirect(f"{reverse('runs:run', args=[run_id])}?task={task_run_id}")
    context = {**_head(row.run), "task": row, "detail": _detail(row)}
    return render(request, "runs/_task_panel.html", context)


@require_POST
@operates
def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    """Cancel a run."""
    run = _run_or_404(run_id)
    if services.cancel_run(run.pk, actor=acting().name):
        messages.success(
            request, f"{run} is being cancelled. Running tasks are stopped, and waiting tasks do not start."
        )
    else:
        run.refresh_from_db()
        by = f" by {run.cancel_requested_by}" if run.cancel_requested_by else ""
        reason = (
            f"was already being cancelled{by}" if run.cancel_requested_at else "finished before it could be cancelled"
        )
        messages.warning(request, f"{run} {reason}.")
    return redirect("runs:run", run.pk)


@require_POST
@operates
def cancel_task(request: HttpRequest, run_id: int, task_run_id: int) -> HttpResponse:
    """Cancel one task of a run; what needs it is skipped."""
    row = _task_or_404(run_id, task_run_id)
    if services.cancel_task_run(row.pk, actor=acting().name):
        messages.success(request, f"{row} is being cancelled. Downstream tasks are skipped.")
    else:
        messages.warning(request, f"{row} has already finished or is being cancelled.")
    return redirect(f"{reverse('runs:run', args=[run_id])}?task={task_run_id}")


@require_http_methods(["GET", "HEAD", "POST"])
@operates
def rerun(request: HttpRequest, run_id: int) -> HttpResponse:
    """What a rerun would do (?mode=, ?key= several, ?revision=), and by POST with `start`, the rerun."""
    run = _run_or_404(run_id)
    data = request.POST if request.method == "POST" else request.GET
    chosen = [key[:500] for key in data.getlist("key")][:5000]
    usual_mode = "selected" if chosen else "failed"
    if not chosen and run.is_over and not reruns.basis_of(run).task_runs.exclude(state__in=DONE).exists():
        usual_mode = "all"
    mode = data.get("mode") if data.get("mode") in MODES else usual_mode
    revision = reruns.NEWEST if data.get("revision") == reruns.NEWEST else reruns.SAME
    choice = Choice.of(data)
    form = StartForm(run.flow, request.POST if "start" in request.POST else None) if run.flow else None
    if form is not None:
        for name, value in run.parameters.items():
            if name in form.fields:
                form.fields[name].initial = str(value).lower() if isinstance(value, bool) else value
    problem = ""
    if request.method == "POST" and "start" in request.POST and form is not None and form.is_valid():
        try:
            again = reruns.rerun(
                run,
                actor=acting().name,
                user=acting().user,
                keys=chosen if mode in ("here", "selected") else (),
                mode=mode,  # type: ignore[arg-type]  # one of MODES
                revision=revision,
                parameters=form.values if run.flow and run.flow.parameters else None,
                choice=choice,
                key=f"rerun {run.pk} {request.POST.get('form', '')[:60]}" if request.POST.get("form") else None,
            )
        except (services.RunError, ParameterError) as error:
            problem = str(error)
        else:
            link = reverse("runs:run", args=[again.pk])
            messages.success(request, format_html('<a href="{}">{}</a> repeats {}.', link, again, run))
            return redirect(link)
    foreseen = reruns.preview(run, Scope(mode, frozenset(chosen)), revision=revision) if run.is_over else None  # type: ignore[arg-type]
    names = dict(run.task_runs.filter(unique_id__in=chosen).values_list("unique_id", "identifier"))
    context = {
        "run": run,
        "form": form,
        "mode": mode,
        "revision": revision,
        "chosen": [(key, names.get(key, key)) for key in chosen],
        "foreseen": foreseen,
        "choice": choice,
        **_kept(run),
        "problem": problem,
        "fixed": fixed(run) if run.is_over and run.state != RunState.SUCCEEDED and not chosen else "",
        "key": request.POST.get("form") or secrets.token_urlsafe(12),
    }
    template = "runs/_rerun.html" if getattr(request, "htmx", False) else "runs/rerun.html"
    return render(request, template, context, status=422 if problem or (form is not None and form.errors) else 200)


def _kept(run: Run) -> dict[str, Any]:
    """What the dialog of a rerun asks besides, where a task of the run takes it, and how it was in the first try."""
    basis = reruns.basis_of(run)
    batched = basis.task_runs.filter(spec__microbatch=True)
    since = next((spec["since"] for spec in batched.values_list("spec", flat=True) if spec.get("since")), None)
    refreshing = [kind.name for kind in kinds.all_kinds() if "full_refresh" in kind.columns]
    rows = basis.task_runs.filter(kind__in=refreshing)
    refreshed = {bool(value) for value in rows.values_list("spec__full_refresh", flat=True)}
    words = {frozenset([True]): "Full refresh", frozenset([False]): "No full refresh"}
    return {
        "has_dbt": bool(refreshed),
        "was_refreshed": words.get(frozenset(refreshed), "For some nodes"),
        "has_batches": batched.exists(),
        "window_until": datetime.fromisoformat(since) if since else basis.started_at,
    }


@require_safe
@looks
def comparison(request: HttpRequest, run_id: int, other_id: int) -> HttpResponse:
    """What is different between two runs, the earlier one left."""
    one, other = sorted([_run_or_404(run_id), _run_or_404(other_id)], key=lambda run: run.pk)
    context = {
        "run": one,
        "other": other,
        "summaries": [summary_of(one), summary_of(other)],
        "rows": compare(one, other),
        "common": tasks_in_both(one, other),
        "parameters": [
            (name, one.parameters.get(name, ""), other.parameters.get(name, ""))
            for name in sorted({*one.parameters, *other.parameters})
            if one.parameters.get(name) != other.parameters.get(name)
        ],
    }
    return render(request, "runs/compare.html", context)
