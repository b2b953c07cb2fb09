"""The part of an environment's page that tests its warehouse."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from flows.models import Environment
from nodes.services.warehouse_checks import request_check, shown_check
from runs import dispatch


@require_POST
@permission_required("flows.change_environment", raise_exception=True)
def check_warehouse(request: HttpRequest, environment_id: int) -> HttpResponse:
    """Request a test; answers with a part of a page that waits for the result."""
    row = get_object_or_404(Environment.objects.select_related("project", "current_revision"), pk=environment_id)
    check = request_check(row)
    dispatch.warehouse_check(check.pk)
    if not getattr(request, "htmx", False):
        return redirect("admin:flows_environment_change", row.pk)
    return render(request, "runs/_warehouse_check.html", shown_check(row))


@require_safe
@permission_required("flows.view_environment", raise_exception=True)
def warehouse_check(request: HttpRequest, environment_id: int) -> HttpResponse:
    """How far the latest test is; a part of a page that asks until it is over."""
    row = get_object_or_404(Environment.objects.select_related("project", "current_revision"), pk=environment_id)
    return render(request, "runs/_warehouse_check.html", shown_check(row))
