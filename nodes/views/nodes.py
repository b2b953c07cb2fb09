"""The form of a node: shown, previewed while it is typed, saved, duplicated and deleted."""

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access import acting
from flows.infra.ids import id_of
from flows.models import Flow
from nodes import kinds, services
from nodes.dbt.selectors import split_values
from nodes.dbt.stored_manifests import manifest_of
from nodes.editing import Base, EditConflict
from nodes.forms.node import NodeForm, form_of
from nodes.models import Connection, Node
from nodes.services.previews import preview, suggestions, what_it_does
from nodes.views.editor import flow_or_404, page_context, sees_flows

ROWS = 500
LONGEST_TYPED = 20_000
# How the table of components can be sorted: the name in the address -> what Python sorts by.
SORTS = {
    "identifier": lambda task: task.identifier,
    "type": lambda task: (task.resource_type, task.identifier),
    "tags": lambda task: (task.tags, task.identifier),
    "path": lambda task: (task.path, task.identifier),
    "materialized": lambda task: (task.materialized, task.identifier),
    "depends_on": lambda task: (len(task.depends_on), task.identifier),
    "needed_by": lambda task: (len(task.needed_by), task.identifier),
}


def _is_fragment(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False)) and not request.htmx.boosted  # type: ignore[attr-defined]


@require_http_methods(["GET", "HEAD", "POST"])
@sees_flows
def new(request: HttpRequest, flow_id: int, kind: str) -> HttpResponse:
    """The form of a new node of a kind."""
    flow = flow_or_404(flow_id)
    try:
        kinds.get(kind)
    except kinds.UnknownKind as error:
        raise Http404(str(error)) from error
    if not acting().may("nodes.add_node"):
        raise PermissionDenied
    return _form(request, flow, Node(flow=flow, kind=kind))


@require_http_methods(["GET", "HEAD", "POST"])
@sees_flows
def node(request: HttpRequest, flow_id: int, node_id: int) -> HttpResponse:
    """The form of a node; below it, what it consists of."""
    flow = flow_or_404(flow_id)
    row = get_object_or_404(flow.nodes.select_related("connection"), pk=node_id)
    if request.method == "POST" and not acting().may("nodes.change_node"):
        raise PermissionDenied
    return _form(request, flow, row)


def _form(request: HttpRequest, flow: Flow, row: Node) -> HttpResponse:
    form = form_of(row)(request.POST or None, flow=flow, instance=row)
    if request.method != "POST":
        return _show(request, flow, form)
    conflict: list[str] = []
    if form.is_valid():
        version = form.cleaned_data["version"]
        base = Base(version, {row.pk}, ("settings", "existence", "link")) if row.pk and version is not None else None
        before = flow.version
        try:
            after = list(form.cleaned_data["runs_after"])
            services.save_node(form.instance, after=after, base=base, plan=form.plan)
        except EditConflict as error:
            conflict = error.changes
            data = QueryDict(mutable=True)
            data.update(request.POST)
            data["version"] = str(flow_or_404(flow.pk).version)  # a second Save is then meant
            form.data = data
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            return _saved(request, flow, form, before)
    return _show(request, flow, form, conflict=conflict, status=409 if conflict else 422)


def _saved(request: HttpRequest, flow: Flow, form: NodeForm, before: int) -> HttpResponse:
    fresh = flow_or_404(flow.pk)
    row = fresh.nodes.select_related("connection", "flow__environment__current_revision").get(pk=form.instance.pk)
    expanded = form.plan.expanded if form.plan else {}  # a new node had no number yet
    message = what_it_does(row, expanded.get(row.pk) or expanded.get(0))
    if not _is_fragment(request):
        messages.success(request, f"Saved: {message}.")
        return redirect("nodes:node", flow.pk, row.pk)
    response = _show(request, fresh, form_of(row)(flow=fresh, instance=row), saved=message)
    response["HX-Trigger"] = json.dumps({"dex:flow-changed": {"version_before": before, "node": row.pk}})
    return response


def _show(
    request: HttpRequest,
    flow: Flow,
    form: NodeForm,
    conflict: list[str] | None = None,
    saved: str = "",
    status: int = 200,
) -> HttpResponse:
    row = form.instance
    may_edit = acting().may("nodes.change_node" if row.pk else "nodes.add_node")
    if not may_edit:
        for field in form.fields.values():
            field.disabled = True
    address = (
        reverse("nodes:node", args=[flow.pk, row.pk]) if row.pk else reverse("nodes:new", args=[flow.pk, row.kind])
    )
    context = {
        **page_context(flow),
        "form": form,
        "node": row,
        "kind": kinds.of(row.kind),
        "may_edit": may_edit,
        "renew_days": settings.SCRIPT_RENEW_DAYS,
        "address": address,
        "conflict": conflict or [],
        "saved": saved,
        **(_components(request, row) if row.pk else {}),
    }
    if _is_fragment(request):
        # htmx leaves answers of 4xx alone; what is wrong must be seen.
        return render(request, "nodes/_panel.html", context)
    return render(request, "nodes/node.html", context, status=status)


