"""Builds of dbt runtimes: requested on a project's page, made by a worker, after which its environments are synced."""

from collections.abc import Iterable

from django.utils import timezone

from flows.models import Environment, Project
from nodes.models import RuntimeBuild
from nodes.runtimes import builds, choices
from nodes.runtimes.models import PATIENCE
from nodes.runtimes.wanted import RuntimeProblem, Wanted
from runs import dispatch
from runs.engine.shutdown import draining
from runs.operations.syncing import ask_to_sync


def make(build_id: int) -> None:
    """Build what was requested, unless that is done; then its projects are synced, so that they use it."""
    row = RuntimeBuild.objects.select_related("lock").filter(pk=build_id).first()
    if row is None or not row.waits:
        return
    try:
        builds.prepare(Wanted(tuple(row.requirements), tuple(row.constraints)), stop=draining.is_set)
    except RuntimeProblem:  # noted at the build; if the worker ends, another one does it
        return
    row.refresh_from_db()
    if row.problem:  # the one before stays in use
        return
    sync_projects(choices.projects_with(row.digest))


def sync_projects(projects: Iterable[Project]) -> None:
    """Let workers sync all environments of these projects."""
    ask_to_sync(Environment.objects.filter(project__in=list(projects)))


def dispatch_what_waits() -> None:
    """Dispatch builds again that were requested a while ago, and that nobody makes."""
    late = RuntimeBuild.objects.filter(requested_at__lt=timezone.now() - PATIENCE)
    for row in late:
        if row.waits and not row.is_building:
            dispatch.runtime_build(row.pk)
