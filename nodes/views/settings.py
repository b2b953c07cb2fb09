"""The first step of making a flow, and what is done to a flow as a whole."""

from typing import Any
from zoneinfo import available_timezones

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access import acting
from flows.forms import SettingsForm
from flows.models import Flow
from flows.projects.current_environment import chosen_environment
from flows.scheduling.cron import CronError, describe, next_times, surprises, zone_of
from nodes import services
from nodes.editing import Base, EditConflict
from nodes.views.editor import flow_or_404, page_context, sees_flows

ZONES = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("flows.add_flow", raise_exception=True)
def new_flow(request: HttpRequest) -> HttpResponse:
    """Step 1 of a new flow."""
    initial = {"environment": chosen_environment(request)} if request.method != "POST" else None
    form = SettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        flow = services.save_flow(form.save(commit=False), after=form.cleaned_data["after"])
        return redirect("nodes:editor", flow.pk)
    return _show(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@sees_flows
def settings(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Step 1 of a flow that is there."""
    flow = flow_or_404(flow_id)
    may_edit = acting().may("flows.change_flow")
    if request.method != "POST":
        return _show(request, SettingsForm(instance=flow), flow, may_edit=may_edit)
    if not may_edit:
        raise PermissionDenied
    form = SettingsForm(request.POST, instance=flow)
    conflict: list[str] = []
    if form.is_valid():
        version = form.cleaned_data["version"]
        base = Base(version, {None}, ("settings",)) if version is not None else None
        try:
            services.save_flow(form.save(commit=False), base=base, after=form.cleaned_data["after"])
        except EditConflict as error:
            conflict = error.changes
            data = QueryDict(mutable=True)
            data.update(request.POST)
            for name in request.POST:
                data.setlist(name, request.POST.getlist(name))
            data["version"] = str(flow_or_404(flow.pk).version)  # a second Save is then meant
            form.data = data
        else:
            messages.success(request, "Settings saved.")
            return redirect("nodes:editor", flow.pk)
    return _show(request, form, flow_or_404(flow_id), conflict=conflict)


def _show(
    request: HttpRequest,
    form: SettingsForm,
    flow: Flow | None,
    *,
    conflict: list[str] | None = None,
    may_edit: bool = True,
) -> HttpResponse:
    if not may_edit:
        for field in form.fields.values():
            field.disabled = True
    typed = form.data if form.is_bound else None
    context: dict[str, Any] = {
        "form": form,
        "zones": ZONES,
        "conflict": conflict or [],
        "schedule": _scheduled(typed, form) if typed is not None else _told(flow.cron if flow else "", flow),
        **(page_context(flow) if flow else {}),
        "may_edit": may_edit,
    }
    status = 409 if conflict else 422 if form.is_bound and form.errors else 200
    return render(request, "nodes/settings.html", context, status=status)


@require_safe
@sees_flows
def schedule(request: HttpRequest) -> HttpResponse:
    """The schedule as it is typed: in words, what surprises, and the next five runs. For the form of settings."""
    form = SettingsForm(request.GET)
    return render(request, "nodes/_schedule.html", {"schedule": _scheduled(request.GET, form)})


def _scheduled(typed: QueryDict | Any, form: SettingsForm) -> dict[str, Any]:
    form.is_valid()
    wrong = [
        error
        for name in (
            "cron",
            "frequency",
            "every_minutes",
            "every_hours",
            "minute",
            "time",
            "weekdays",
            "day",
            "time_zone",
        )
        for error in form.errors.get(name, ())
    ]
    if wrong:
        return {"errors": wrong}
    zone = str(typed.get("time_zone", "") or "UTC")
    return _told(str(form.cleaned_data.get("cron") or ""), None, zone, form.cleaned_data.get("spread") or 0)


def _told(cron: str, flow: Flow | None, zone: str = "UTC", spread: int = 0) -> dict[str, Any]:
    zone, spread = (flow.time_zone, flow.spread) if flow else (zone, spread)
    if not cron:
        return {"sentence": "", "zone": zone}
    try:
        zone_of(zone)
        times = next_times(cron, zone)
        return {
            "cron": cron,
            "sentence": describe(cron),
            "surprises": surprises(cron),
            "times": [(moment, moment.strftime("%a %d %b %Y, %H:%M")) for moment in times],
            "zone": zone,
            "spread": spread,
        }
    except CronError as error:
        return {"errors": [str(error)]}


def _back(request: HttpRequest, otherwise: str, *args: Any) -> HttpResponse:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return redirect(target) if safe and target else redirect(otherwise, *args)


@require_POST
@permission_required("flows.pause_flow", raise_exception=True)
def pause(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Pause the schedule (paused=1) or resume it (paused=0)."""
    flow = flow_or_404(flow_id)
    services.pause_flow(flow, request.POST.get("paused") == "1")
    message = (
        "is paused. Its schedule starts no runs until you resume it" if flow.paused else "follows its schedule again"
    )
    messages.success(request, f"{flow} {message}.")
    return _back(request, "nodes:editor", flow.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("flows.delete_flow", raise_exception=True)
def delete(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Ask, then delete the flow; its runs and its history stay."""
    flow = flow_or_404(flow_id)
    if request.method == "POST":
        services.delete_flow(flow)
        messages.success(request, f"{flow} was deleted. Its runs and its history are kept.")
        return redirect("runs:flows")
    return render(request, "nodes/delete_flow.html", {**page_context(flow), "nodes": flow.nodes.all()})


@require_POST
@permission_required("flows.add_flow", raise_exception=True)
def duplicate(request: HttpRequest, flow_id: int) -> HttpResponse:
    """A copy of the flow, paused."""
    flow = flow_or_404(flow_id)
    try:
        copy = services.duplicate_flow(flow)
    except ValidationError as error:
        messages.error(request, f"{flow} cannot be duplicated. {' '.join(error.messages)}")
        return redirect("nodes:settings", flow.pk)
    messages.success(request, f"{copy} was created. Its schedule is paused.")
    return redirect("nodes:settings", copy.pk)
