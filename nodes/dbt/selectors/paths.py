"""The `path:` method without walking the disk.

dbt globs the project folder and then asks of each resource whether its file, its yml file or one of its
folders was found (dbt/graph/selector_methods.py, PathSelectorMethod). The other way round gives the same
answer and cannot be made to wander: match the paths that the manifest knows against the pattern, then look
whether those few exist in the folder. The rules of a pattern are those of pathlib's `Path.glob` in Python
3.11 and 3.12.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from fnmatch import translate
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from nodes.dbt.manifest import Manifest

Parts = tuple[str, ...]
# Since Python 3.13 a pattern that ends in ** finds files too, not only folders.
_LAST_STARS_FIND_FILES = sys.version_info >= (3, 13)


def search_path(manifest: Manifest, pattern: str, project_dir: Path | None) -> set[int]:
    """Numbers of the resources that `path:pattern` means.

    Without `project_dir` the root project's own paths in the manifest stand for what is on the disk.
    """
    wanted = [part for part in pattern.split("/") if part not in ("", ".")]
    if not wanted or ".." in wanted:
        return set()
    # several ** in a row are one, and a pattern with more parts than the deepest path fits none
    wanted = [part for n, part in enumerate(wanted) if part != "**" or wanted[n - 1 : n] != ["**"]]
    index = _index(manifest)
    if sum(part != "**" for part in wanted) > index.depth:
        return set()
    folders_only = pattern.endswith("/")
    exists, is_link = _on_disk(project_dir, folders_only) if project_dir else _in_manifest(index, folders_only)
    matches = {path for path in index.paths if _matches(path, wanted, is_link) and exists(path)}
    if wanted[-1] == "**" and not _LAST_STARS_FIND_FILES:
        matches -= index.files
    return {
        n
        for path, numbers in index.defined.items()
        if path in matches or any(path[:depth] in matches for depth in range(len(path)))
        for n in numbers
    } | {n for path in matches for n in index.patched.get(path, ())}


def search_file(manifest: Manifest, pattern: str) -> set[int]:
    """Numbers of the resources that `file:pattern` means: the name of their file, or its stem, matches."""
    regex = compiled(pattern)
    matches: set[int] = set()
    for path, numbers in _index(manifest).defined.items():
        name = path[-1] if path else ""
        if regex.match(name) or regex.match(_stem(name)):
            matches.update(numbers)
    return matches


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """A shell pattern as fnmatch reads it on Linux, where case matters."""
    return re.compile(translate(pattern))


class _Index:
    """The paths of a manifest as tuples of parts: where resources are defined, where they are patched."""

    def __init__(self, manifest: Manifest) -> None:
        self.defined: dict[Parts, list[int]] = {}
        self.patched: dict[Parts, list[int]] = {}
        self.own: set[Parts] = set()
        self.files: set[Parts] = set()
        for n, row in enumerate(manifest.rows):
            path = _parts(row.path)
            self.defined.setdefault(path, []).append(n)
            self.files.add(path)
            own = row.package == manifest.project_name
            if own:
                self.own.update(path[:depth] for depth in range(len(path) + 1))
            if row.patch_path:
                package, _, inside = row.patch_path.partition("://")
                patched = _parts(inside)
                self.patched.setdefault(patched, []).append(n)
                self.files.add(patched)
                if package == manifest.project_name:
                    self.own.update(patched[:depth] for depth in range(len(patched) + 1))
        self.depth = max(map(len, self.files), default=0)
        self.paths = {path[:depth] for path in self.files for depth in range(len(path) + 1)}


def _index(manifest: Manifest) -> _Index:
    memo: dict[Any, Any] = manifest.memo
    if "paths" not in memo:
        memo["paths"] = _Index(manifest)
    index: _Index = memo["paths"]
    return index


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _stem(name: str) -> str:
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


def _on_disk(project_dir: Path, folders_only: bool) -> tuple[Callable[[Parts], bool], Callable[[Parts], bool]]:
    root = os.fspath(project_dir)
    is_there = os.path.isdir if folders_only else os.path.exists

    @cache
    def is_link(path: Parts) -> bool:
        return os.path.islink(os.path.join(root, *path))  # noqa: PTH114, PTH118 - called for every folder

    return lambda path: is_there(os.path.join(root, *path)), is_link  # noqa: PTH118


def _in_manifest(index: _Index, folders_only: bool) -> tuple[Callable[[Parts], bool], Callable[[Parts], bool]]:
    there = index.own - index.files if folders_only else index.own
    return there.__contains__, lambda path: False


def _matches(path: Parts, wanted: list[str], is_link: Callable[[Parts], bool]) -> bool:
    """Whether a path fits a pattern, part by part; `**` is any number of folders but enters no link."""
    if "**" not in wanted:
        return len(path) == len(wanted) and all(map(_part_matches, path, wanted))
    # places[k]: the path so far can be read as the first k parts of the pattern
    places = _skip_stars({0}, wanted)
    for depth, part in enumerate(path):
        step: set[int] = set()
        for place in places:
            if place == len(wanted):
                continue
            if wanted[place] == "**":
                if not is_link(path[: depth + 1]):
                    step.add(place)
            elif _part_matches(part, wanted[place]):
                step.add(place + 1)
        places = _skip_stars(step, wanted)
        if not places:
            return False
    return len(wanted) in places


def _skip_stars(places: set[int], wanted: list[str]) -> set[int]:
    reached = set(places)
    for place in places:
        while place < len(wanted) and wanted[place] == "**":
            place += 1
            reached.add(place)
    return reached


def _part_matches(part: str, wanted: str) -> bool:
    if "*" in wanted or "?" in wanted or "[" in wanted:
        return compiled(wanted).match(part) is not None
    return part == wanted
