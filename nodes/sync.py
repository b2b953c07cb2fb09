"""Brings an environment up to date: what its project's folder holds now becomes a parsed revision."""

import json
import logging
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from flows.models import Environment, Revision
from nodes.dbt.parse import ParsedProject, ParseError, parse_project
from nodes.dbt.profiles import Profile, ProfileError, describe
from nodes.dbt.snapshot import commit_of
from nodes.expansion import refresh_environment
from nodes.manifest import ManifestError, decode

log = logging.getLogger("dex.sync")


class SyncError(Exception):
    """The project does not parse; the environment keeps its last good revision."""


def database_dir(environment: Environment) -> Path:
    """Where DuckDB files of an environment are: relative paths of its profile count from here."""
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{environment.pk}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def parsed_of(revision: Revision) -> ParsedProject:
    """What a session needs to open a revision. Raises ProfileError when its profile is no longer readable."""
    return ParsedProject(
        fingerprint=revision.fingerprint,
        manifest_path=Path(revision.manifest_path),
        project_dir=Path(revision.project_dir),
        profiles_dir=Path(revision.profiles_dir),
        target_dir=Path(revision.target_dir),
        profile=_profile(revision),
    )


def _profile(revision: Revision) -> Profile:
    warehouse = revision.warehouse
    return describe(
        Path(revision.profiles_dir),
        warehouse.get("profile", ""),
        warehouse.get("target"),
        env=settings.DBT_ENVIRONMENT,
        variables=revision.variables,
        database_dir=database_dir(revision.environment),
    )


def secrets_of(revision: Revision) -> tuple[str, ...]:
    """Passwords and the like in the profile that a revision uses; what cannot be read any more has none."""
    try:
        return _profile(revision).secrets
    except ProfileError:
        return ()


class _Operation(msgspec.Struct):
    resource_type: str = ""
    tags: list[str] = []


class _Operations(msgspec.Struct):
    nodes: dict[str, _Operation] = {}


def sync(environment: Environment, variables: dict[str, Any] | None = None) -> Revision:
    """The revision of what the environment's folder holds now, parsed at most once.

    In: `variables`, dbt vars of one run; without them the revision becomes the environment's current one, and
    its flows are expanded anew when it is new. Raises SyncError, after noting it on the environment.
    """
    variables = variables or {}
    try:
        parsed = parse_project(
            Path(environment.project.path),
            target=environment.target or None,
            vars=variables,
            env=settings.DBT_ENVIRONMENT,
            home=Path(settings.DEX_HOME),
            database_dir=database_dir(environment),
            timeout=settings.PARSE_TIMEOUT_S,
        )
        revision, is_new = _revision(environment, parsed, variables)
    except (ParseError, ManifestError) as error:
        environment.sync_error = str(error)
        environment.synced_at = timezone.now()
        environment.save(update_fields=["sync_error", "synced_at"])
        raise SyncError(str(error)) from error
    if variables:
        return revision
    changed = environment.current_revision_id != revision.pk
    environment.current_revision = revision
    environment.sync_error = ""
    environment.synced_at = timezone.now()
    environment.save(update_fields=["current_revision", "sync_error", "synced_at"])
    if is_new or changed:
        refresh_environment(environment, revision)
    return revision


def _revision(environment: Environment, parsed: ParsedProject, variables: dict[str, Any]) -> tuple[Revision, bool]:
    key = parsed.target_dir.parent.name
    known = Revision.objects.filter(environment=environment, key=key).first()
    if known is not None and known.exists_on_disk:
        return known, False
    data = parsed.manifest_path.read_bytes()
    manifest = decode(data)
    compact = parsed.target_dir / "manifest.compact"
    fresh = compact.with_suffix(".new")
    fresh.write_bytes(manifest.to_compact())
    fresh.replace(compact)  # whole or not at all
    counts: dict[str, Any] = {}
    for resource in manifest.resources.values():
        counts[resource.resource_type] = counts.get(resource.resource_type, 0) + 1
    counts["hooks"] = hooks_of(data)
    values = {
        "fingerprint": parsed.fingerprint,
        "commit": commit_of(Path(environment.project.path)) or "",
        "project_dir": str(parsed.project_dir),
        "profiles_dir": str(parsed.profiles_dir),
        "target_dir": str(parsed.target_dir),
        "manifest_path": str(parsed.manifest_path),
        "compact_path": str(compact),
        "warehouse": {
            "type": parsed.profile.type,
            "path": parsed.profile.database,
            "profile": parsed.profile.name,
            "target": parsed.profile.target,
        },
        "variables": json.loads(json.dumps(variables)),
        "resources": counts,
    }
    with transaction.atomic():
        return Revision.objects.update_or_create(environment=environment, key=key, defaults=values)


def hooks_of(manifest_json: bytes) -> list[str]:
    """Which of on-run-start and on-run-end the project (or a package of it) has."""
    nodes = msgspec.json.decode(manifest_json, type=_Operations).nodes.values()
    tags = {tag for node in nodes if node.resource_type == "operation" for tag in node.tags}
    return sorted(tags & {"on-run-start", "on-run-end"})
