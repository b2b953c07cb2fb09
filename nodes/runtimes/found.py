"""What the repository of a project says about the dbt that it needs, read in a limited child process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodes.dbt import reader
from nodes.dbt.profiles import ProfileError, project_of

#: Where requirements are looked for, the first that names a package of dbt counts.
FILES = ("dbt-requirements.txt", "requirements.txt", "pyproject.toml")


def look(folder: Path, top: Path, profile_type: str, env: Mapping[str, str]) -> dict[str, Any]:
    """{"type", "require", "file", "dbt", "constraints", "problem"}: see DbtRuntime.found.

    In: the dbt project's folder, the top of its repository, the type of its profile ("": not known), and what its
    env_var() sees. `problem`: why a file that names dbt cannot be used.
    """
    found: dict[str, Any] = {"type": profile_type, "require": [], "file": "", "dbt": [], "constraints": []}
    found["problem"] = ""
    try:
        found["require"] = list(project_of(folder, env).require)
    except ProfileError:  # dbt says better what is wrong with it
        pass
    for path, shown in _places(folder, top):
        try:
            answer = reader.ask("requirements", path.name, reader.read_file(path))
        except reader.ReadError as error:
            return {**found, "file": shown, "problem": str(error)}
        except OSError:
            continue
        if answer["dbt"]:
            return {**found, "file": shown, "dbt": answer["dbt"], "constraints": answer["constraints"]}
    return found


def _places(folder: Path, top: Path) -> Sequence[tuple[Path, str]]:
    """The files that there are, with their paths in the repository. Links may lead anywhere, and are not followed."""
    folders = [folder] if folder == top else [folder, top]
    paths = [place / name for place in folders for name in FILES]
    return [(path, path.relative_to(top).as_posix()) for path in paths if path.is_file() and not path.is_symlink()]
