"""Finds at the start what would fail in the night: system checks of what projects and environments name."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor


@register(Tags.database)
def environments_have_projects(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """flows.E001: the folder of an environment's project is gone or holds no dbt project.

    A database check, so that a folder that is not mounted cannot keep every command from starting; `up` shows
    it, and `check --database default`. Quiet until every migration is there: older tables are not read.
    """
    if "default" not in (databases or ()):
        return []
    try:
        executor = MigrationExecutor(connections["default"])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return []
        return _without_project()
    except DatabaseError:  # no connection: what needs one says so itself
        return []


def _without_project() -> list[CheckMessage]:
    from flows.models import Environment
    from flows.services import check_folder, check_repository

    found: list[CheckMessage] = []
    for environment in Environment.objects.select_related("project"):
        project = environment.project
        if project.url:
            continue  # its host may be away for a while, and the last good revision stays
        try:
            if environment.branch:
                check_repository(project.path)
            else:
                check_folder(project.path, project.subfolder)
        except ValidationError as error:
            found.append(
                Error(
                    f"environment {project.name}/{environment.name} has no dbt_project.yml: {' '.join(error.messages)}",
                    hint=f"Put the folder back, or correct it at project {project.name} in the admin.",
                    obj=environment,
                    id="flows.E001",
                )
            )
    return found
