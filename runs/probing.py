"""Questions to sources: asked on a page, answered by a worker in a child process, never by the web process."""

import shutil

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from flows.infra import process
from flows.infra.redaction import Redactor
from flows.projects.current_environment import chosen_environment
from flows.variables.encryption import Unreadable
from flows.variables.values import VariableError
from nodes.connections import ConnectionProblem, ask, digest_of, order_for, secrets_to_mask
from nodes.connectors import client
from nodes.loads import in_a_box
from nodes.models import Probe
from nodes.views.connections import connection_or_404, environment_of
from runs import bell

LARGEST_ID = 2**63
PATIENCE_S = 30  # after which a page says that no worker answers
LIMITS = process.Limits(memory=8 * 1024**3, nice=5)


def answer(probe_id: int) -> None:
    """Ask the source and keep what it said; a question that another took is left alone."""
    if not Probe.objects.filter(pk=probe_id, taken_at=None).update(taken_at=Now()):
        return
    probe = Probe.objects.select_related(
        "connection__project", "environment__project", "environment__current_revision"
    ).get(pk=probe_id)
    about = ""
    home = settings.DEX_HOME / "work" / f"probe-{probe.pk}"
    try:
        order = order_for(probe.connection, probe.environment)
        about = digest_of(order)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        spawn = in_a_box(order, home) if probe.connection.connector == "custom" else process.start
        if probe.what == Probe.What.TEST:
            outcome = client.test(order, home=home, limits=LIMITS, spawn=spawn)
            told = next((event for event in outcome.events if event["event"] == "tested"), {})
            ok, kind, said = outcome.ok, outcome.kind, str(told.get("message") or outcome.message)
        else:
            outcome, streams = client.discover(order, home=home, limits=LIMITS, spawn=spawn)
            ok, kind, said = outcome.ok, outcome.kind, outcome.message or f"{len(streams)} tables"
            if outcome.ok:
                type(probe.connection).objects.filter(pk=probe.connection_id).update(offered=streams)
    except (ConnectionProblem, VariableError, Unreadable) as error:
        ok, kind, said = False, "config", str(error)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    said = Redactor(secrets_to_mask(probe.connection.project)).whole(said)
    Probe.objects.filter(pk=probe.pk).update(done_at=Now(), ok=ok, kind=kind, said=said[:2000], about=about)


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
    bell.ring_probe(probe.pk)
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
