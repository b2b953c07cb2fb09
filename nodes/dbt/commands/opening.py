"""From the command `open` to what all processes of dbt share."""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nodes.dbt.commands.process import Place
from nodes.dbt.commands.project import Resources, read_manifest, with_waiting_hooks


def open_project(order: Mapping[str, Any], program: str) -> tuple[Place, Resources, Path | None]:
    """Prepare a folder for dbt's commands: the parse that there is, and a copy whose hooks wait, if it has hooks.

    In: the command of the protocol; the path of `dbt`. Raises OSError, ValueError for a manifest that cannot be read.
    """
    target = Path(order["target_path"])
    target.mkdir(parents=True, exist_ok=True)
    parsed = Path(order["partial_parse"])
    with suppress(OSError):  # without it dbt parses the project itself
        shutil.copyfile(parsed, target / parsed.name)
    resources = read_manifest(parsed.with_name("manifest.json"))
    project = Path(order["project_dir"])
    copy = with_waiting_hooks(project, target.with_name("project")) if resources.has_hooks else None
    cwd = Path(order.get("database_dir") or project)
    cwd.mkdir(parents=True, exist_ok=True)
    place = Place(
        program=program,
        project_dir=project,
        profiles_dir=order["profiles_dir"],
        target_path=target,
        log_path=order["log_path"],
        cwd=str(cwd),
        target=order.get("target") or "",
        vars=json.dumps(order["vars"]) if order.get("vars") else "",
        threads=int(order.get("threads") or 0),
    )
    return place, resources, copy
