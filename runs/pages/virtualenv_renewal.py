"""Renewing the virtualenv of a script package: requested in the node's form, done by a worker."""

from pathlib import Path

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from flows.access import acting
from flows.models import Flow
from nodes.scripts import packages_of
from nodes.scripts.renewal import request_renewal, requirements_of, told_of
from nodes.views.editor import sees_flows
from nodes.virtualenvs.requirements import RequirementsError
from runs import dispatch


@require_http_methods(["GET", "HEAD", "POST"])
@sees_flows
def renewal(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The part of a script's form about its virtualenv: ?package= names it; by POST, `renew` requests a renewal."""
    rows = Flow.objects.select_related("environment__current_revision")
    flow = get_object_or_404(rows, pk=flow_id)
    if request.method == "POST" and not acting().may("nodes.change_node"):
        raise PermissionDenied
    name = request.POST.get("renew", "") if request.method == "POST" else request.GET.get("package", "")
    revision = flow.environment.current_revision
    packages = packages_of(Path(revision.project_dir)) if revision is not None else []
    package = next((each for each in packages if each.name == name and each.requirements), None)
    if package is None:
        raise Http404("There is no such package with requirements.")
    if request.method == "POST":
        try:
            dispatch.renewal(request_renewal(requirements_of(package)).pk)
        except RequirementsError:
            pass  # told below
        if not getattr(request, "htmx", False):
            return redirect("nodes:editor", flow.pk)
    context = {
        "virtualenv": told_of([package])[package.name],
        "flow": flow,
        "may_edit": acting().may("nodes.change_node"),
        "renew_days": settings.SCRIPT_RENEW_DAYS,
    }
    return render(request, "runs/_virtualenv.html", context)
