"""The addresses of the API. The endpoint has checked token and permission."""

from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model, QuerySet
from django.http import HttpRequest, JsonResponse
from django.urls import reverse

from flows.access import acting
from flows.models import Flow
from runs.api.endpoint import endpoint
from runs.api.errors import ApiError
from runs.api.reading import Query, idempotency_key, parameters_of
from runs.api.representation import flow_line, readable_runs, readable_tasks, runs_as_json, task_as_json, whole_flow
from runs.api.starting import start_once
from runs.models import Run
from runs.services import cancel_run
from runs.states import RunState

Row = TypeVar("Row", bound=Model)


def _found(rows: QuerySet[Row], pk: int, what: str) -> Row:
    row = rows.filter(pk=pk).first()
    if row is None:
        raise ApiError("not_found", f"There is no {what} {str(pk)[:20]}.")
    return row


def _listed(request: HttpRequest, name: str, rows: list[dict[str, Any]], limit: int, mark: str) -> JsonResponse:
    """A page of rows; `next` is the address of the one after it. In: a row more than `limit` where there are more."""
    following = None
    if len(rows) > limit:
        query = request.GET.copy()
        query[mark] = str(rows[limit - 1]["id"])
        following = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
    return JsonResponse({name: rows[:limit], "next": following})


def flows(request: HttpRequest) -> JsonResponse:
    """Flows, the oldest first; ?name= finds one by its name."""
    query = Query(request, "after", "limit", "name")
    rows = Flow.objects.select_related("environment__project").order_by("pk")
    if (name := query.text("name")) is not None:
        rows = rows.filter(name=name)
    if (after := query.mark("after")) is not None:
        rows = rows.filter(pk__gt=after)
    shown = [flow_line(request.build_absolute_uri, flow) for flow in rows[: query.limit + 1]]
    return _listed(request, "flows", shown, query.limit, "after")


def flow(request: HttpRequest, flow_id: int) -> JsonResponse:
    """One flow, with its schedule, the next due times and its latest run."""
    Query(request)
    row = _found(Flow.objects.select_related("environment__project"), flow_id, "flow")
    latest = readable_runs().filter(flow=row.pk).order_by("-pk").first() if acting().may("runs.view_run") else None
    return JsonResponse(whole_flow(request.build_absolute_uri, row, latest))


def runs_of(request: HttpRequest, flow_id: int) -> JsonResponse:
    """Runs of a flow, the newest first."""
    query = Query(request, "before", "limit", "state")
    row = _found(Flow.objects.all(), flow_id, "flow")
    rows = readable_runs().filter(flow=row.pk).order_by("-pk")
    if (state := query.one_of("state", [state.value for state in RunState])) is not None:
        rows = rows.filter(state=state)
    if (before := query.mark("before")) is not None:
        rows = rows.filter(pk__lt=before)
    shown = runs_as_json(request.build_absolute_uri, list(rows[: query.limit + 1]))
    return _listed(request, "runs", shown, query.limit, "before")


def start(request: HttpRequest, flow_id: int) -> JsonResponse:
    """Start a flow: 201 with the new run; 200 with the first one where the key was there before."""
    Query(request)
    user = acting().user
    assert isinstance(user, AbstractBaseUser)  # the endpoint has authenticated a user
    key, parameters = idempotency_key(request), parameters_of(request)
    opened, replayed = start_once(user, _found(Flow.objects.all(), flow_id, "flow"), parameters, key)
    location = request.build_absolute_uri(reverse("api:run", args=[opened.pk]))
    headers = {"Location": location, **({"Idempotent-Replayed": "true"} if replayed else {})}
    return JsonResponse(_shown(request, opened.pk), status=200 if replayed else 201, headers=headers)


def run(request: HttpRequest, run_id: int) -> JsonResponse:
    """One run."""
    Query(request)
    return JsonResponse(_shown(request, run_id))


def _shown(request: HttpRequest, run_id: int) -> dict[str, Any]:
    return runs_as_json(request.build_absolute_uri, [_found(readable_runs(), run_id, "run")])[0]


def tasks(request: HttpRequest, run_id: int) -> JsonResponse:
    """The tasks of a run, in the order in which they were planned."""
    query = Query(request, "after", "limit")
    row = _found(Run.objects.only("pk"), run_id, "run")
    rows = readable_tasks(row.pk)
    if (after := query.mark("after")) is not None:
        rows = rows.filter(pk__gt=after)
    shown = [task_as_json(task) for task in rows[: query.limit + 1]]
    return _listed(request, "tasks", shown, query.limit, "after")


def cancel(request: HttpRequest, run_id: int) -> JsonResponse:
    """Ask for a run to be cancelled; asked twice is asked once."""
    Query(request)
    row = _found(Run.objects.all(), run_id, "run")
    requested = cancel_run(row.pk, actor=acting().name)
    shown = _shown(request, row.pk)
    if not requested and shown["cancel_requested_at"] is None:
        raise ApiError(
            "run_over", f"Run {row.pk} has already finished ({shown['state']}).", [{"state": shown["state"]}]
        )
    return JsonResponse(shown, status=202)


flows_endpoint = endpoint(get=(flows, "flows.view_flow"))
flow_endpoint = endpoint(get=(flow, "flows.view_flow"))
flow_runs_endpoint = endpoint(get=(runs_of, "runs.view_run"), post=(start, "runs.add_run"))
run_endpoint = endpoint(get=(run, "runs.view_run"))
tasks_endpoint = endpoint(get=(tasks, "runs.view_taskrun"))
cancel_endpoint = endpoint(post=(cancel, "runs.add_run"))
no_endpoint = endpoint()
