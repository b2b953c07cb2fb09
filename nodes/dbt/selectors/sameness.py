"""What `state:` reads of a manifest, and when two nodes are the same in one respect (dbt's `same_...` methods)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from nodes.dbt.manifest import GRAPH_COLLECTIONS, ManifestError, Version, check_schema

# Settings that dbt leaves out when it compares configurations (CompareBehavior.Exclude), by resource type.
_NODE_EXCLUDED = frozenset({"alias", "schema", "database", "tags", "group"})
_NOT_COMPARED = {
    "source": frozenset[str](),
    "exposure": frozenset[str](),
    "metric": frozenset({"group"}),
}
# Tests compare these settings only (TestConfig.same_contents).
_TEST_COMPARED = (
    "severity",
    "where",
    "limit",
    "fail_calc",
    "warn_if",
    "error_if",
    "store_failures",
    "store_failures_as",
)


class Macros(msgspec.Struct):
    """Macros and nodes that something depends on."""

    macros: list[str | None] = []
    nodes: list[str] = []


class Macro(msgspec.Struct):
    """A macro of a manifest."""

    macro_sql: str = ""
    depends_on: Macros = msgspec.field(default_factory=Macros)


class Column(msgspec.Struct):
    """A column of a node."""

    name: str = ""
    description: str | None = ""
    data_type: str | None = None
    constraints: list[dict[str, Any]] = []


class Contract(msgspec.Struct):
    """The contract of a node."""

    enforced: bool = False
    checksum: str | None = None


class Node(msgspec.Struct):
    """A node of a manifest, with what `state:` compares."""

    resource_type: str
    name: str = ""
    fqn: list[str] = []
    raw_code: str = ""
    checksum: Any = None
    config: dict[str, Any] = {}
    unrendered_config: dict[str, Any] = {}
    description: str | None = None
    columns: dict[str, Column] = {}
    contract: Contract | None = None
    constraints: list[dict[str, Any]] = []
    access: str | None = None
    version: Version = None
    latest_version: Version = None
    deprecation_date: str | None = None
    depends_on: Macros = msgspec.field(default_factory=Macros)
    test_metadata: Any = None
    database: str | None = None
    schema: str | None = None
    unrendered_database: str | None = None
    unrendered_schema: str | None = None
    identifier: str | None = None
    quoting: Any = None
    freshness: Any = None
    loaded_at_field: str | None = None
    external: Any = None
    type: Any = None
    owner: Any = None
    maturity: Any = None
    url: Any = None
    label: Any = None
    model: Any = None
    defaults: Any = None
    entities: Any = None
    dimensions: Any = None
    measures: Any = None
    primary_entity: Any = None
    group: Any = None
    query_params: dict[str, Any] = {}
    exports: list[dict[str, Any]] = []
    tags: Any = None
    arguments: Any = None
    returns: Any = None

    @property
    def enforced(self) -> bool:
        """Whether it has a contract that is enforced."""
        return self.contract is not None and self.contract.enforced

    @property
    def is_enforceable(self) -> bool:
        """Whether a contract can be enforced on its materialization."""
        return self.config.get("materialized") in ("table", "incremental")


class Metadata(msgspec.Struct):
    """What a manifest says of itself."""

    adapter_type: str | None = None


class StateFile(msgspec.Struct):
    """A manifest, as far as `state:` reads it."""

    metadata: Metadata
    macros: dict[str, Macro] = {}
    nodes: dict[str, Node] = {}
    sources: dict[str, Node] = {}
    exposures: dict[str, Node] = {}
    metrics: dict[str, Node] = {}
    semantic_models: dict[str, Node] = {}
    saved_queries: dict[str, Node] = {}
    unit_tests: dict[str, Node] = {}
    functions: dict[str, Node] = {}
    disabled: dict[str, list[Node]] | None = None

    def members(self) -> Iterator[tuple[str, Node]]:
        """Unique id and node of everything in the graph."""
        for collection in GRAPH_COLLECTIONS:
            yield from getattr(self, collection).items()


#: Fields that are compared as they are; the rest is in Comparison._same_rest.
SAME_FIELDS = {
    "source": ("fqn", "quoting", "freshness", "loaded_at_field", "external"),
    "exposure": ("fqn", "type", "owner", "maturity", "url", "description", "label"),
    "metric": ("type", "description", "label"),
    "semantic_model": (
        "model",
        "description",
        "defaults",
        "entities",
        "dimensions",
        "measures",
        "primary_entity",
        "group",
    ),
    "saved_query": ("description", "label", "group", "tags"),
}


def decode_state(data: bytes, which: str) -> StateFile:
    """A manifest from its bytes; `which` names it in the error. Raises ManifestError."""
    try:
        check_schema(data)
        return msgspec.json.decode(data, type=StateFile)
    except (ManifestError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ManifestError(f"{which} cannot be read: {error}") from error


def same_body(new: Node, old: Node) -> bool:
    """dbt's `same_body`: the code, or the content of a seed."""
    if new.resource_type == "seed":
        return bool(new.checksum == old.checksum)
    return new.raw_code == old.raw_code


def same_config(new: Node, old: Node) -> bool:
    """dbt's `same_config`: the settings as they were written."""
    kind = new.resource_type
    if kind in ("semantic_model", "saved_query"):
        return bool(bare(new.config) == bare(old.config))
    mine, others = new.unrendered_config, old.unrendered_config
    if kind == "test":
        return all(_same_key(mine, others, key) for key in _TEST_COMPARED)
    excluded = _NOT_COMPARED.get(kind, _NODE_EXCLUDED)
    return all(_same_key(mine, others, key) for key in (mine.keys() | others.keys()) - excluded)


def _same_key(mine: dict[str, Any], others: dict[str, Any], key: str) -> bool:
    return (key in mine) == (key in others) and mine.get(key) == others.get(key)


def same_persisted_docs(new: Node, old: Node) -> bool:
    """dbt's `same_persisted_description`: descriptions, where they are written to the warehouse."""
    persist = new.config.get("persist_docs") or {}
    if persist.get("relation") and new.description != old.description:
        return False
    if persist.get("columns"):
        mine = {name: column.description for name, column in new.columns.items()}
        return mine == {name: column.description for name, column in old.columns.items()}
    return True


def same_exports(new: Node, old: Node) -> bool:
    """dbt's `same_exports`, of saved queries."""

    def key(export: dict[str, Any]) -> tuple[Any, ...]:
        unrendered = export.get("unrendered_config") or {}
        return export.get("name"), *(unrendered.get(name) for name in ("export_as", "schema", "alias"))

    return [key(export) for export in new.exports] == [key(export) for export in old.exports]


def bare(value: Any) -> Any:
    """The value without keys that hold nothing: an older dbt leaves out what a newer one writes as null."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [bare(inner) for inner in value]
    return value


def base_type(data_type: str | None) -> str:
    """A data type without its length."""
    return (data_type or "").partition("(")[0].strip().lower()


def is_past(date: str | None) -> bool:
    """Whether a date, such as a deprecation's, is over."""
    if not date:
        return False
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return False
    return moment.astimezone(UTC) < datetime.now(UTC)
