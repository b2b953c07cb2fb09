"""The part of a page that shows how far the sync of an environment is."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from flows.access import acting
from flows.models import Environment
from runs.operations.syncing import is_late


@require_safe
@permission_required("flows.view_environment", raise_exception=True)
def sync_state(request: HttpRequest, environment_id: int) -> HttpResponse:
    """How far the sync of an environment is; a part of a page that asks until it is over."""
    rows = Environment.objects.select_related("current_revision")
    row = get_object_or_404(rows, pk=environment_id)
    return render(
        request, "runs/_sync.html", {"row": row, "late": is_late(row), "may_choose": acting().may("flows.view_project")}
    )
