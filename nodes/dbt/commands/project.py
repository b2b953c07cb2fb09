"""The project that dbt's commands run on: what its manifest says of resources, and a copy whose hooks wait."""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

HOOKS = ("on-run-start", "on-run-end")
MARKER = {"on-run-start": "dex_on_run_start", "on-run-end": "dex_on_run_end"}
_ODD = str.maketrans(dict.fromkeys(" \t,*[]{}", "?"))  # in a selector they mean something else


class Resources:
    """How the resources of a manifest are selected, and where dbt writes what it made of them."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        rows = {
            unique_id: row
            for part in ("nodes", "unit_tests", "functions", "saved_queries")
            for unique_id, row in (manifest.get(part) or {}).items()
        }
        self._rows = {unique_id: row for unique_id, row in rows.items() if row.get("fqn")}
        self._folders = {tuple(row["fqn"][:end]) for row in self._rows.values() for end in range(1, len(row["fqn"]))}
        self.dbt_version = str((manifest.get("metadata") or {}).get("dbt_version") or "")
        self.has_hooks = any(unique_id.startswith("operation.") for unique_id in rows)

    def __contains__(self, unique_id: str) -> bool:
        return unique_id in self._rows

    def term(self, unique_id: str) -> str:
        """The selector that means this resource and no other. Raises KeyError when the project has none of this id."""
        row = self._rows[unique_id]
        fqn = row["fqn"]
        term = f"fqn:{'.'.join(fqn)}".translate(_ODD)
        if tuple(fqn) in self._folders:  # a folder of the same name, or unit tests, would be selected as well
            term += f",file:{Path(row['original_file_path']).name.translate(_ODD)}"
        return term

    def parents(self, unique_id: str) -> Collection[str]:
        """What a resource refers to."""
        parents: list[str] = ((self._rows.get(unique_id) or {}).get("depends_on") or {}).get("nodes") or []
        return parents

    def compiled(self, unique_id: str, target: Path) -> str:
        """The SQL that dbt made of a resource; "" where it wrote none."""
        row = self._rows.get(unique_id) or {}
        package, path = str(row.get("package_name") or ""), str(row.get("original_file_path") or "")
        try:
            return (target / "compiled" / package / path).read_text(errors="replace") if path else ""
        except OSError:
            return ""


def goes_on(project_dir: Path, dbt_version: str) -> bool:
    """Whether dbt builds what is selected though an on-run-start hook failed."""
    flags = _read(project_dir / "dbt_project.yml").get("flags") or {}
    said = flags.get("skip_nodes_if_on_run_start_fails")
    if said is None:
        parts = [int(part) if part.isdigit() else 0 for part in dbt_version.split(".")[:2]]
        said = parts >= [1, 12]
    return not said


def with_waiting_hooks(project_dir: Path, copy: Path) -> Path:
    """A copy of the project whose hooks do nothing, unless a command selects MARKER[hook].

    The markers are ephemeral models: with nothing selected, dbt would run no hooks.
    """
    if copy.exists():
        return copy
    fresh = copy.with_name(f".{copy.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(project_dir, fresh, symlinks=True)
    for file in _project_files(fresh):
        said = _read(file)
        hooks = {name: _waiting(name, said[name]) for name in HOOKS if said.get(name)}
        if hooks:
            file.write_text(yaml.safe_dump({**said, **hooks}, sort_keys=False, allow_unicode=True))
    said = _read(fresh / "dbt_project.yml")
    folder = fresh / str((said.get("model-paths") or ["models"])[0])
    folder.mkdir(parents=True, exist_ok=True)
    for marker in MARKER.values():
        (folder / f"{marker}.sql").write_text("{{ config(materialized='ephemeral') }} select 1 as id\n")
    fresh.rename(copy)
    return copy


def _project_files(folder: Path) -> Iterable[Path]:
    """The project's own dbt_project.yml and those of its packages, wherever they are."""
    return sorted(folder.rglob("dbt_project.yml"))


def _waiting(name: str, hooks: Any) -> Any:
    if isinstance(hooks, list):
        return [_waiting(name, hook) for hook in hooks]
    if isinstance(hooks, Mapping):
        return {**hooks, "sql": _waiting(name, hooks.get("sql") or "")}
    asked = f"'{MARKER[name]}' in (invocation_args_dict.get('select') or [])"
    # While dbt parses, a hook is rendered: it may say what it needs.
    return f"{{% if not execute or {asked} %}}{hooks}{{% endif %}}"


def _read(file: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return said if isinstance(said, dict) else {}


def read_manifest(path: Path) -> Resources:
    """The resources of a manifest.json. Raises OSError, ValueError."""
    return Resources(json.loads(path.read_bytes()))
