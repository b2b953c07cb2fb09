"""What must not reach a log of a run."""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

from flows.infra.redaction import Redactor, unmaskable
from flows.models import Environment, Revision
from flows.projects import credentials
from flows.variables.values import secrets_in
from nodes.connections.services import secrets_to_mask
from nodes.dbt import warehouse
from runs.models import Run


def secrets_in_scope(environments: Iterable[Environment], revision: Revision | None) -> list[str]:
    """Every secret value that something in these environments could print.

    DBT_ENV_SECRET_* of the process, passwords of the revision's profile, secrets of the environments, credentials of
    their repositories, passwords of connections.
    All that could be used count, not only those that are: a log may name what no task asked for.
    """
    values = set(settings.SECRET_ENVIRONMENT.values())
    if revision is not None:
        values |= set(warehouse.secrets_of(revision))
    for environment in environments:
        values |= {
            *secrets_in(environment),
            *credentials.all_of(environment.project),
            *secrets_to_mask(environment.project),
        }
    return sorted(value for value in values if unmaskable(value) is None)


def secrets_of(run: Run) -> list[str]:
    """The secret values in scope of a run."""
    owners = [owner for owner in (run.revision, run.flow) if owner is not None]
    return secrets_in_scope({owner.environment for owner in owners}, run.revision)


def redactor_of_environment(environment: Environment) -> Redactor:
    """A masker for what is said of an environment, and of its flows, outside of a run."""
    return Redactor(secrets_in_scope([environment], environment.current_revision))


def redactor_of(run_id: int) -> Redactor:
    """A fresh masker for one log of a run."""
    run = Run.objects.select_related("revision__environment", "flow__environment").get(pk=run_id)
    return Redactor(secrets_of(run))


def masked_in(value: Any, mask: Callable[[str], str]) -> Any:
    """Plain data with every text in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): masked_in(each, mask) for key, each in value.items()}
    return [masked_in(each, mask) for each in value] if isinstance(value, list) else value
