"""The warehouse of an environment: the profile that dbt runs with, and how scripts and connections reach it."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from django.conf import settings

from flows.infra.whole_files import write_whole
from flows.models import Environment, Revision
from flows.variables.references import references_in
from flows.variables.values import environment_of, secret_names
from nodes.dbt.parse import ParsedProject
from nodes.dbt.profiles import Profile, ProfileError, describe
from nodes.dbt.warehouses.rendering import Rendered, WarehouseError, render

__all__ = [
    "TARGET",
    "WarehouseError",
    "asked_target",
    "database_dir",
    "dbt_environment",
    "parsed_of",
    "profile_of",
    "profiles_dir",
    "secrets_of",
    "variables_of",
]

TARGET = "dex"


def database_dir(environment: Environment) -> Path:
    """Where DuckDB files of an environment are: relative paths of its profile count from here."""
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{environment.pk}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def dbt_environment(environment: Environment) -> dict[str, str]:
    """What the project's env_var() sees: DBT_* of this process, and the secrets of the warehouse's fields.

    Raises WarehouseError for a reference to what is not there.
    """
    return {**settings.DBT_ENVIRONMENT, **_rendered(environment).passed}


def profiles_dir(environment: Environment, profile: str) -> Path | None:
    """The folder of a profiles.yml made from the environment's fields; None where the project's own is used.

    Values with secrets stand in it as env_var(...), so that no file holds one. Raises WarehouseError.
    """
    if not environment.warehouse:
        return None
    output = {**_rendered(environment).output, "threads": environment.threads}
    text = yaml.safe_dump({profile: {"target": TARGET, "outputs": {TARGET: output}}}, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = Path(settings.DEX_HOME) / "profiles" / f"environment-{environment.pk}" / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(folder / "profiles.yml", text.encode())
    return folder


def _rendered(environment: Environment) -> Rendered:
    """The fields as they go into profiles.yml, and the values that reach dbt through its environment."""
    kept = environment.warehouse
    if not kept:
        return Rendered({})
    if not references_in(kept):
        return render(kept, {}, ())
    return render(kept, environment_of(environment), secret_names(environment))


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
        if isinstance(value, Mapping) and key == "keyfile_json":
            made["DEX_WAREHOUSE_KEYFILE_JSON"] = json.dumps(value)
        elif isinstance(value, str | int | float) and key not in ("type", "threads") and re.fullmatch(r"[a-z_]+", key):
            made[f"DEX_WAREHOUSE_{key.upper()}"] = str(value)
    if profile.database:
        made["DEX_WAREHOUSE_PATH"] = profile.database
    return made
