"""What must not reach a log of a run."""

from collections.abc import Callable
from typing import Any

from django.conf import settings

from flows.infra.redaction import Redactor, unmaskable
from flows.models import Environment, Flow
from flows.projects import credentials
from flows.variables.values import secrets_in
from nodes import warehouse
from nodes.connections import secrets_to_mask
from runs.models import Run


def secrets_of(run: Run) -> list[str]:
    """The secret values in scope of a run: DBT_ENV_SECRET_* of the process, passwords of the profile, secrets.

    All that could be used count, not only those that are: a log may name what no task asked for.
    """
    values = set(settings.SECRET_ENVIRONMENT.values())
    environments: set[Environment] = set()
    if run.revision is not None:
        values |= set(warehouse.secrets_of(run.revision))
        environments.add(run.revision.environment)
    if run.flow is not None:
        environments.add(run.flow.environment)
    for environment in environments:
        values |= {
            *secrets_in(environment),
            *credentials.all_of(environment.project),
            *secrets_to_mask(environment.project),
        }
    return sorted(value for value in values if unmaskable(value) is None)


def redactor_of_flow(flow: Flow) -> Redactor:
    """A masker for what is said of a flow that has no run yet."""
    values = {*settings.SECRET_ENVIRONMENT.values(), *secrets_in(flow.environment)}
    revision = flow.environment.current_revision
    return Redactor(values | set(warehouse.secrets_of(revision) if revision is not None else ()))


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
