"""Checks of a connection, requested on its page, and their results."""

from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from flows.projects.current_environment import chosen_environment
from nodes.connections.services import request_check
from nodes.models import ConnectionCheck
from nodes.views.connections import connection_or_404, environment_of
from runs import dispatch

PATIENCE_S = 30  # after which a page says that no worker answers


@require_POST
@permission_required("nodes.change_connection", raise_exception=True)
def check_connection(request: HttpRequest, connection_id: int, what: str) -> HttpResponse:
    """Request a check; answers with a part of a page that waits for the result."""
    row = connection_or_404(connection_id)
    environment = environment_of(row, request.POST.get("environment"), chosen_environment(request))
    if what not in ConnectionCheck.What.values:
        raise Http404("Check not found.")
    if environment is None:
        return render(
            request, "runs/_connection_check.html", {"problem": f"{row.project} has no environment to check from."}
        )
    check = request_check(row, environment, what)
    dispatch.connection_check(check.pk)
    if not getattr(request, "htmx", False):
        return redirect("nodes:connection_tables", row.pk)
    return render(request, "runs/_connection_check.html", {"check": check})


@require_safe
@permission_required("nodes.view_connection", raise_exception=True)
def connection_check(request: HttpRequest, check_id: int) -> HttpResponse:
    """The result of a check; a list of tables is shown by a reload of its page."""
    row = get_object_or_404(ConnectionCheck.objects.select_related("connection"), pk=check_id)
    late = row.taken_at is None and (timezone.now() - row.requested_at).total_seconds() > PATIENCE_S
    response = render(request, "runs/_connection_check.html", {"check": row, "late": late})
    if row.done_at and row.ok and row.what == ConnectionCheck.What.DISCOVER:
        response["HX-Refresh"] = "true"
    return response
