"""The values of variables where they take effect: in an environment and in a masker. And their keeping."""

import logging

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from flows.access import acting, require
from flows.infra.redaction import unmaskable
from flows.models import Environment, Project
from flows.variables.encryption import Unreadable
from flows.variables.models import Variable
from flows.variables.names import problem_with
from flows.variables.sealed import keep, problem_of, value_of

log = logging.getLogger("dex.variables")
LONGEST = 10_000  # characters of a value
COMMON = frozenset(
    [
        *("secret", "database", "postgres", "postgresql", "localhost", "production", "development", "staging"),
        *("warehouse", "analytics", "snowflake", "duckdb", "bigquery", "redshift", "default", "example"),
        *("username", "changeme", "public", "schema", "select"),
    ]
)


class VariableError(ValueError):
    """A variable cannot be kept or used as asked; `field` is the field of the form that this is about."""

    def __init__(self, message: str, field: str = "value") -> None:
        super().__init__(message)
        self.field = field


def save_variable(
    project: Project,
    environment: Environment | None,
    name: str,
    value: str | None,
    *,
    secret: bool,
    row: Variable | None = None,
) -> Variable:
    """Make a variable, or give `row`, one of this name and scope, another value.

    In: `value`, None to keep the one that a secret has. Raises VariableError, PermissionDenied, and Unreadable where
    the keys of this installation are gone.
    """
    actor = require("flows.add_variable" if row is None else "flows.change_variable")
    if row is not None and (row.project, row.environment, row.name) != (project, environment, name):
        raise VariableError("The name and scope of a variable cannot change. Delete it and create a new one.", "name")
    if environment is not None and environment.project_id != project.pk:
        raise VariableError(f"{environment} is not an environment of {project}.", "scope")
    if row is None and (problem := problem_with(name)):
        raise VariableError(problem, "name")
    if value is None:
        if row is None or not row.is_secret:
            raise VariableError("Enter the value." if secret else "This variable has no value yet.")
        if not secret:
            raise VariableError(
                "Enter the value. dex never shows the value of a secret, even if it becomes a plain variable."
            )
        if wrong := problem_of(row, "token"):
            raise VariableError(f"Enter the value: {wrong}.")
        return row
    if problem := _problem_with_value(value, secret=secret):
        raise VariableError(problem)
    row = row or Variable(project=project, environment=environment, name=name)
    row.is_secret, row.updated_at, row.updated_by = secret, timezone.now(), actor.name[:200]
    row.value, row.token, row.fingerprint, row.rotated_at = ("" if secret else value), "", "", None
    try:
        with transaction.atomic():
            if row.pk is None:
                row.save()  # the token is bound to the row's id
            if secret:
                keep(row, "token", value)
                row.fingerprint = fingerprint(row, value)
            row.save()
    except IntegrityError as error:
        raise VariableError(f"{row.scope} has a {name} already.", "name") from error
    log.info("variable %s of %s was set by %s", row.name, row.scope, actor.name)
    return row


def remove_variable(row: Variable) -> None:
    """Forget a variable, whoever uses it; nodes.services.variable_usage.delete_variable asks first."""
    actor = require("flows.delete_variable")
    row.delete()
    log.info("variable %s of %s was deleted by %s", row.name, row.scope, actor.name)


def variables_to_see() -> QuerySet[Variable]:
    """The variables that whoever acts may see, without the values of secrets."""
    rows = Variable.objects.select_related("project", "environment__project").defer("token")
    return rows if acting().may("flows.view_variable") else rows.none()


def environment_of(environment: Environment) -> dict[str, str]:
    """Name -> value of everything that holds in an environment, secrets too; its own win over the project's.

    Raises VariableError, naming it, for a secret that cannot be read.
    """
    variables = {}
    for row in _winners(environment):
        try:
            variables[row.name] = decrypt(row) if row.is_secret else row.value
        except Unreadable as error:
            raise VariableError(f"{row.name}: {error}.") from error
    return variables


def plain_values(environment: Environment) -> dict[str, str]:
    """As `environment_of`, without secrets: what may be written down, such as vars in a manifest of dbt."""
    return {row.name: row.value for row in _winners(environment) if not row.is_secret}


def variable_names(environment: Environment) -> frozenset[str]:
    """The names of everything that holds in an environment."""
    return frozenset(_holding_in(environment).values_list("name", flat=True))


def secret_names(environment: Environment) -> frozenset[str]:
    """The names of the secrets that hold in an environment."""
    return frozenset(row.name for row in _winners(environment) if row.is_secret)


def secrets_in(environment: Environment) -> list[str]:
    """Every secret of an environment and of its project, for a masker; also those that an environment's own one hides.

    One that cannot be read is left out: nobody can be given it either.
    """
    secrets = []
    for row in _holding_in(environment).filter(is_secret=True):
        try:
            secrets.append(decrypt(row))
        except Unreadable as error:
            log.warning("variable %s of %s: %s", row.name, row.scope, error)
    return secrets


def fingerprint(row: Variable, value: str) -> str:
    """Eight hex digits that differ where values do; of no use without the installation's secret key."""
    return salted_hmac(f"flows.variables.{row.project_id}", value, algorithm="sha256").hexdigest()[:8]


def decrypt(row: Variable) -> str:
    """The value of a secret. Raises Unreadable."""
    return value_of(row, "token")


def _holding_in(environment: Environment) -> QuerySet[Variable]:
    holds = Q(environment=None) | Q(environment=environment)
    return Variable.objects.filter(holds, project_id=environment.project_id).select_related("project", "environment")


def _winners(environment: Environment) -> list[Variable]:
    rows = sorted(_holding_in(environment), key=lambda row: row.environment_id is not None)
    return list({row.name: row for row in rows}.values())


def _problem_with_value(value: str, *, secret: bool) -> str | None:
    if len(value) > LONGEST:
        return f"A value can have at most {LONGEST:,} characters; this one has {len(value):,}."
    if "\0" in value:
        return "A value cannot contain the NUL character."
    if not secret:
        return None
    if problem := unmaskable(value):
        return f"{problem[0].upper()}{problem[1:]}."
    word = value.strip().lower()
    if word in COMMON or word in CommonPasswordValidator().passwords:
        return "This is a common word. Masking it would hide ordinary text in logs, and it is easy to guess."
    return None
