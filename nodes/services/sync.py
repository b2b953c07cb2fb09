"""Brings an environment up to date: what its project's folder holds now becomes a parsed revision."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from flows.models import Environment, Revision
from flows.projects.git import GitError, files_of_commit
from flows.projects.sources import Source, SourceError, source_of
from flows.variables.encryption import Unreadable
from flows.variables.values import VariableError, plain_values
from nodes.dbt import working_copy
from nodes.dbt.manifest import ManifestError, decode
from nodes.dbt.parse import ParsedProject, ParseError, parse_project
from nodes.dbt.profiles import ProfileError, UnreadableProfile, describe, profile_name, project_of
from nodes.dbt.warehouse import TARGET, WarehouseError, asked_target, database_dir, dbt_environment, profiles_dir
from nodes.expansion import refresh_environment
from nodes.runtimes import builds, choices, found
from nodes.runtimes.wanted import RuntimeProblem

#: What may be wrong with a project, its repository or its warehouse: told on the environment, and no fault of dex.
PROBLEMS = (
    *(ParseError, ManifestError, GitError, SourceError, ProfileError, WarehouseError, VariableError, Unreadable),
    RuntimeProblem,
)
log = logging.getLogger("dex.sync")
MOST_MANIFEST = 512 * 1024**2  # bytes; 50,000 models have less


class SyncError(Exception):
    """The project does not parse; the environment keeps its last good revision."""


class SyncStopped(Exception):
    """The worker ends: nothing is known of the project, and it is to be synced later."""


class _Operation(msgspec.Struct):
    resource_type: str = ""
    tags: list[str] = []


class _Operations(msgspec.Struct):
    nodes: dict[str, _Operation] = {}


def sync(
    environment: Environment,
    variables: dict[str, Any] | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Revision:
    """The revision of what the environment's branch or folder holds now, parsed at most once.

    In: `variables`, dbt vars of one run, which win over the variables of the environment; without them the revision
    becomes the environment's current one, and its flows are expanded anew when it is new; `stop`, whether to give up
    while a dbt runtime is built. Raises SyncError, after noting it on the environment, and SyncStopped.
    """
    effective: dict[str, Any] = {}
    try:
        source = source_of(environment)
        effective = {**vars_of(source.folder, plain_values(environment)), **(variables or {})}
        project = profile_name(source.folder, settings.DBT_ENVIRONMENT) if environment.warehouse else ""
        made_dir = profiles_dir(environment, project)
        target = TARGET if made_dir else environment.target or None
        kind = _profile_type(environment, source.folder, target, effective)
        row = choices.note_found(environment, found.look(source.folder, source.top, kind, settings.DBT_ENVIRONMENT))
        chosen = choices.runtime_for(environment, row, kind, stop=stop)
        parsed = parse_project(
            source.folder,
            profiles_dir=made_dir,
            target=target,
            vars=effective,
            env=dbt_environment(environment),
            home=Path(settings.DEX_HOME),
            database_dir=database_dir(environment),
            timeout=settings.PARSE_TIMEOUT_S,
            beside=source.beside,
            commit=source.commit.sha if source.commit and source.is_pinned else "",
            runtime=chosen.runtime,
        )
        revision, is_new = _revision(environment, parsed, effective, _Name.of(source), chosen.as_json())
    except PROBLEMS as error:
        if isinstance(error, RuntimeProblem) and error.stopped:
            raise SyncStopped(str(error)) from error
        environment.sync_error = str(error)
        environment.sync_error_about = "runtime" if isinstance(error, RuntimeProblem) else ""
        environment.synced_at = timezone.now()
        environment.save(update_fields=["sync_error", "sync_error_about", "synced_at"])
        raise SyncError(str(error)) from error
    if variables:
        return revision
    changed = environment.current_revision_id != revision.pk
    environment.current_revision = revision
    environment.sync_error, environment.sync_error_about = "", ""
    environment.sync_notes = [*source.notes, *([chosen.note] if chosen.note else [])]
    environment.synced_at = timezone.now()
    fields = ["current_revision", "sync_error", "sync_error_about", "sync_notes", "synced_at"]
    environment.save(update_fields=fields)
    if is_new or changed:
        refresh_environment(environment, revision)
    return revision


def _profile_type(environment: Environment, folder: Path, target: str | None, variables: Mapping[str, Any]) -> str:
    """The type of the profile that the environment will run with; "" where it cannot be told: dbt says better why."""
    if environment.warehouse:
        return str(environment.warehouse.get("type", ""))
    if not (folder / "profiles.yml").is_file():
        return "duckdb"  # nodes.dbt.profiles makes one
    env = dbt_environment(environment)
    try:
        return describe(folder, profile_name(folder, env), target, env=env, variables=variables).type
    except UnreadableProfile:
        raise
    except ProfileError:
        return ""


def vars_of(folder: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Variables of dex as vars of dbt: under their own names, and under those of dbt_project.yml that differ in case.

    `REGION` is var("REGION"), and also var("region") where the project's `vars:` has a `region`. Raises
    UnreadableProfile where the file takes more to read than dex spends on it.
    """
    try:
        names = project_of(folder, settings.DBT_ENVIRONMENT).vars
    except UnreadableProfile:
        raise
    except ProfileError:  # what else is wrong with the file, dbt says better
        names = ()
    return {**values, **{name: values[name.upper()] for name in names if name.upper() in values}}


