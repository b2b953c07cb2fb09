"""The catalogue of an environment's models, the page of one, and its lineage as data for the graph."""

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.models import Environment
from flows.switch import chosen_environment, environments
from nodes.catalogue import columns_of, drift, flows_of, listing, names_of, neighbourhood
from nodes.freshness import origins_of
from nodes.manifest import Manifest
from nodes.manifests import manifest_of
from nodes.selectors import resolve
from nodes.views.editor import sees_flows

PAGE = 100
FARTHEST = 50  # steps of a neighbourhood


def _environment(request: HttpRequest) -> Environment | None:
    """The environment that is looked at: the chosen one, or the first that was parsed."""
    known = environments(request)
    return (
        chosen_environment(request)
        or next((row for row in known if row.current_revision), None)
        or next(iter(known), None)
    )


def _manifest(environment: Environment | None) -> Manifest | None:
    if environment is None or environment.current_revision is None:
        return None
    try:
        return manifest_of(environment.current_revision)
    except FileNotFoundError:
        return None


@require_safe
@sees_flows
def catalogue(request: HttpRequest) -> HttpResponse:
    """All models: ?q=, ?tag=, ?type=, ?use= narrow the list, ?start= pages it."""
    environment = _environment(request)
    manifest = _manifest(environment)
    asked = {name: request.GET.get(name, "").strip()[:200] for name in ("q", "tag", "type", "use")}
    typed = request.GET.get("start", "")
    start = int(typed) if typed.isdecimal() and len(typed) < 8 else 0
    context: dict[str, Any] = {"environment": environment, "manifest": manifest, "asked": asked, "start": start}
    if environment is not None and manifest is not None:
        found = listing(
            environment,
            manifest,
            asked=asked["q"],
            tag=asked["tag"],
            kind=asked["type"],
            use=asked["use"],
            start=start,
            count=PAGE,
        )
        kept = {name: value for name, value in asked.items() if value}
        context |= {
            "found": found,
            "first": start + 1,
            "last": start + len(found.entries),
            "earlier": f"?{urlencode({**kept, 'start': max(0, start - PAGE)})}" if start else "",
            "later": f"?{urlencode({**kept, 'start': start + PAGE})}" if start + PAGE < found.total else "",
            "drift": drift(environment),
        }
    fragment = getattr(request, "htmx", False) and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, "nodes/_models.html" if fragment else "nodes/models.html", context)


def _resource(request: HttpRequest, unique_id: str) -> tuple[Environment, Manifest, str]:
    environment = _environment(request)
    manifest = _manifest(environment)
    found = resolve(manifest, unique_id) if manifest else None
    if environment is None or manifest is None or found is None:
        raise Http404(f"{environment or 'No environment'} has nothing called {unique_id[:200]}.")
    return environment, manifest, found


@require_safe
@sees_flows
def model(request: HttpRequest, unique_id: str) -> HttpResponse:
    """One model: description, columns with their tests, neighbours, flows that build it, and its lineage."""
    environment, manifest, unique_id = _resource(request, unique_id)
    row = manifest.resources[unique_id]
    revision = environment.current_revision
    assert revision is not None
    try:
        columns, tests, code = columns_of(revision, manifest, unique_id)
    except FileNotFoundError:
        columns, tests, code = [], [], ""
    context = {
        "environment": environment,
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
    made: dict[str, int | None] = {}
    for name in ("up", "down"):
        typed = request.GET.get(name, "2")
        made[name] = (
            None if typed == "all" else min(int(typed), FARTHEST) if typed.isdecimal() and len(typed) < 4 else 2
        )
    return made


@require_safe
@sees_flows
def lineage(request: HttpRequest, unique_id: str) -> HttpResponse:
    """The neighbourhood of a model as data for the graph."""
    _, manifest, unique_id = _resource(request, unique_id)
    return JsonResponse(neighbourhood(manifest, unique_id, **_depth(request)))
