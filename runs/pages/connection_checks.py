"""Questions to the source of a connection, asked on its page, and what became of them."""

from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from flows.projects.current_environment import chosen_environment
from nodes.connections.services import ask
from nodes.models import Probe
from nodes.views.connections import connection_or_404, environment_of
from runs import dispatch

LARGEST_ID = 2**63
PATIENCE_S = 30  # after which a page says that no worker answers


@require_POST
@permission_required("nodes.change_connection", raise_exception=True)
def ask_source(request: HttpRequest, connection_id: int, what: str) -> HttpResponse:
    """Ask the source of a connection something; a part of a page that waits for the answer."""
    row = connection_or_404(connection_id)
    environment = environment_of(row, request.POST.get("environment"), chosen_environment(request))
    if what not in Probe.What.values:
        raise Http404("There is no such question.")
    if environment is None:
        return render(request, "runs/_probe.html", {"problem": f"{row.project} has no environment to ask from."})
    probe = ask(row, environment, what)
    dispatch.connection_check(probe.pk)
    if not getattr(request, "htmx", False):
        return redirect("nodes:connection_tables", row.pk)
    return render(request, "runs/_probe.html", {"probe": probe})


@require_safe
@permission_required("nodes.view_connection", raise_exception=True)
def probe(request: HttpRequest, probe_id: int) -> HttpResponse:
    """What became of a question; the list of tables is brought by a reload of its page."""
    row = get_object_or_404(Probe.objects.select_related("connection"), pk=probe_id if probe_id < LARGEST_ID else None)
    late = row.taken_at is None and (timezone.now() - row.asked_at).total_seconds() > PATIENCE_S
    response = render(request, "runs/_probe.html", {"probe": row, "late": late})
    if row.done_at and row.ok and row.what == Probe.What.DISCOVER:
        response["HX-Refresh"] = "true"
    return response
