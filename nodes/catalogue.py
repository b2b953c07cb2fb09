"""The models of environments: what the manifest says of them, which flows build them, and what changed last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from django.db.models import F
from django.urls import reverse

from flows.models import Environment, Revision
from nodes import graph
from nodes.dbt.manifest import Manifest, Resource
from nodes.dbt.selectors import RESOURCE_TYPES
from nodes.models import Expansion, Task

#: What the catalogue lists; tests are shown with what they test.
LISTED = ("model", "seed", "snapshot", "source", "exposure", "metric", "semantic_model", "saved_query", "function")
MOST_DRAWN = 1000
CARD, GAP = (220, 40), (64, 20)  # of the graph, in its pixels; frontend/graph draws cards of this size


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue; `flows` are (id, name) of those that build it in its environment."""

    resource: Resource
    environment: Environment
    flows: tuple[tuple[int, str], ...] = ()

    @property
    def is_built(self) -> bool:
        """Whether a flow could build it at all: sources and exposures are never built."""
        return self.resource.resource_type in ("model", "seed", "snapshot", "function")


@dataclass
class Listing:
    """A page of the catalogue."""

    entries: list[Entry] = field(default_factory=list)
    total: int = 0
    tags: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)


def listing(
    places: Sequence[tuple[Environment, Manifest]],
    *,
    query: str = "",
    tag: str = "",
    kind: str = "",
    use: str = "",
    start: int = 0,
    count: int = 100,
) -> Listing:
    """The resources of which name, path, tags or description hold `query`; one that several environments have is
    listed for each. `use` is "none" (in no flow of its environment), "several" or empty.
    """
    rows = [
        (row, environment, flows)
        for environment, manifest in places
        for flows in [flows_of(environment)]
        for row in manifest.rows
        if row.resource_type in LISTED
    ]
    result = Listing(
        tags=sorted({tag for row, _, _ in rows for tag in row.tags}),
        types=sorted({row.resource_type for row, _, _ in rows}),
    )
    words = query.lower().split()
    entries = []
    for row, environment, flows in rows:
        if (tag and tag not in row.tags) or (kind and row.resource_type != kind):
            continue
        text = f"{row.identifier} {row.name} {row.path} {' '.join(row.tags)} {row.description}".lower()
        if not all(word in text for word in words):
            continue
        entry = Entry(row, environment, flows.get(row.unique_id, ()))
        if (use == "none" and (entry.flows or not entry.is_built)) or (use == "several" and len(entry.flows) < 2):
            continue
        entries.append(entry)
    names = {environment.pk: str(environment) for environment, _ in places}
    entries.sort(
        key=lambda entry: (
            LISTED.index(entry.resource.resource_type),
            entry.resource.identifier,
            names[entry.environment.pk],
        )
    )
    result.total, result.entries = len(entries), entries[start : start + count]
    return result


def flows_of(environment: Environment) -> dict[str, tuple[tuple[int, str], ...]]:
    """unique_id -> the flows of an environment that build it, as (id, name)."""
    by_model: dict[str, dict[int, str]] = {}
    rows = Task.objects.filter(node__flow__environment=environment, runs=True, built_by="").order_by("node__flow__name")
    for unique_id, makes, pk, name in rows.values_list("unique_id", "makes", "node__flow_id", "node__flow__name"):
        for each in makes or (unique_id,):
            by_model.setdefault(each, {})[pk] = name
    return {unique_id: tuple(flows.items()) for unique_id, flows in by_model.items()}


class _Column(msgspec.Struct):
    name: str = ""
    description: str = ""
    data_type: str | None = None


class _Detail(msgspec.Struct):
    columns: dict[str, _Column] = {}
    raw_code: str = ""
    original_file_path: str = ""


class _Collections(msgspec.Struct):
    nodes: dict[str, msgspec.Raw] = {}
    sources: dict[str, msgspec.Raw] = {}
    exposures: dict[str, msgspec.Raw] = {}


@lru_cache(maxsize=256)
def _detail(path: str, unique_id: str) -> _Detail:
    collections = msgspec.json.decode(Path(path).read_bytes(), type=_Collections)
    raw = collections.nodes.get(unique_id) or collections.sources.get(unique_id) or collections.exposures.get(unique_id)
    return msgspec.json.decode(raw, type=_Detail) if raw is not None else _Detail()


