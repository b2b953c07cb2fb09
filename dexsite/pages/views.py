"""Home, the environment switch and the search: pages that belong to no single app."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from dexsite.pages.search import as_json
from dexsite.pages.search import search as find
from flows.infra.ids import id_of
from flows.models import Environment, Flow, Project
from flows.projects.current_environment import choose_environment, chosen_environment, environments
from flows.scheduling.unattended import cannot_start
from runs import queries
from runs.operations import heartbeats
from runs.operations.health import components
from runs.operations.slow_runs import slow_runs
from runs.pages.calendar.views import viewers_zone
from runs.pages.days import last_days
from runs.scheduling.upcoming import next_starts

MOST = 10  # rows of a section of Home


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What needs attention first: failing flows, late and stuck ones; then what runs, what comes, the last days."""
    if not request.user.has_perm("runs.view_run"):  # a role that sees no runs sees no trouble with them either
        return render(request, "home.html", {"next_step": _next_step(request)})
    environment, now = chosen_environment(request), timezone.now()
    failing = list(queries.failing(environment)[: MOST + 1])
    latest = list(queries.latest_runs(environment)[:MOST])
    health = heartbeats.health(now)
    slow = slow_runs(environment, now)
    sees_flows = request.user.has_perm("flows.view_flow")
    context = {
        "failing": [(run, queries.first_line(run), run.flow.owner if run.flow else "") for run in failing[:MOST]],
        "more_failing": len(failing) > MOST,
        "running": list(queries.in_progress(environment)[:MOST]),
        "latest": latest,
        "slow_runs": slow[:MOST],
        "more_slow_runs": max(len(slow) - MOST, 0),
        "upcoming": next_starts(environment, now, MOST) if sees_flows else [],
        "days": last_days(environment, now, viewers_zone(request)) if latest else [],
        "components": components(health),
        "trouble": _trouble(environment, health),
        "next_step": None if latest else _next_step(request),
    }
    return render(request, "home.html", context)


def _trouble(environment: Environment | None, health: heartbeats.Health) -> dict[str, Any]:
    """What keeps flows from starting: nobody who looks, due times that nobody decided, starts that failed."""
    late = list(heartbeats.overdue(environment))
    refused = list(cannot_start(environment))
    return {
        "cannot_start": refused[:MOST],
        "more_cannot_start": max(len(refused) - MOST, 0),
        "silent": health.scheduler_is_silent and heartbeats.something_waits_for_the_engine(environment),
        "last_sign": health.sweeper,
        "embedded": settings.EMBEDDED,
        "beat_silent": not settings.EMBEDDED and not health.scheduler_is_silent and health.beat_is_silent,
        "last_beat": health.beat,
        "overdue": late[:MOST],
        "more_overdue": max(len(late) - MOST, 0),
        "did_not_start": heartbeats.did_not_start(environment)[:MOST],
    }


@dataclass(frozen=True)
class NextStep:
    """What an installation without runs needs next, and where this user does it."""

    icon: str
    title: str
    text: str
    label: str = ""
    url: str = ""


def _next_step(request: HttpRequest) -> NextStep:
    may = request.user.has_perm
    chosen = chosen_environment(request)
    where = f"in {chosen}" if chosen else "yet"
    if may("flows.add_project") and not Project.objects.exists():
        text = "dex runs the models of dbt projects. Add your first project to begin."
        return NextStep("folder", "Add a project", text, "Add project", reverse("admin:flows_project_add"))
    if may("flows.add_environment") and not environments(request):
        text = "An environment is a project with one of its dbt targets. Flows run on environments."
        return NextStep("server", "Add an environment", text, "Add environment", reverse("admin:flows_environment_add"))
    flows = Flow.objects.all() if chosen is None else Flow.objects.filter(environment=chosen)
    if may("flows.view_flow") and flows.exists():
        text = "Start a flow or give it a schedule. Its runs and any problems appear here."
        return NextStep("play", f"No runs {where}", text, "Go to Flows", reverse("runs:flows"))
    if may("flows.add_flow") and environments(request):
        text = "A flow is a set of nodes that run in dependency order: dbt models, scripts and data loads."
        return NextStep("workflow", f"No flows {where}", text, "New flow", reverse("nodes:new_flow"))
    if may("flows.view_flow"):
        text = "Once an editor creates a flow, the flow and its runs appear here."
        return NextStep("workflow", "Nothing here yet", text)
    text = "Your account has no role yet. Ask an administrator to make you a viewer, operator, editor or admin."
    return NextStep("lock", "Nothing to show", text)


@require_POST
def switch_environment(request: HttpRequest) -> HttpResponse:
    """Limit lists to one environment, or to none, and go back to where the switch was used."""
    chosen = request.POST.get("environment", "")
    choose_environment(request, id_of(chosen))
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "home")


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """What ?q= finds, for the palette."""
    return JsonResponse(as_json(find(request, request.GET.get("q", ""))))