def _components(request: HttpRequest, row: Node) -> dict[str, Any]:
    """The rows of the table Node Components: filtered by ?q=, sorted by ?sort= (with - for downwards)."""
    asked = request.GET.get("q", "").strip().lower()[:200]
    order = request.GET.get("sort", "")[:40]
    tasks = list(row.tasks.all())
    if asked:
        tasks = [task for task in tasks if asked in f"{task.identifier} {task.path} {' '.join(task.tags)}".lower()]
    if (key := SORTS.get(order.lstrip("-"))) is not None:
        tasks.sort(key=key, reverse=order.startswith("-"))
    total = len(tasks)
    columns = [
        ("identifier", "Identifier"),
        ("type", "Type"),
        ("tags", "Tags"),
        ("path", "Path"),
        ("materialized", "Materialization"),
        ("depends_on", "Depends on"),
        ("needed_by", "Needed by"),
    ]
    return {
        "node": row,
        "kind": kinds.of(row.kind),
        "tasks": tasks[:ROWS],
        "total": total,
        "hidden": max(0, total - ROWS),
        "asked": asked,
        "sort": order,
        "columns": [
            {
                "title": title,
                "key": f"-{name}" if order == name else name,
                "aria": {name: "ascending", f"-{name}": "descending"}.get(order, "none"),
            }
            for name, title in columns
        ],
    }


@require_safe
@sees_flows
def components(request: HttpRequest, flow_id: int, node_id: int) -> HttpResponse:
    """The table Node Components alone, searched and sorted."""
    row = get_object_or_404(Node, pk=node_id, flow_id=flow_id)
    return render(request, "nodes/_component_rows.html", {"flow": row.flow, **_components(request, row)})


@require_POST
@sees_flows
def delete(request: HttpRequest, flow_id: int, node_id: int) -> HttpResponse:
    """Delete a node, from its form."""
    flow = flow_or_404(flow_id)
    services.delete_node(get_object_or_404(flow.nodes, pk=node_id))
    return redirect("nodes:editor", flow.pk)


@require_POST
@permission_required("flows.change_flow", raise_exception=True)
def show_preview(request: HttpRequest, flow_id: int) -> HttpResponse:
    """What the typed selectors give, with reasons; by POST, because a list of them outgrows an address."""
    flow = flow_or_404(flow_id)
    revision = flow.environment.current_revision
    pk = request.POST.get("node", "")
    row = Node(
        pk=id_of(pk),
        flow=flow,
        include=split_values(request.POST.get("include", "")[:LONGEST_TYPED]),
        exclude=split_values(request.POST.get("exclude", "")[:LONGEST_TYPED]),
        full_refresh="full_refresh" in request.POST,
        allow_empty="allow_empty" in request.POST,
    )
    for name, choices in (("command", Node.Command), ("indirect_selection", Node.IndirectSelection)):
        if request.POST.get(name) in choices.values:
            setattr(row, name, request.POST[name])
    context: dict[str, Any] = {"flow": flow, "asked": request.POST.get("why", "").strip()[:500]}
    if revision is not None:
        try:
            context["preview"] = preview(row, revision, context["asked"])
        except FileNotFoundError:
            context["gone"] = True
    return render(request, "nodes/_preview.html", context)


@require_safe
@permission_required("flows.change_flow", raise_exception=True)
def suggest(request: HttpRequest, flow_id: int) -> HttpResponse:
    """What ?q= may become: {"suggestions": [{"value", "kind"}]}; with ?connection=, its tables."""
    flow = flow_or_404(flow_id)
    typed = request.GET.get("q", "")[:500]
    asked = request.GET.get("connection", "")
    if "connection" in request.GET:
        connections = Connection.objects.filter(project=flow.environment.project_id)
        row = connections.filter(pk=pk).first() if (pk := id_of(asked)) is not None else None
        tables = [table for table in (row.streams if row else []) if typed.lower() in table.lower()]
        return JsonResponse({"suggestions": [{"value": table, "kind": "table"} for table in tables[:50]]})
    revision = flow.environment.current_revision
    try:
        rows = suggestions(manifest_of(revision), typed) if revision else []
    except FileNotFoundError:
        rows = []
    return JsonResponse({"suggestions": rows})
