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
    names of packages below dbt.adapters that are imported once for all sessions.
    """

    python: str
    lock: tuple[str, ...]
    adapters: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The path of its `dbt`."""
        return str(Path(self.python).with_name("dbt"))

    @property
    def version(self) -> tuple[int, int]:
        """The line of dbt-core, such as (1, 11); (0, 0) where none is installed."""
        found = next((each.partition("==")[2] for each in self.lock if each.startswith("dbt-core==")), "0.0")
        major, minor = found.split(".")[:2]
        return int(major), int(minor)

    @property
    def preload(self) -> process.Preload:
        """What sessions and parses find imported. Importing dbt takes 3 s of CPU."""
        adapters = (f"dbt.adapters.{name}" for name in self.adapters)
        return process.Preload(
            ("nodes.dbt.internals", "dbt.cli.main", *adapters, "nodes.dbt.warm.opening"), later=_LATER
        )


def runtime_at(folder: Path) -> Runtime:
    """The runtime that a virtualenv is. It imports nothing: what is installed is read from the folder."""
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    return Runtime(str(folder / "bin" / "python"), *_installed((str(packages),)))


@cache
def built_in() -> Runtime:
    """The dbt that dex ships."""
    return Runtime(sys.executable, *_installed(tuple(sys.path)))


def _installed(path: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The versions of dbt's packages, and the adapters among them that have a module of their own name."""
    found = {
        (each.metadata["Name"] or "").lower().replace("_", "-"): each.version for each in distributions(path=[*path])
    }
    lock = tuple(sorted(f"{name}=={version}" for name, version in found.items() if name.startswith("dbt")))
    named = sorted(name.removeprefix("dbt-") for name in found if name.startswith("dbt-"))
    return lock, tuple(name for name in named if _has_adapter(name, path))


def _has_adapter(name: str, path: Sequence[str]) -> bool:
    return any((Path(folder) / "dbt" / "adapters" / name / "__init__.py").is_file() for folder in path)
