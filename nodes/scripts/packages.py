"""The script packages of a revision: `dex-custom-scripts/<name>/__main__.py`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nodes.scripts.reading import Reads, reads_of_all

FOLDER = "dex-custom-scripts"
README_LENGTH = 20_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class Package:
    """A folder that a Custom Script node can run; `readme` is its README as text, or empty."""

    name: str
    requirements: bool
    readme: str
    folder: Path


def packages_of(project_dir: Path) -> list[Package]:
    """The packages in a project's folder, by name. Links that lead out of the folder are not followed."""
    root = project_dir / FOLDER
    try:
        folders = sorted(entry for entry in root.iterdir() if _NAME.fullmatch(entry.name) and not entry.is_symlink())
        return [_package(folder) for folder in folders if _is_file(folder / "__main__.py")]
    except OSError:  # no such folder, or one that may not be read: there is nothing to offer
        return []


def reads_of_packages(packages: Sequence[Package]) -> list[Reads]:
    """The parameters and variables that the __main__.py of each package reads."""
    return reads_of_all([package.folder / "__main__.py" for package in packages])


def _package(folder: Path) -> Package:
    readme = next((path for name in ("README.md", "README.txt", "README") if _is_file(path := folder / name)), None)
    text = ""
    if readme is not None:
        with readme.open("rb") as file:
            text = file.read(README_LENGTH).decode(errors="replace")
    return Package(folder.name, _is_file(folder / "requirements.txt"), text, folder)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
