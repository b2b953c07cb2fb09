"""Home, the environment switch and the search: pages that belong to no single app."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from dexsite.search import as_json
from dexsite.search import search as find
from flows.models import Flow, Project
from flows.switch import choose_environment, chosen_environment, environments
from runs import queries

LONGEST_ID = 18  # digits
MOST = 10  # rows of a section of Home


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What needs attention first: failing flows, what runs now, the latest runs."""
    if not request.user.has_perm("runs.view_run"):
        return render(request, "home.html", {"next_step": _next_step(request)})
    environment = chosen_environment(request)
    failing = list(queries.failing(environment)[: MOST + 1])
    latest = list(queries.latest_runs(environment)[:MOST])
    context = {
        "failing": [(run, queries.first_line(run)) for run in failing[:MOST]],
        "more_failing": len(failing) > MOST,
        "running": list(queries.in_progress(environment)[:MOST]),
        "latest": latest,
        "next_step": None if latest else _next_step(request),
    }
    return render(request, "home.html", context)


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
        said = "dex runs the models of dbt projects. Say in which folder the first one is."
        return NextStep("folder", "Add a project", said, "Add project", reverse("admin:flows_project_add"))
    if may("flows.add_environment") and not environments(request):
        said = "An environment is a project with one of its dbt targets. Flows run on environments."
        return NextStep("server", "Add an environment", said, "Add environment", reverse("admin:flows_environment_add"))
    flows = Flow.objects.all() if chosen is None else Flow.objects.filter(environment=chosen)
    if may("flows.view_flow") and flows.exists():
        said = "Start a flow, or give it a schedule. What it did, and what went wrong, is then shown here."
        return NextStep("play", f"Nothing ran {where}", said, "Go to Flows", reverse("runs:flows"))
    if may("flows.add_flow") and environments(request):
        said = "A flow is a set of steps that run in the right order: models of dbt, scripts, data that is loaded."
        return NextStep("workflow", f"No flow {where}", said, "New flow", reverse("nodes:new_flow"))
    if may("flows.view_flow"):
        said = "Once an editor has made a flow, it and its runs are shown here."
        return NextStep("workflow", "Nothing here yet", said)
    said = "Your account has no role yet. An administrator can make it a viewer, operator, editor or admin."
    return NextStep("lock", "Nothing to show", said)


@require_POST
def switch_environment(request: HttpRequest) -> HttpResponse:
    """Limit lists to one environment, or to none, and go back to where the switch was used."""
    chosen = request.POST.get("environment", "")
    choose_environment(request, int(chosen) if chosen.isdecimal() and len(chosen) <= LONGEST_ID else None)
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "home")


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """What ?q= finds, for the palette."""
    return JsonResponse(as_json(find(request, request.GET.get("q", ""))))
