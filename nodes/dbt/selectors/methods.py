"""The methods: which resources an atom matches before any operator is applied.

Each function follows the class of the same name in dbt/graph/selector_methods.py (1.11.16), corner by
corner; the comments name the corners that surprise. Resources are numbers (see nodes.dbt.manifest).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes.dbt.manifest import Manifest, ManifestError, Resource, Version
from nodes.dbt.selectors.names import literal, search_fqn
from nodes.dbt.selectors.paths import compiled, search_file, search_path
from nodes.dbt.selectors.state import Comparison
from nodes.dbt.selectors.values import Atom, SelectorError, has_wildcard

#: The resource types dbt keeps in `manifest.nodes`.
NODES = ("model", "seed", "snapshot", "test", "analysis", "operation", "sql_operation", "rpc")
_CONFIG_MEMO = 64


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What some methods look at beside the manifest."""

    project_dir: Path | None = None
    previous: Comparison | None = None
    results: Mapping[str, str] | None = None


def search(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    """The numbers that an atom matches. Raises SelectorError (aborts) where dbt would stop."""
    return _SEARCH[atom.method](manifest, atom, around)


def cost(manifest: Manifest, atom: Atom) -> int:
    """Roughly how many resources `search` looks at one by one."""
    if atom.method == "tag":
        return len(manifest.tag_index) if has_wildcard(atom.value) else 1
    if atom.method == "fqn" and not has_wildcard(atom.value):
        return 100
    if atom.method in ("fqn", "path"):
        return len(manifest) * (3 if atom.method == "fqn" and literal(atom.value) else 8)
    return len(manifest) * 2


def _of_types(manifest: Manifest, *types: str) -> set[int]:
    by_type = manifest.numbers_by_type
    return set().union(*[by_type.get(name, frozenset()) for name in types])


def _fqn(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    return search_fqn(manifest, atom.value)


def _tag(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    if not has_wildcard(atom.value):
        return set(manifest.tag_index.get(atom.value, ()))
    match = compiled(atom.value).match
    return set().union(*[numbers for tag, numbers in manifest.tag_index.items() if match(tag)])


def _path(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    return search_path(manifest, atom.value, around.project_dir)


def _file(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    return search_file(manifest, atom.value)


def _package(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    wanted = manifest.project_name if atom.value == "this" and manifest.project_name else atom.value
    match = compiled(wanted).match
    return {n for n, row in enumerate(manifest.rows) if match(row.package)}


def _group(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    match = compiled(atom.value).match
    rows = manifest.rows
    return {n for n in _of_types(manifest, *NODES, "metric") if rows[n].group and match(rows[n].group or "")}


def _access(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    return {n for n in _of_types(manifest, "model") if manifest.rows[n].access == atom.value}


def _source(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    parts = atom.value.split(".")
    if len(parts) == 1:
        parts = ["*", *parts, "*"]
    elif len(parts) == 2:
        parts = ["*", *parts]
    package, source, table = (compiled(part).match for part in parts)
    rows = manifest.rows
    return {
        n
        for n in _of_types(manifest, "source")
        if package(rows[n].package) and source(rows[n].source_name or "") and table(rows[n].name)
    }


def _named(resource_type: str) -> Callable[[Manifest, Atom, Surroundings], set[int]]:
    """`exposure:name` and its kin: a name, or package.name."""

    def search_named(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
        package, _, name = atom.value.rpartition(".")
        in_package = compiled(package if "." in atom.value else "*").match
        is_name = compiled(name).match
        rows = manifest.rows
        return {n for n in _of_types(manifest, resource_type) if in_package(rows[n].package) and is_name(rows[n].name)}

    return search_named


def _config(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    value = atom.value
    ignore_case = atom.arguments == ("severity",)
    boolean = {"true": True, "false": False}.get(value.lower())
    wanted = value.upper() if ignore_case else value
    matches: set[int] = set()
    for n, held in _config_column(manifest, atom.arguments):
        if isinstance(held, list):
            # Python's `in`, as in dbt: the number 1 in a list counts as true there
            same = wanted in ([_upper(item) for item in held] if ignore_case else held)
            if same or (boolean is not None and boolean in held):
                matches.add(n)
        elif (_upper(held) if ignore_case else held) == wanted or (boolean is not None and held is boolean):
            matches.add(n)
    return matches


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _config_column(manifest: Manifest, path: tuple[str, ...]) -> list[tuple[int, Any]]:
    """(number, value) of all nodes and sources that have the setting `path`."""
    columns: dict[tuple[str, ...], list[tuple[int, Any]]] = manifest.memo.setdefault("config columns", {})
    if path not in columns:
        if len(columns) >= _CONFIG_MEMO:
            columns.clear()
        configs = manifest.configs
        column = []
        for n in sorted(_of_types(manifest, *NODES, "source")):
            held = _descend(configs[n], path)
            if held is not None:
                column.append((n, held))
        columns[path] = column
    return columns[path]


def _descend(config: Any, path: tuple[str, ...]) -> Any:
    """The value at `path`, None when there is none (None matches nothing in dbt either)."""
    value = config
    for depth, key in enumerate(path):
        if not isinstance(value, dict):
            return None
        # dbt tries getattr first: a key of meta called "items" or "keys" is hidden by dict's own method
        if depth and hasattr(dict, key):
            return None
        value = value.get(key)
    if path[-2:] == ("build_after", "updates_on"):
        return None  # the one plain enumeration among dbt's settings: it equals no text
    return value


def _resource_type(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    return _of_types(manifest, atom.value)


def _test_name(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    match = compiled(atom.value).match
    rows = manifest.rows
    tests = {n for n in _of_types(manifest, "test") if rows[n].is_generic_test and match(rows[n].test_name or "")}
    return tests | {n for n in _of_types(manifest, "unit_test") if match(rows[n].name)}


def _test_type(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    value = atom.value
    tests = _of_types(manifest, "test")
    generic = {n for n in tests if manifest.rows[n].is_generic_test}
    # the order and the `in` are dbt's; grammar has told the user about anything but the whole words
    if value in ("generic", "schema"):
        return generic
    if value in "data":
        return tests
    return tests - generic if value in "singular" else _of_types(manifest, "unit_test")


def _version(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    tells: dict[str, Callable[[Resource], bool]] = {
        "latest": lambda row: row.version is not None and row.version == row.latest_version,
        "none": lambda row: row.version is None,
        "old": lambda row: bool(row.version and row.latest_version) and _less(row.version, row.latest_version),
        "prerelease": lambda row: bool(row.version and row.latest_version) and _less(row.latest_version, row.version),
    }
    tell = tells[atom.value]
    return {n for n in _of_types(manifest, "model") if tell(manifest.rows[n])}


def _less(one: Version, other: Version) -> bool:
    try:
        return float(one) < float(other)  # type: ignore[arg-type]
    except ValueError:
        return str(one) < str(other)


def _state(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    if around.previous is None:
        raise SelectorError(
            "There is no earlier manifest to compare with",
            "state: needs the manifest of an earlier run",
            atom.text,
            aborts=True,
        )
    number = manifest.number
    try:
        matches = around.previous.search(atom.value, atom.text)
    except ManifestError as error:
        raise SelectorError(str(error), "", atom.text, aborts=True) from error
    return {number[unique_id] for unique_id in matches if unique_id in number}


def _result(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    if around.results is None:
        raise SelectorError(
            "There are no results of an earlier run",
            "result: needs the results of an earlier run",
            atom.text,
            aborts=True,
        )
    number = manifest.number
    return {number[uid] for uid, status in around.results.items() if status == atom.value and uid in number}


def _source_status(manifest: Manifest, atom: Atom, around: Surroundings) -> set[int]:
    raise SelectorError(
        "There are no freshness results to compare",
        "dex does not run dbt source freshness; choose the sources by name or tag",
        atom.text,
        aborts=True,
    )


_SEARCH: dict[str, Callable[[Manifest, Atom, Surroundings], set[int]]] = {
    "fqn": _fqn,
    "tag": _tag,
    "path": _path,
    "file": _file,
    "package": _package,
    "source": _source,
    "resource_type": _resource_type,
    "config": _config,
    "group": _group,
    "access": _access,
    "version": _version,
    "test_name": _test_name,
    "test_type": _test_type,
    "unit_test": _named("unit_test"),
    "exposure": _named("exposure"),
    "metric": _named("metric"),
    "semantic_model": _named("semantic_model"),
    "saved_query": _named("saved_query"),
    "state": _state,
    "result": _result,
    "source_status": _source_status,
}
