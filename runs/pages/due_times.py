"""The pages of a flow's due times: what became of each, the next ones, and starts planned for one time."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.infra.ids import id_of
from flows.models import Tick
from flows.parameters import ParameterError
from flows.scheduling.cron import in_words
from nodes.views.editor import flow_or_404, page_context
from nodes.views.settings import ZONES
from runs.forms import StartForm, WhenForm
from runs.scheduling.planned import plan_start, withdraw_start
from runs.scheduling.upcoming import merged
from runs.services import RunError

PAGE = 50
NEXT = 5


@require_safe
@permission_required("flows.view_flow", raise_exception=True)
def due(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Every due time of a flow with what became of it, and the next ones; ?before= pages by tick."""
    flow = flow_or_404(flow_id)
    rows = flow.ticks.exclude(outcome=Tick.Outcome.PLANNED).prefetch_related("runs")
    if (before := id_of(request.GET.get("before", ""))) is not None:
        mark = flow.ticks.filter(pk=before).first()
        rows = rows.filter(due_at__lt=mark.due_at) if mark else rows
    shown = list(rows[: PAGE + 1])
    context = {
        **page_context(flow),
        "ticks": shown[:PAGE],
        "older": shown[PAGE - 1].pk if len(shown) > PAGE else None,
        "planned": flow.ticks.filter(outcome=Tick.Outcome.PLANNED).order_by("due_at"),
        "follows": flow.follows.select_related("up"),
        "starts": merged([flow], [], timezone.now(), NEXT)[flow.pk],
        "sentence": in_words(flow.cron) if flow.cron else "",
        "delay": flow.delay.total_seconds() if flow.cron else 0,
    }
    return render(request, "runs/due.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("runs.add_run", raise_exception=True)
def plan(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Plan one start of a flow for a time, with the values of its parameters."""
    flow = flow_or_404(flow_id)
    data = request.POST if request.method == "POST" else None
    when, values = WhenForm(flow, data), StartForm(flow, data)
    if data is not None and when.is_valid() & values.is_valid():
        try:
            plan_start(flow, when.cleaned_data["at"], parameters=values.values)
        except RunError as error:
            when.add_error("at", str(error))
        except ParameterError as error:  # declared anew while this was typed
            values.add_error(None, str(error))
        else:
            messages.success(request, f"Start of {flow} planned.")
            return redirect("runs:due", flow.pk)
    wrong = when.errors or values.errors
    context = {**page_context(flow), "when": when, "form": values, "zones": ZONES, "now": timezone.now()}
    return render(request, "runs/plan.html", context, status=422 if wrong else 200)


@require_POST
@permission_required("runs.add_run", raise_exception=True)
def withdraw(request: HttpRequest, flow_id: int, tick_id: int) -> HttpResponse:
    """Take back a planned start."""
    tick = get_object_or_404(Tick, flow=flow_id, pk=tick_id)
    if withdraw_start(tick):
        messages.success(request, "The planned start was cancelled.")
    else:
        messages.warning(request, "It was due before you cancelled it; see its result in the list.")
    return redirect("runs:due", flow_id)
