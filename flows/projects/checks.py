"""Finds at the start what would fail in the night: system checks of what projects and environments name."""

from collections.abc import Callable, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

MOST_NAMED = 5


@register(Tags.database)
def environments_have_projects(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """flows.E001: the folder of an environment's project is gone or holds no dbt project.

    A database check, so that a folder that is not mounted cannot keep every command from starting; `up` shows
    it, and `check --database default`. Quiet until every migration is there: older tables are not read.
    """
    return _found(databases, _without_project)


@register(Tags.database)
def secrets_can_be_read(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """flows.E002: the file of keys is gone while secrets need it; flows.W001: secrets that none of its keys reads."""
    return _found(databases, _unreadable)


def _found(databases: Sequence[str] | None, look: Callable[[], list[CheckMessage]]) -> list[CheckMessage]:
    if "default" not in (databases or ()):
        return []
    try:
        executor = MigrationExecutor(connections["default"])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return []
        return look()
    except DatabaseError:  # no connection: what needs one says so itself
        return []


def _unreadable() -> list[CheckMessage]:
    from flows.variables.encryption import keys_path
    from flows.variables.sealed import is_anything_sealed, unreadable

    if not keys_path().exists():
        if not is_anything_sealed():
            return []
        message = (
            f"the encryption keys of this installation are missing: {keys_path()} is not there, and secrets need it"
        )
        return [Error(message, hint="Put the file back from a backup; see docs/variables.md.", id="flows.E002")]
    rows = [f"{field.name} of {row._meta.verbose_name} {row}" for row, field in unreadable()]
    if not rows:
        return []
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    message = f"secrets cannot be decrypted with the keys of this installation: {', '.join(rows[:MOST_NAMED])}{more}"
    hint = f"Add the key that encrypted them as a line of {keys_path()}, or enter the secrets again on their pages."
    return [Warning(message, hint=hint, id="flows.W001")]


def _without_project() -> list[CheckMessage]:
    from flows.models import Environment
    from flows.projects.services import check_folder, check_repository

    problems: list[CheckMessage] = []
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
            problems.append(
                Error(
                    f"environment {project.name}/{environment.name} has no dbt_project.yml: {' '.join(error.messages)}",
                    hint=f"Put the folder back, or correct it at project {project.name} in the admin.",
                    obj=environment,
                    id="flows.E001",
                )
            )
    return problems