def with_variables(revision: Revision, variables: dict[str, Any]) -> Revision:
    """The same code as a revision, parsed with other dbt vars. Raises SyncError."""
    environment = revision.environment
    try:
        parsed = parse_project(
            Path(revision.project_dir),
            profiles_dir=Path(revision.profiles_dir),
            target=asked_target(revision) or None,
            vars=variables,
            env=dbt_environment(environment),
            home=Path(settings.DEX_HOME),
            database_dir=database_dir(environment),
            timeout=settings.PARSE_TIMEOUT_S,
            commit=revision.commit,
            runtime=builds.runtime_of(revision),
        )
        name = _Name(revision.commit, revision.subject, revision.author, lambda: revision.local_changes)
        return _revision(environment, parsed, variables, name, revision.runtime)[0]
    except PROBLEMS as error:
        raise SyncError(str(error)) from error


@dataclass(frozen=True)
class _Name:
    """What a revision is called; `changed` says whether it holds something else than the commit, None: not known."""

    commit: str
    subject: str
    author: str
    changed: Callable[[], bool | None]

    @classmethod
    def of(cls, source: Source) -> "_Name":
        commit = source.commit
        if commit is None:
            return cls("", "", "", lambda: False)
        sha = commit.sha

        def changed() -> bool | None:
            return False if source.is_pinned else _has_changed(source, sha)

        return cls(sha, commit.subject, commit.author, changed)


def _has_changed(source: Source, sha: str) -> bool | None:
    """Whether a folder holds something else than its commit; one that the commit does not have at all does."""
    home = Path(settings.DEX_HOME)
    beside = [folder for folder in source.beside if folder.is_dir() and not (source.folder / folder.name).exists()]
    for folder in (source.folder, *beside):
        blobs = files_of_commit(folder, sha, home)
        if blobs is None:
            return None
        if working_copy.differs(folder, blobs):
            return True
    return False


def _revision(
    environment: Environment,
    parsed: ParsedProject,
    variables: dict[str, Any],
    name: _Name,
    runtime: dict[str, Any],
) -> tuple[Revision, bool]:
    key = parsed.target_dir.parent.name
    existing = Revision.objects.filter(environment=environment, key=key).first()
    if existing is not None and existing.exists_on_disk:
        if existing.commit != name.commit:  # the same content, and what it is called now: it was committed meanwhile
            existing.commit, existing.subject, existing.author = name.commit, name.subject, name.author
            existing.local_changes = name.changed()
            existing.save(update_fields=["commit", "subject", "author", "local_changes"])
        return existing, False
    if (size := parsed.manifest_path.stat().st_size) > MOST_MANIFEST:
        raise ManifestError(
            f"dbt's manifest has {size // 1024**2:,} MiB; at most {MOST_MANIFEST // 1024**2:,} are read"
        )
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
        "commit": name.commit,
        "local_changes": name.changed(),
        "subject": name.subject,
        "author": name.author,
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
            "asked": parsed.target,
        },
        "variables": json.loads(json.dumps(variables)),
        "runtime": runtime,
        "resources": counts,
    }
    with transaction.atomic():
        return Revision.objects.update_or_create(environment=environment, key=key, defaults=values)


def hooks_of(manifest_json: bytes) -> list[str]:
    """Which of on-run-start and on-run-end the project (or a package of it) has."""
    nodes = msgspec.json.decode(manifest_json, type=_Operations).nodes.values()
    tags = {tag for node in nodes if node.resource_type == "operation" for tag in node.tags}
    return sorted(tags & {"on-run-start", "on-run-end"})
