"""The `fqn:` method, which is also what a value without a method means: finding resources by name and folder.

A value is tried against the fqn with and without the package: it is the whole last segment, or the first segments;
with wildcards, see `_wildcard` (dbt/graph/selector_methods.py, is_selected_node).
"""

from __future__ import annotations

import re

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors.paths import compiled
from nodes.dbt.selectors.values import has_wildcard

_INDEX_AFTER = 4
_SINCE: dict[tuple[int, ...], tuple[int, ...]] = {
    (1, 11): (1, 11, 16),
    (1, 12): (1, 12, 6),
}  # a line of dbt -> its first release


def finds_leaves(release: tuple[int, ...]) -> bool:
    """Whether a wildcard without a dot is tried against the name alone, however deep the resource lies."""
    return release >= _SINCE.get(release[:2], (1, 13))


def search_fqn(manifest: Manifest, value: str) -> set[int]:
    """Numbers of the resources that `fqn:value`, or a bare `value`, means."""
    matches = _wildcard(manifest, value) if has_wildcard(value) else _plain(manifest, value)
    # everything but sources can be found by name
    return matches - manifest.numbers_by_type.get("source", frozenset())


def _plain(manifest: Manifest, value: str) -> set[int]:
    """A whole leaf, or the first segments of the fqn, with or without the package in front."""
    queries = manifest.memo["fqn queries"] = manifest.memo.get("fqn queries", 0) + 1
    if queries > _INDEX_AFTER:
        index = manifest.memo.get("fqn index")
        if index is None:
            index = manifest.memo["fqn index"] = _index(manifest)
        leaves, prefixes = index
        matches = {*leaves.get(value, ()), *prefixes.get(value, ())}
    else:
        # the first few questions are answered by looking through, which is faster than making an index
        names = manifest.names
        prefix = value + "."
        matches = {n for n, leaf in enumerate(names.leaf) if leaf == value}
        matches.update(n for n, path in enumerate(names.dotted) if path == value or path.startswith(prefix))
        package, _, rest = value.partition(".")
        if package in set(names.package):
            inside = rest + "."
            matches.update(
                n
                for n, path in enumerate(names.dotted)
                if names.package[n] == package and (not rest or path == rest or path.startswith(inside))
            )
    # dbt also takes name_vN for name.vN, whatever stands before it
    ending = "_".join(value.split(".")[-2:])
    matches.update(n for n, joined in manifest.names.versioned.items() if joined == ending)
    return matches


def _index(manifest: Manifest) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """leaf -> numbers, and every prefix of an fqn (with and without package) -> numbers."""
    names = manifest.names
    leaves: dict[str, list[int]] = {}
    folders: dict[tuple[str, str], list[int]] = {}
    prefixes: dict[str, list[int]] = {}
    for n, (package, path, leaf) in enumerate(zip(names.package, names.dotted, names.leaf, strict=True)):
        leaves.setdefault(leaf, []).append(n)
        prefixes.setdefault(path, []).append(n)
        prefixes.setdefault(f"{package}.{path}", []).append(n)
        folders.setdefault((package, path.rpartition(".")[0]), []).append(n)
    for (package, folder), numbers in folders.items():
        parts = folder.split(".") if folder else []
        for depth in range(1, len(parts) + 1):
            prefixes.setdefault(".".join(parts[:depth]), []).extend(numbers)
        for depth in range(len(parts) + 1):
            prefixes.setdefault(".".join([package, *parts[:depth]]), []).extend(numbers)
    return leaves, prefixes


def _wildcard(manifest: Manifest, value: str) -> set[int]:
    """From the first part with a wildcard on, the rest is matched as one text, in which `*` crosses dots."""
    names = manifest.names
    parts = value.split(".")
    first = next(n for n, part in enumerate(parts) if has_wildcard(part))
    head = "".join(part + "." for part in parts[:first])
    match = compiled(".".join(parts[first:])).match
    piece = literal(value)
    matches = {n for n, leaf in enumerate(names.leaf) if leaf == value}
    for paths in (manifest.full_names, names.dotted):
        start = len(head)
        if head:
            fitting = [n for n, path in enumerate(paths) if path.startswith(head) and match(path, start)]
        else:
            fitting = [n for n, path in enumerate(paths) if piece in path and match(path)]
        # a selector may not have more parts than the fqn, which a set like [.] would make possible
        matches.update(n for n in fitting if paths[n].count(".") + 1 >= len(parts))
    if len(parts) == 1 and finds_leaves(manifest.dbt_release):
        matches.update([n for n, leaf in enumerate(names.leaf) if piece in leaf and match(leaf)])
    ending = "_".join(parts[-2:])
    matches.update(n for n, joined in names.versioned.items() if joined == ending)
    return matches


def literal(pattern: str) -> str:
    """The longest piece of a shell pattern that its matches are sure to hold. Looking for it is cheap."""
    return max(re.split(r"[*?]", pattern.partition("[")[0]), key=len)
