"""Local files that a connection may read: only below folders that were allowed, wherever links lead."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from nodes.connections.connectors.base import Context
from nodes.connections.connectors.failures import SourceError

MOST_FILES = 100_000


def allowed_roots(context: Context) -> list[Path]:
    """The folders below which files may be read, links resolved."""
    roots = [*context.roots, *([context.project_dir] if context.project_dir else [])]
    return [Path(os.path.realpath(root)) for root in roots]


def allowed(path: str, context: Context) -> Path:
    """The real path of a file or folder. A relative path begins at the project.

    Raises SourceError for one that is not there, or that lies elsewhere once links are followed.
    """
    if "\0" in path or not path.strip():
        raise SourceError("config", "Enter the path of a file or folder.")
    base = context.project_dir or (context.roots[0] if context.roots else None)
    if base is None:
        raise SourceError("permission", "dex may not read local folders: DEX_CONNECT_FILES lists none.")
    real = Path(os.path.realpath(base / path))
    if not within(real, allowed_roots(context)):
        raise SourceError(
            "permission",
            f"{path} is outside the folders that dex may read: the project, and those in DEX_CONNECT_FILES.",
        )
    if not real.exists():
        raise SourceError("config", f"{path} does not exist.")
    return real


def within(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a real path lies in or below one of these real folders."""
    return any(path == root or root in path.parents for root in roots)


def files_below(folder: Path, context: Context) -> Iterator[tuple[str, Path]]:
    """(path below the folder, real path) of every readable file, sorted.

    Hidden files and links to elsewhere are left out.
    """
    roots, count = allowed_roots(context), 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            real = Path(os.path.realpath(Path(parent) / name))
            if name.startswith(".") or not real.is_file() or not within(real, roots):
                continue
            count += 1
            if count > MOST_FILES:
                raise SourceError("config", f"There are more than {MOST_FILES:,} files; choose a smaller folder.")
            yield (Path(parent) / name).relative_to(folder).as_posix(), real


def matches(name: str, pattern: str) -> bool:
    """Whether a path below the folder fits a pattern such as `orders-*.csv` or `**/2024/*.parquet`.

    A pattern without a slash is about the file's name; `*` does not cross folders, `**` does.
    """
    if "/" not in pattern:
        return "/" not in name and fnmatchcase(name, pattern)
    return _fits(name.split("/"), pattern.split("/"))


def _fits(parts: list[str], patterns: list[str]) -> bool:
    # places: the parts so far can be read as so many first parts of the pattern. Every part is looked at once for each.
    places = _behind_stars({0}, patterns)
    for part in parts:
        step = set()
        for place in places:
            if place == len(patterns):
                continue
            if patterns[place] == "**":
                step.add(place)
            elif fnmatchcase(part, patterns[place]):
                step.add(place + 1)
        places = _behind_stars(step, patterns)
    return len(patterns) in places


def _behind_stars(places: set[int], patterns: list[str]) -> set[int]:
    reached = set(places)
    for place in places:
        while place < len(patterns) and patterns[place] == "**":
            place += 1
            reached.add(place)
    return reached
