"""The second step of making a flow: the nodes at the left, the canvas, and the form of a node beside it."""

import json
from typing import Any

from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_safe

from flows.access import acting
from flows.models import Flow
from nodes import kinds
from nodes.canvas import OperationError, perform, picture
from nodes.editing import EditConflict

sees_flows = permission_required("flows.view_flow", raise_exception=True)


def flow_or_404(flow_id: int) -> Flow:
    """A flow with what its pages need."""
    rows = Flow.objects.select_related("environment__project", "environment__current_revision")
    return get_object_or_404(rows, pk=flow_id)


def page_context(flow: Flow) -> dict[str, Any]:
    """What every page of a flow shows around its own content."""
    return {
        "flow": flow,
        "may_edit": acting().may("flows.change_flow"),
        "may_run": acting().may("runs.add_run"),
        "starts_itself": bool(flow.cron) or flow.follows.exists(),
        "kinds": kinds.all_kinds(),
    }


@require_safe
@sees_flows
def editor(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The page of a flow."""
    flow = flow_or_404(flow_id)
    return render(request, "nodes/editor.html", {**page_context(flow), "picture": picture(flow)})


@require_http_methods(["GET", "HEAD", "POST"])
@sees_flows
def canvas(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The picture of a flow as JSON, and by POST what was done on it.

    409 when somebody else changed the same thing, 422 when what was asked cannot be done; both with the picture.
    """
    flow = flow_or_404(flow_id)
    if request.method != "POST":
        return JsonResponse(picture(flow))
    if not acting().may("flows.change_flow"):
        raise PermissionDenied
    try:
        message = _perform(request, flow)
    except OperationError as error:
        return JsonResponse({"error": str(error)}, status=400)
    except EditConflict as error:
        now = picture(flow_or_404(flow_id))
        told = "Someone else changed the same thing while you were editing."
        return JsonResponse({"error": told, "changes": error.changes, "canvas": now}, status=409)
    except ValidationError as error:
        now = picture(flow_or_404(flow_id))
        return JsonResponse({"error": " ".join(error.messages), "canvas": now}, status=422)
    return JsonResponse({**picture(flow_or_404(flow_id)), "said": message})


def _perform(request: HttpRequest, flow: Flow) -> str:
    try:
        sent = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise OperationError("The body must be a JSON object.") from error
    version = sent.get("version") if isinstance(sent, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version < 2**31:
        raise OperationError("version must be a whole number, and operations a list.")
    return perform(flow, version, sent.get("operations"), mine_wins=sent.get("mine_wins") is True)
