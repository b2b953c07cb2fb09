"""Which profiles.yml a project runs with, and what it says, without importing dbt. Both files are other people's,
and are read in a process of their own: see nodes.dbt.reader."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nodes.dbt import reader

_SECRET_KEY = re.compile(r"pass|secret|token|private_key|keyfile_json|api_key|credential", re.IGNORECASE)


class ProfileError(Exception):
    """The profile cannot be used; the message says why."""


class UnreadableProfile(ProfileError):
    """Reading it takes more than dex spends on what a repository says."""


@dataclass(frozen=True)
class Profile:
    """One target of a profile, with its variables filled in."""

    name: str
    target: str
    type: str
    threads: int
    database: str | None  # of DuckDB: the file; ":memory:" and remote ones have none
    output: Mapping[str, Any] = field(repr=False, default_factory=dict)  # everything that the target says
    secrets: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Project:
    """What a dbt_project.yml says: the profile that it asks for, or why none can be told, and the names of its vars.

    `require`: the versions of dbt that it asks for, as it writes them.
    """

    profile: str
    problem: str
    vars: tuple[str, ...]
    require: tuple[str, ...] = ()


def project_of(project_dir: Path, env: Mapping[str, str] | None = None) -> Project:
    """What the project's dbt_project.yml says. Raises ProfileError, UnreadableProfile where it is too much."""
    path = project_dir / "dbt_project.yml"
    try:
        found = reader.ask("project", path.name, reader.read_file(path), env=dict(env or {}))
    except FileNotFoundError:
        raise ProfileError(f"{project_dir} has no dbt_project.yml") from None
    except reader.TooMuch as error:
        raise UnreadableProfile(str(error)) from error
    except (reader.ReadError, OSError) as error:
        raise ProfileError(str(error)) from error
    return Project(found["profile"], found["problem"], tuple(found["vars"]), tuple(found["require"]))


def profile_name(project_dir: Path, env: Mapping[str, str] | None = None) -> str:
    """The profile that dbt_project.yml asks for. Raises ProfileError."""
    found = project_of(project_dir, env)
    if found.problem:
        raise ProfileError(found.problem)
    if not found.profile:
        raise ProfileError("dbt_project.yml names no profile")
    return found.profile


def directory_for(
    project_dir: Path,
    made_in: Path,
    *,
    database: Path,
    threads: int = 4,
    env: Mapping[str, str] | None = None,
) -> Path:
    """The folder of the project's own profiles.yml, or of one on DuckDB that dex makes in `made_in`."""
    if (project_dir / "profiles.yml").is_file():
        return project_dir
    output = {
        "type": "duckdb",
        "path": str(database),
        "threads": threads,
        "settings": {"autoinstall_known_extensions": False, "autoload_known_extensions": False},
    }
    made_in.mkdir(parents=True, exist_ok=True)
    content = {profile_name(project_dir, env): {"target": "dex", "outputs": {"dex": output}}}
    temporary = made_in / ".profiles.yml.new"
    temporary.write_text(yaml.safe_dump(content, sort_keys=False))
    temporary.replace(made_in / "profiles.yml")
    return made_in


def describe(
    profiles_dir: Path,
    profile: str,
    target: str | None = None,
    *,
    env: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    database_dir: Path | None = None,
) -> Profile:
    """What the profile says; a relative path of a DuckDB file counts from `database_dir`."""
    path = profiles_dir / "profiles.yml"
    order = {"profile": profile, "target": target, "env": dict(env or {}), "variables": dict(variables or {})}
    try:
        found = reader.ask("profile", path.name, reader.read_file(path), **order)
    except FileNotFoundError:
        raise ProfileError(f"{profiles_dir} has no profiles.yml") from None
    except reader.TooMuch as error:
        raise UnreadableProfile(str(error)) from error
    except (reader.ReadError, OSError) as error:
        raise ProfileError(str(error)) from error
    name, filled = found["target"], found["output"]
    kind = str(filled.get("type") or "")
    threads = filled.get("threads")
    return Profile(
        name=profile,
        target=name,
        type=kind,
        threads=threads if isinstance(threads, int) and threads > 0 else 4,
        database=_database(filled, database_dir) if kind == "duckdb" else None,
        output=filled,
        secrets=tuple(sorted(set(_secrets(filled)))),
    )


def _database(output: Mapping[str, Any], database_dir: Path | None) -> str | None:
    path = str(output.get("path") or ":memory:")
    if path.startswith(":memory:") or re.match(r"[a-z][a-z0-9+.-]+:", path):
        return None
    return str((database_dir or Path.cwd()) / Path(path).expanduser())


def _secrets(value: Any, key: str = "") -> list[str]:
    if isinstance(value, Mapping):
        return [secret for inner, each in value.items() for secret in _secrets(each, f"{key}.{inner}")]
    if isinstance(value, list):
        return [secret for each in value for secret in _secrets(each, key)]
    return [str(value)] if value not in (None, "") and _SECRET_KEY.search(key.rpartition(".")[2]) else []
