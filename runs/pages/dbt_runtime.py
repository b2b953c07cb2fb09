"""The page of a project's dbt runtime: what is proposed, what is built, how it goes, and Rebuild."""

import os
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from flows.access import acting
from flows.models import Environment, Project
from nodes.dbt.lines import line_of
from nodes.dbt.runtime import built_in
from nodes.forms.runtime import RuntimeForm
from nodes.models import DbtRuntime, RuntimeBuild
from nodes.runtimes import builds, choices
from nodes.runtimes.wanted import RuntimeProblem
from runs import dispatch
from runs.operations.runtime_builds import sync_projects

SHOWN = 64 * 1024  # bytes of the end of a log


@dataclass(frozen=True)
class Shown:
    """A build as the page shows it: the environments that use it, and the end of its log."""

    row: RuntimeBuild
    environments: tuple[str, ...]
    log: str
    meanwhile: tuple[str, ...]  # what these environments run on until it is built

    @property
    def is_busy(self) -> bool:
        """Whether it is being built, or waits for a worker."""
        return self.row.is_building or self.row.waits

    @property
    def line(self) -> str:
        """The line of dbt, such as 1.10."""
        return line_of(self.row.lock.version) if self.row.lock else ""


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("flows.view_project", raise_exception=True)
def dbt_runtime(request: HttpRequest, project_id: int) -> HttpResponse:
    """The page; by POST, `accept` takes what is proposed, `rebuild` builds anew, else the form is saved."""
    project = get_object_or_404(Project, pk=project_id)
    if request.method == "POST" and not acting().may("flows.change_project"):
        raise PermissionDenied
    row = choices.row_of(project)
    proposal = choices.proposal_of(row)
    suggested = proposal.requirements if proposal is not None else ()
    form = RuntimeForm(request.POST if "source" in request.POST else None, row, suggested)
    if request.method == "POST":
        made: list[RuntimeBuild] | None
        if "rebuild" in request.POST:
            made = choices.request_rebuild(project, request.POST["rebuild"])
        elif "accept" in request.POST:
            made = _accepted(request, project)
        else:
            made = form.choose(project) if form.is_bound else None
        if made is not None:
            _start(project, made)
            return redirect("runs:dbt_runtime", project.pk)
    context = {**_state(project, row), "form": form}
    return render(request, "runs/dbt_runtime.html", context, status=422 if form.errors else 200)


@require_safe
@permission_required("flows.view_project", raise_exception=True)
def state(request: HttpRequest, project_id: int) -> HttpResponse:
    """The part of the page that follows a build, until that is over."""
    project = get_object_or_404(Project, pk=project_id)
    return render(request, "runs/_dbt_runtime.html", _state(project, choices.row_of(project)))


def _accepted(request: HttpRequest, project: Project) -> list[RuntimeBuild] | None:
    """Take what is proposed now, if that is what the person saw."""
    proposal = choices.proposal_of(choices.row_of(project))
    shown = request.POST.get("accept", "").splitlines()
    if proposal is None or proposal.problem or shown != list(proposal.requirements):
        messages.warning(request, "The proposal has changed meanwhile. Look at it again.")
        return []
    try:
        source = DbtRuntime.Source.FOUND if proposal.file else DbtRuntime.Source.TYPED
        return choices.choose(project, source, "\n".join(proposal.requirements))
    except RuntimeProblem as error:
        messages.error(request, str(error))
        return []


def _start(project: Project, made: list[RuntimeBuild]) -> None:
    """Let workers build what is to be built; where everything is there already, the environments are synced."""
    waiting = [row for row in made if row.waits]
    for row in waiting:
        dispatch.runtime_build(row.pk)
    if not waiting:
        sync_projects([project])


def _state(project: Project, row: DbtRuntime) -> dict[str, Any]:
    shown = _builds(row)
    about = list(Environment.objects.filter(project=project).exclude(sync_requested_at=None, sync_error_about=""))
    syncing = [each for each in about if each.sync_requested_at is not None]
    broken = [each for each in about if each.sync_error_about and each.sync_requested_at is None]
    return {
        "project": project,
        "runtime": row,
        "proposal": choices.proposal_of(row),
        "built_in": built_in(),
        "builds": shown,
        "busy": bool(syncing) or any(each.is_busy for each in shown),
        "building": any(each.is_busy for each in shown),
        "broken": broken,
        "syncing": syncing,
    }


def _builds(row: DbtRuntime) -> list[Shown]:
    """The builds of a project, those of requirements that nobody has built yet too."""
    if row.source == DbtRuntime.Source.BUILT_IN:
        return []
    environments = Environment.objects.filter(project=row.project_id).select_related("current_revision")
    users: dict[str, list[Environment]] = {}
    for environment in environments.order_by("name"):
        try:
            wanted = choices.wanted_of(row, environment.pk)
        except RuntimeProblem:  # shown where the environment is
            continue
        if wanted is not None:
            users.setdefault(builds.digest_of(wanted), []).append(environment)
    shown = []
    for wanted in choices.wanted_by(row):
        digest = builds.digest_of(wanted)
        found = RuntimeBuild.objects.select_related("lock").filter(digest=digest).first()
        build = found or RuntimeBuild(digest=digest, requirements=list(wanted.requirements))
        using = users.get(digest, [])
        meanwhile = [f"{each.name}: {_dbt_of(each)}" for each in using if each.current_revision is not None]
        names = tuple(each.name for each in using)
        shown.append(Shown(build, names, _end_of_log(build), () if build.lock else tuple(meanwhile)))
    return shown


def _dbt_of(environment: Environment) -> str:
    """The dbt of the last good revision."""
    version = environment.current_revision.runtime.get("version") if environment.current_revision else ""
    return f"dbt {version}" if version else "the dbt that dex ships"


def _end_of_log(row: RuntimeBuild) -> str:
    """The last lines of a build's log; "" where there is none on this machine."""
    try:
        with builds.log_of(row).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SHOWN))
            data = file.read()
    except OSError:
        return ""
    text = data.decode(errors="replace")
    return text if size <= SHOWN else text.partition("\n")[2]
