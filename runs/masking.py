"""What must not reach a log of a run."""

from django.conf import settings

from flows.redaction import Redactor, unmaskable
from nodes import sync
from runs.models import Run


def secrets_of(run: Run) -> list[str]:
    """The secret values in scope of a run: DBT_ENV_SECRET_* of the environment, passwords of the profile."""
    values = set(settings.SECRET_ENVIRONMENT.values())
    if run.revision is not None:
        values |= set(sync.secrets_of(run.revision))
    return sorted(value for value in values if unmaskable(value) is None)


def redactor_of(run_id: int) -> Redactor:
    """A fresh masker for one log of a run."""
    run = Run.objects.select_related("revision__environment").get(pk=run_id)
    return Redactor(secrets_of(run))
