"""The catalogue of the models of environments, the page of one, and its lineage as data for the graph."""

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.infra.ids import id_of
from flows.models import Environment
from flows.projects.current_environment import chosen_environment, environments
from nodes.catalogue import columns_of, drift, flows_of, listing, names_of, neighbourhood
from nodes.connections.freshness import origins_of
from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors import resolve
from nodes.dbt.stored_manifests import manifest_of
from nodes.views.editor import sees_flows

PAGE = 100
FARTHEST = 50  # steps of a neighbourhood


def _looked_at(request: HttpRequest) -> list[Environment]:
    """The environments that are looked at: the one that ?environment= names, the chosen one, or all."""
    rows = environments(request)
    number = request.GET.get("environment", "")
    if (pk := id_of(number)) is not None:
        return [row for row in rows if row.pk == pk]
    chosen = chosen_environment(request)
    return [chosen] if chosen else rows


def _manifest(environment: Environment) -> Manifest | None:
    if environment.current_revision is None:
        return None
    try:
        return manifest_of(environment.current_revision)
    except FileNotFoundError:
        return None


@require_safe
@sees_flows
def catalogue(request: HttpRequest) -> HttpResponse:
    """All models: ?q=, ?tag=, ?type=, ?use= narrow the list, ?start= pages it."""
    rows = _looked_at(request)
    places = [(row, manifest) for row in rows if (manifest := _manifest(row)) is not None]
    filters = {name: request.GET.get(name, "").strip()[:200] for name in ("q", "tag", "type", "use")}
    typed = request.GET.get("start", "")
    start = int(typed) if typed.isdecimal() and len(typed) < 8 else 0
    parsed = {row.pk for row, _ in places}
    context: dict[str, Any] = {
        "environments": rows,
        "environment": rows[0] if len(rows) == 1 else None,
        "parsed": [row for row in rows if row.pk in parsed],
        "unparsed": [row for row in rows if row.pk not in parsed],
        "filters": filters,
        "start": start,
    }
    if places:
        page = listing(
            places,
            query=filters["q"],
            tag=filters["tag"],
            kind=filters["type"],
            use=filters["use"],
            start=start,
            count=PAGE,
        )
        kept = {name: value for name, value in filters.items() if value}
        context |= {
            "found": page,
            "first": start + 1,
            "last": start + len(page.entries),
            "earlier": f"?{urlencode({**kept, 'start': max(0, start - PAGE)})}" if start else "",
            "later": f"?{urlencode({**kept, 'start': start + PAGE})}" if start + PAGE < page.total else "",
            "drift": drift(row for row, _ in places),
        }
    fragment = getattr(request, "htmx", False) and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, "nodes/_models.html" if fragment else "nodes/models.html", context)


def _resource(request: HttpRequest, unique_id: str) -> tuple[Environment, Manifest, str, list[Environment]]:
    """The first of the environments looked at that has a resource, and all that have it."""
    rows = _looked_at(request)
    places = [
        (row, manifest, resource)
        for row in rows
        if (manifest := _manifest(row)) is not None and (resource := resolve(manifest, unique_id)) is not None
    ]
    if not places:
        where = ", ".join(str(row) for row in rows[:3]) or "No environment"
        raise Http404(f"{where} {'have' if len(rows) > 1 else 'has'} nothing called {unique_id[:200]}.")
    environment, manifest, resource = places[0]
    having = [row for row, _, _ in places]
    if "environment" in request.GET and chosen_environment(request) is None:
        others = [row for row in environments(request) if row not in having]
        having += [row for row in others if (own := _manifest(row)) is not None and resolve(own, unique_id) is not None]
    return environment, manifest, resource, having


@require_safe
@sees_flows
def model(request: HttpRequest, unique_id: str) -> HttpResponse:
    """One model: description, columns with their tests, neighbours, flows that build it, and its lineage."""
    environment, manifest, unique_id, having = _resource(request, unique_id)
    row = manifest.resources[unique_id]
    revision = environment.current_revision
    assert revision is not None
    try:
        columns, tests, code = columns_of(revision, manifest, unique_id)
    except FileNotFoundError:
        columns, tests, code = [], [], ""
    named = "environment" in request.GET or len(having) > 1
    context = {
        "environment": environment,
        "others": [other for other in having if other.pk != environment.pk],
        "named": f"environment={environment.pk}" if named else "",
        "resource": row,
        "columns": columns,
        "tests": tests,
        "code": code,
        "upstream": names_of(manifest, manifest.parents.get(unique_id, ())),
        "downstream": names_of(manifest, manifest.children.get(unique_id, ())),
        "flows": flows_of(environment).get(unique_id, ()),
        "origin": origins_of(environment, manifest).get(unique_id) if row.resource_type == "source" else None,
        "depth": _depth(request),
    }
    return render(request, "nodes/model.html", context)


def _depth(request: HttpRequest) -> dict[str, int | None]:
    """How far the graph goes: ?up= and ?down= steps, 2 unless said otherwise; "all" is None."""
    depth: dict[str, int | None] = {}
    for name in ("up", "down"):
        typed = request.GET.get(name, "2")
        depth[name] = (
            None if typed == "all" else min(int(typed), FARTHEST) if typed.isdecimal() and len(typed) < 4 else 2
        )
    return depth


@require_safe
@sees_flows
def lineage(request: HttpRequest, unique_id: str) -> HttpResponse:
    """The neighbourhood of a model as data for the graph."""
    environment, manifest, unique_id, having = _resource(request, unique_id)
    named = environment.pk if "environment" in request.GET or len(having) > 1 else None
    return JsonResponse(neighbourhood(manifest, unique_id, **_depth(request), environment=named))
