"""A Python environment that can run dbt. dex has one built in; a project may bring its own."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from flows.infra import process

CODE = Path(__file__).resolve().parents[2]
_LATER = ("nodes.dbt.warm.parsing",)


@dataclass(frozen=True)
class Runtime:
    """Which interpreter runs dbt, and what is installed beside it.

    `lock`: name==version of dbt and its adapters, sorted; what was parsed with another is parsed anew. `adapters`:
    names of packages below dbt.adapters, which are the types of profiles too; imported once for all sessions.
    `digest`: of everything that is installed, "" for the dbt that dex ships.
    """

    python: str
    lock: tuple[str, ...]
    adapters: tuple[str, ...] = ()
    digest: str = ""

    @property
    def dbt(self) -> str:
        """The version of dbt-core, such as 1.11.16; "" where none is installed."""
        return next((each.partition("==")[2] for each in self.lock if each.startswith("dbt-core==")), "")

    @property
    def program(self) -> str:
        """The path of its `dbt`."""
        return str(Path(self.python).with_name("dbt"))

    @property
    def version(self) -> tuple[int, int]:
        """The line of dbt-core, such as (1, 11); (0, 0) where none is installed."""
        major, minor = (self.dbt or "0.0").split(".")[:2]
        return int(major), int(minor)

    @property
    def preload(self) -> process.Preload:
        """What sessions and parses find imported. Importing dbt takes 3 s of CPU."""
        adapters = (f"dbt.adapters.{name}" for name in self.adapters)
        return process.Preload(
            ("nodes.dbt.internals", "dbt.cli.main", *adapters, "nodes.dbt.warm.opening"), later=_LATER
        )


def runtime_at(folder: Path, digest: str = "") -> Runtime:
    """The runtime that a virtualenv is. It imports nothing: what is installed is read from the folder."""
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    return Runtime(str(folder / "bin" / "python"), *_installed((str(packages),)), digest)


@cache
def built_in() -> Runtime:
    """The dbt that dex ships."""
    return Runtime(sys.executable, *_installed(tuple(sys.path)))


def _installed(path: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The versions of dbt's packages, and the adapters among what is installed."""
    found = {
        (each.metadata["Name"] or "").lower().replace("_", "-"): each.version for each in distributions(path=[*path])
    }
    lock = tuple(sorted(f"{name}=={version}" for name, version in found.items() if name.startswith("dbt")))
    return lock, tuple(sorted({name for folder in path for name in _adapters_in(Path(folder) / "dbt")}))


def _adapters_in(folder: Path) -> list[str]:
    """Packages below dbt.adapters that bring a project of macros, as every adapter does and nothing else there."""
    projects = (folder / "include").glob("*/dbt_project.yml")
    names = [project.parent.name for project in projects]
    return [name for name in names if (folder / "adapters" / name / "__init__.py").is_file()]
