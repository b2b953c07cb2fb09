"""Tests of the warehouse of an environment: requested by a person, and what a worker needs to make one."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone
from django.utils.crypto import salted_hmac

from flows.access import acting, require
from flows.models import Environment
from flows.variables.encryption import Unreadable
from flows.variables.values import VariableError, environment_of
from nodes.dbt.profiles import ProfileError
from nodes.dbt.warehouse import TARGET, WarehouseError, dbt_environment, profile_of, profiles_dir
from nodes.dbt.warehouses.base import Probe
from nodes.dbt.warehouses.registry import WAREHOUSES
from nodes.dbt.warehouses.rendering import render_plain
from nodes.fields.form import fields_of
from nodes.models import WarehouseCheck

#: Why a warehouse cannot be tested as it is described; the message says what to do.
PROBLEMS = (WarehouseError, VariableError, Unreadable, ProfileError)
PATIENCE = timedelta(seconds=60)  # after which a page says that nobody answers
_Place = tuple[Path, str, str | None, dict[str, Any]]  # where a profile is, its name and target, and dbt's variables
_OWN = "dex"  # the profile that is made from fields


@dataclass(frozen=True)
class CheckOrder:
    """What a test needs to know."""

    kind: str  # dbt's type of the warehouse
    settings: dict[str, Any]  # without secrets
    profiles_dir: Path
    profile: str
    target: str | None
    variables: dict[str, Any]
    env: dict[str, str] = field(repr=False)
    digest: str = ""  # names what is tested, secrets included
    probes: tuple[Probe, ...] = ()


def request_check(environment: Environment) -> WarehouseCheck:
    """Request a test, which a worker makes. Raises PermissionDenied."""
    actor = require("flows.change_environment")
    return WarehouseCheck.objects.create(environment=environment, requested_by=actor.name[:200])


def order_for(environment: Environment) -> CheckOrder:
    """What a test of the warehouse asks, of its fields or of the profile of the current revision. Raises PROBLEMS."""
    env = dbt_environment(environment)
    revision = environment.current_revision
    if environment.warehouse:
        kind = str(environment.warehouse["type"])
        warehouse = WAREHOUSES[kind]
        output = render_plain(environment.warehouse, environment_of(environment))
        secret = {each.name for each in fields_of(warehouse) if each.secret}
        settings = {name: value for name, value in output.items() if name not in secret}
        made = profiles_dir(environment, _OWN)
        if made is None:
            raise WarehouseError("This environment has no warehouse of its own.")
        place: _Place = (made, _OWN, TARGET, {})
    elif revision is None or not Path(revision.profiles_dir).is_dir():
        raise WarehouseError("The warehouse is the one of the project's profiles.yml: sync the environment first.")
    else:
        profile = profile_of(revision)
        kind, output = profile.type, dict(profile.output)
        hidden = set(profile.secrets)
        settings = {n: v for n, v in output.items() if isinstance(v, str | int) and str(v) not in hidden}
        place = (Path(revision.profiles_dir), profile.name, profile.target, dict(revision.variables))
    found = WAREHOUSES.get(kind)
    probes = tuple(each for each in (found.probes if found else ()) if not each.needs or settings.get(each.needs))
    digest = salted_hmac(
        "nodes.services.warehouse_checks", json.dumps([kind, output], sort_keys=True, default=str), algorithm="sha256"
    ).hexdigest()
    return CheckOrder(kind, settings, *place, env, digest, probes)


def shown_check(environment: Environment) -> dict[str, Any]:
    """What the page of an environment shows of its latest test.

    Out: {"row", "check", "outdated", "may_test", "may_choose" (a dbt runtime), "is_late"}.
    """
    latest = environment.warehouse_checks.first()
    about = latest is None or latest.done_at is None or is_about(latest, environment)
    asked = latest.requested_at if latest and latest.done_at is None else None
    return {
        "row": environment,
        "check": latest if about else None,
        "outdated": None if about else latest,
        "may_test": acting().may("flows.change_environment"),
        "may_choose": acting().may("flows.view_project"),
        "is_late": asked is not None and timezone.now() - asked > PATIENCE,
    }


def is_about(check: WarehouseCheck, environment: Environment) -> bool:
    """Whether a test was made with the present settings; what cannot be read was not tested either."""
    try:
        return check.settings_digest == order_for(environment).digest
    except PROBLEMS:
        return check.settings_digest == ""
