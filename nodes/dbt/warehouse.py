"""The warehouse of an environment: the profile that dbt runs with, and how scripts and connections reach it."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from flows.models import Environment, Revision
from flows.variables.references import ReferenceProblem, fill, references_in
from flows.variables.values import environment_of, secret_names
from nodes.dbt.parse import ParsedProject
from nodes.dbt.profiles import Profile, ProfileError, describe

#: type -> the fields of its form: name, label, whether it must be there, what stands there first.
FIELDS: dict[str, tuple[tuple[str, str, bool, str], ...]] = {
    "postgres": (
        ("host", "Host", True, "localhost"),
        ("port", "Port", True, "5432"),
        ("user", "User", True, ""),
        ("password", "Password", True, "{{ WAREHOUSE_PASSWORD }}"),
        ("dbname", "Database", True, ""),
        ("schema", "Schema", True, "analytics"),
        ("sslmode", "SSL mode", False, ""),
    ),
    "duckdb": (("path", "File", True, "warehouse.duckdb"), ("schema", "Schema", False, "main")),
}
SECRET_FIELDS = ("password",)
TARGET = "dex"
PREFIX = "DBT_ENV_SECRET_DEX_"
_INTEGER = re.compile(r"[0-9]{1,9}")


class WarehouseError(ValueError):
    """The warehouse of an environment cannot be used as it is described; the message says why."""


def database_dir(environment: Environment) -> Path:
    """Where DuckDB files of an environment are: relative paths of its profile count from here."""
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{environment.pk}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def dbt_environment(environment: Environment) -> dict[str, str]:
    """What the project's env_var() sees: DBT_* of this process, and the secrets of the warehouse's fields.

    Raises WarehouseError for a reference to what is not there.
    """
    return {**settings.DBT_ENVIRONMENT, **_filled(environment)[1]}


def profiles_dir(environment: Environment, profile: str) -> Path | None:
    """The folder of a profiles.yml made from the environment's fields; None where the project's own is used.

    Values with secrets stand in it as env_var(...), so that no file holds one. Raises WarehouseError.
    """
    if not environment.warehouse:
        return None
    output, _ = _filled(environment)
    output = {key: int(v) if key == "port" and _INTEGER.fullmatch(v) else v for key, v in output.items()}
    output["threads"] = environment.threads
    if output["type"] == "duckdb":
        output["settings"] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    text = yaml.safe_dump({profile: {"target": TARGET, "outputs": {TARGET: output}}}, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = Path(settings.DEX_HOME) / "profiles" / f"environment-{environment.pk}" / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / ".new"
    fresh.write_text(text)
    fresh.replace(folder / "profiles.yml")
    return folder


def _filled(environment: Environment) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields as they go into profiles.yml, and the values that reach dbt through its environment."""
    if not environment.warehouse:
        return {}, {}
    if not references_in(environment.warehouse):
        return dict(environment.warehouse), {}
    values, secrets = environment_of(environment), secret_names(environment)
    output: dict[str, Any] = {}
    passed: dict[str, str] = {}
    for key, text in environment.warehouse.items():
        try:
            value = fill(str(text), values, {})
        except ReferenceProblem as error:
            raise WarehouseError(f"Warehouse, {key}: {error}") from error
        if any(found.name in secrets for found in references_in(text)):
            passed[f"{PREFIX}{key.upper()}"] = value
            value = f"{{{{ env_var('{PREFIX}{key.upper()}') }}}}"
        output[key] = value
    return output, passed


def profile_of(revision: Revision) -> Profile:
    """The profile that a revision runs with. Raises ProfileError when it is no longer readable."""
    warehouse = revision.warehouse
    try:
        env = dbt_environment(revision.environment)
    except ValueError as error:  # WarehouseError, VariableError
        raise ProfileError(str(error)) from error
    return describe(
        Path(revision.profiles_dir),
        warehouse.get("profile", ""),
        warehouse.get("target"),
        env=env,
        variables=revision.variables,
        database_dir=database_dir(revision.environment),
    )


def asked_target(revision: Revision) -> str:
    """The target that a revision was parsed with; "" where the profile's own was taken."""
    return str(revision.warehouse.get("asked", revision.warehouse.get("target")) or "")


def parsed_of(revision: Revision) -> ParsedProject:
    """What a session needs to open a revision. Raises ProfileError when its profile is no longer readable."""
    return ParsedProject(
        fingerprint=revision.fingerprint,
        manifest_path=Path(revision.manifest_path),
        project_dir=Path(revision.project_dir),
        profiles_dir=Path(revision.profiles_dir),
        target_dir=Path(revision.target_dir),
        profile=profile_of(revision),
    )


def secrets_of(revision: Revision) -> tuple[str, ...]:
    """Passwords and the like in the profile that a revision uses; what cannot be read any more has none."""
    try:
        return profile_of(revision).secrets
    except ProfileError:
        return ()


def variables_of(profile: Profile) -> dict[str, str]:
    """How a script reaches the warehouse: DEX_WAREHOUSE_TYPE, and what the profile says: _HOST, _USER, _PATH."""
    made = {"DEX_WAREHOUSE_TYPE": profile.type}
    for key, value in profile.output.items():
        if isinstance(value, str | int | float) and key not in ("type", "threads") and re.fullmatch(r"[a-z_]+", key):
            made[f"DEX_WAREHOUSE_{key.upper()}"] = str(value)
    if profile.database:
        made["DEX_WAREHOUSE_PATH"] = profile.database
    return made


def check_warehouse(fields: Mapping[str, Any]) -> dict[str, str]:
    """Field -> what is wrong with it; nothing where the fields can be a dbt target."""
    kind = str(fields.get("type", ""))
    if kind not in FIELDS:
        return {"type": f"{kind or 'Nothing'} is not a supported warehouse type; use profiles.yml of the project."}
    wrong = {}
    for name, label, must, _ in FIELDS[kind]:
        value = str(fields.get(name, ""))
        if must and not value.strip():
            wrong[name] = f"{label} is required."
        elif name == "port" and not references_in(value) and not _INTEGER.fullmatch(value):
            wrong[name] = "The port must be a whole number, such as 5432."
        elif name in SECRET_FIELDS and not references_in(value):
            wrong[name] = "Add it as a secret on the Variables page and refer to it here: {{ WAREHOUSE_PASSWORD }}."
    return wrong
