"""Which profiles.yml a project runs with, and what it says, without importing dbt."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2.exceptions import TemplateError
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

_SECRET_KEY = re.compile(r"pass|secret|token|private_key|keyfile_json|api_key|credential", re.IGNORECASE)


class ProfileError(Exception):
    """The profile cannot be used; the message says why."""


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


def profile_name(project_dir: Path, env: Mapping[str, str] | None = None) -> str:
    """The profile that dbt_project.yml asks for."""
    path = project_dir / "dbt_project.yml"
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ProfileError(f"{project_dir} has no dbt_project.yml") from None
    except yaml.YAMLError as error:
        raise ProfileError(f"dbt_project.yml is not valid YAML: {_short(error)}") from None
    if not isinstance(content, dict):
        raise ProfileError("dbt_project.yml is empty")
    name = _render(content.get("profile") or content.get("name") or "", env or {}, {})
    if not name:
        raise ProfileError("dbt_project.yml names no profile")
    return str(name)


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
    try:
        content = yaml.safe_load((profiles_dir / "profiles.yml").read_text())
    except FileNotFoundError:
        raise ProfileError(f"{profiles_dir} has no profiles.yml") from None
    except yaml.YAMLError as error:
        raise ProfileError(f"profiles.yml is not valid YAML: {_short(error)}") from None
    chosen = content.get(profile) if isinstance(content, dict) else None
    if not isinstance(chosen, dict) or not isinstance(chosen.get("outputs"), dict):
        raise ProfileError(f"profiles.yml has no profile {profile!r} with outputs")
    env, variables = env or {}, variables or {}
    name = str(target or _render(chosen.get("target") or "default", env, variables))
    output = chosen["outputs"].get(name)
    if not isinstance(output, dict):
        known = ", ".join(sorted(map(str, chosen["outputs"])))
        raise ProfileError(f"profile {profile!r} has no target {name!r}; it has {known}")
    filled = {key: _render(value, env, variables) for key, value in output.items()}
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


class _Environment(SandboxedEnvironment, NativeEnvironment):
    """Jinja as in profiles.yml, without reach into dex: the file is other people's."""


def _render(value: Any, env: Mapping[str, str], variables: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _render(each, env, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_render(each, env, variables) for each in value]
    if not isinstance(value, str) or "{" not in value:
        return value

    def env_var(name: str, default: str | None = None) -> str:
        if name in env:
            return env[name]
        if default is None:
            raise ProfileError(f"the environment variable {name} is required and not set")
        return default

    def var(name: str, default: Any = None) -> Any:
        return variables.get(name, default)

    jinja = _Environment(autoescape=False)  # a value of YAML, never shown as HTML
    jinja.filters |= {"as_number": _number, "as_bool": _truth, "as_native": yaml.safe_load, "as_text": str}
    try:
        return jinja.from_string(value).render(env_var=env_var, var=var)
    except TemplateError as error:
        raise ProfileError(f"{value!r} cannot be filled in: {error}") from None


def _number(text: Any) -> Any:
    number = float(text)
    return int(number) if number.is_integer() else number


def _truth(text: Any) -> bool:
    return str(text).strip().lower() in ("true", "1", "yes", "on")


def _short(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())[:300]