@dataclass(frozen=True)
class Column:
    """A column of a model, with the tests on it."""

    name: str
    description: str
    data_type: str
    tests: tuple[str, ...]


def columns_of(revision: Revision, manifest: Manifest, unique_id: str) -> tuple[list[Column], list[Resource], str]:
    """The columns that the project describes or tests, the tests of the whole model, and its source code.

    Raises FileNotFoundError when the revision's files are gone.
    """
    detail = _detail(revision.manifest_path, unique_id)
    tests: dict[str, list[str]] = {}
    whole = []
    for child in manifest.children.get(unique_id, ()):
        row = manifest.resources[child]
        if row.resource_type not in ("test", "unit_test"):
            continue
        if row.column_name and row.tested in (None, unique_id):
            tests.setdefault(row.column_name, []).append(row.test_name or row.name)
        else:
            whole.append(row)
    described = {column.name or name: column for name, column in detail.columns.items()}
    columns = [
        Column(name, column.description, column.data_type or "", tuple(sorted(tests.pop(name, ()))))
        for name, column in described.items()
    ]
    columns += [Column(name, "", "", tuple(sorted(names))) for name, names in sorted(tests.items())]
    return columns, whole, detail.raw_code


def neighbourhood(
    manifest: Manifest, unique_id: str, up: int | None, down: int | None, *, environment: int | None = None
) -> dict[str, Any]:
    """The resources around one, as the graph draws them: at most `up` and `down` steps away, None for all.

    In: `environment`, the id that the addresses of their pages name.
    Out: {"nodes": [...], "edges": [(up, down)], "more": number left out}; the nearest are kept when there are more
    than MOST_DRAWN. Tests are left out.
    """
    kept: dict[str, None] = {unique_id: None}
    for neighbours, depth in ((manifest.parents, up), (manifest.children, down)):
        wave, step = [unique_id], 0
        seen = {unique_id}
        while wave and (depth is None or step < depth):
            wave = sorted({other for each in wave for other in neighbours.get(each, ()) if _is_drawn(other)} - seen)
            seen.update(wave)
            kept.update(dict.fromkeys(wave))
            step += 1
    drawn = list(kept)[:MOST_DRAWN]
    inside = set(drawn)
    edges = [(a, b) for b in drawn for a in manifest.parents.get(b, ()) if a in inside]
    places = graph.positions(drawn, edges, *CARD, GAP)
    return {
        "nodes": [
            _drawn(manifest.resources[each], places[each], environment, chosen=each == unique_id) for each in drawn
        ],
        "edges": edges,
        "more": len(kept) - len(drawn),
    }


def _is_drawn(unique_id: str) -> bool:
    return unique_id.partition(".")[0] in LISTED


def _drawn(row: Resource, place: tuple[float, float], environment: int | None, *, chosen: bool) -> dict[str, Any]:
    return {
        "id": row.unique_id,
        "name": row.identifier,
        "type": row.resource_type,
        "tags": list(row.tags),
        "x": place[0],
        "y": place[1],
        "url": model_url(row.unique_id, environment),
        "chosen": chosen,
    }


def model_url(unique_id: str, environment: int | None = None) -> str:
    """The page of a resource of the manifest, as an environment has it; empty for tasks that are none."""
    if unique_id.partition(".")[0] not in RESOURCE_TYPES:
        return ""
    address = reverse("nodes:model", args=[unique_id])
    return f"{address}?environment={environment}" if environment is not None else address


def drift(environments: Iterable[Environment]) -> list[Expansion]:
    """What the latest revision of each environment brought to its flows and took from them, node by node."""
    rows = Expansion.objects.filter(
        node__flow__environment__in=list(environments),
        revision=F("node__flow__environment__current_revision"),
        reason="new revision",
    )
    return list(rows.select_related("node__flow", "revision", "since")[:100])


def names_of(manifest: Manifest, unique_ids: Iterable[str]) -> list[Resource]:
    """The resources of these ids that the catalogue lists, by identifier."""
    rows = (manifest.resources[unique_id] for unique_id in unique_ids if _is_drawn(unique_id))
    return sorted(rows, key=lambda row: row.identifier)
