"""From the bytes of dbt's manifest.json to a Manifest: a typed decode of the few fields that dex needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from nodes.dbt.manifest.value import (
    COMPACT_FORMAT,
    Compact,
    Disabled,
    Manifest,
    ManifestError,
    Names,
    Resource,
    Version,
)

SCHEMA_VERSION = "v12"
MAX_BYTES = 1_000_000_000

#: The collections of manifest.json whose members dbt puts in its graph (dbt/compilation.py,
#: Linker.link_graph). Hooks (resource type `operation`) are in `nodes` and so in the graph: `@model` walks
#: through them.
GRAPH_COLLECTIONS = (
    "nodes",
    "sources",
    "exposures",
    "metrics",
    "semantic_models",
    "saved_queries",
    "unit_tests",
    "functions",
)


class _DependsOn(msgspec.Struct):
    nodes: list[str] = []


class _TestMetadata(msgspec.Struct):
    name: str
    namespace: str | None = None


class _Config(msgspec.Struct):
    enabled: Any = True
    materialized: Any = None
    group: Any = None
    severity: Any = None
    tags: Any = None


class _Node(msgspec.Struct):
    """The fields of any member of the graph that dex reads; the rest of its JSON is skipped, not built."""

    name: str
    resource_type: str
    package_name: str
    fqn: list[str]
    original_file_path: str = ""
    patch_path: str | None = None
    tags: list[str] | str | None = None
    depends_on: _DependsOn | None = None
    access: str | None = None
    group: str | None = None
    version: Version = None
    latest_version: Version = None
    description: str | None = None
    relation_name: str | None = None
    source_name: str | None = None
    test_metadata: _TestMetadata | None = None
    attached_node: str | None = None
    column_name: str | None = None
    language: str | None = None
    config: msgspec.Raw = msgspec.Raw(b"{}")


class _DisabledNode(msgspec.Struct):
    name: str = ""
    resource_type: str = ""
    original_file_path: str = ""


class _Metadata(msgspec.Struct):
    dbt_schema_version: str
    project_name: str | None = None
    adapter_type: str | None = None
    dbt_version: str = ""
    generated_at: str = ""


class _File(msgspec.Struct):
    metadata: _Metadata
    nodes: dict[str, _Node]
    sources: dict[str, _Node]
    exposures: dict[str, _Node] = {}
    metrics: dict[str, _Node] = {}
    semantic_models: dict[str, _Node] = {}
    saved_queries: dict[str, _Node] = {}
    unit_tests: dict[str, _Node] = {}
    functions: dict[str, _Node] = {}
    disabled: dict[str, list[_DisabledNode]] | None = None
    selectors: dict[str, dict[str, Any]] | None = None


class _Head(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"null")


_FILE = msgspec.json.Decoder(_File)
_CONFIG = msgspec.json.Decoder(_Config)


def check_schema(data: bytes) -> None:
    """Refuse what is not a manifest.json of the schema version dex knows, with a message for the user."""
    if len(data) > MAX_BYTES:
        raise ManifestError(f"The manifest is larger than {MAX_BYTES // 1_000_000} MB")
    if not data.strip(b" \t\r\n"):
        raise ManifestError("The manifest is empty")
    try:
        head = msgspec.json.decode(data, type=_Head)
        metadata = msgspec.json.decode(head.metadata, type=_Metadata | None)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ManifestError(f"This is not a manifest.json written by dbt: {error}") from error
    if metadata is None:
        raise ManifestError("This is not a manifest.json written by dbt: it has no metadata")
    if not metadata.dbt_schema_version.endswith(f"/manifest/{SCHEMA_VERSION}.json"):
        raise ManifestError(
            f"The manifest has schema {metadata.dbt_schema_version!r}; dex reads {SCHEMA_VERSION} (dbt 1.8 and later)"
        )


def decode(data: bytes) -> Manifest:
    """Decode dbt's manifest.json.

    Raises ManifestError, and nothing else, for anything that is not a complete manifest of schema version 12.
    Members with `enabled: false` are left out, as dbt leaves them out of its graph (graph/selector.py,
    NodeSelector._is_graph_member; exposures are the exception there and here).
    """
    check_schema(data)
    try:
        file = _FILE.decode(data)
        rows = sorted(_resources(file), key=lambda row: row.unique_id)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ManifestError(f"The manifest is damaged: {error}") from error
    disabled = [
        Disabled(unique_id, kept[0].name, kept[0].resource_type, kept[0].original_file_path)
        for unique_id, kept in (file.disabled or {}).items()
        if kept
    ]
    try:
        return build(rows, disabled, file.metadata, file.selectors or {})
    except UnicodeEncodeError as error:
        raise ManifestError(f"The manifest holds text that is not valid Unicode: {error}") from error


def told_apart(rows: list[Resource]) -> list[Resource]:
    """The same resources, with identifiers that no other has.

    Where several have the same, each has its package in front, which is how dbt's selectors name it too; where that
    is not enough (a source and a model of one package), it is called by its unique id.
    """
    short = Counter(row.short_identifier for row in rows)
    titles = [
        msgspec.structs.replace(row, full_identifier=f"{row.package}.{row.short_identifier}")
        if short[row.short_identifier] > 1
        else row
        for row in rows
    ]
    if len(titles) == len(short):
        return titles
    shown = Counter(row.identifier for row in titles)
    return [
        msgspec.structs.replace(row, full_identifier=row.unique_id) if shown[row.identifier] > 1 else row
        for row in titles
    ]


def build(
    rows: list[Resource], disabled: list[Disabled], metadata: _Metadata, selectors: dict[str, dict[str, Any]]
) -> Manifest:
    """A Manifest from resources sorted by unique id: number them, link them, and lay them out in columns."""
    rows = told_apart(rows)
    number = {row.unique_id: n for n, row in enumerate(rows)}
    parents = [tuple(dict.fromkeys(number[up] for up in row.depends_on if up in number)) for row in rows]
    children: list[list[int]] = [[] for _ in rows]
    tags: dict[str, list[int]] = {}
    type_names = sorted({row.resource_type for row in rows})
    if len(type_names) > 255:
        raise ManifestError("The manifest is damaged: it has hundreds of resource types")
    type_number = {name: n for n, name in enumerate(type_names)}
    names = Names([], [], [], {})
    for n, row in enumerate(rows):
        for up in parents[n]:
            children[up].append(n)
        for tag in dict.fromkeys(row.tags):
            tags.setdefault(tag, []).append(n)
        names.package.append(row.fqn[0])
        names.dotted.append(".".join(row.fqn[1:]))
        names.leaf.append(row.fqn[-2] if row.is_versioned else row.fqn[-1])
        if row.is_versioned:
            names.versioned[n] = "_".join(row.fqn[-2:])
    encode = msgspec.msgpack.encode
    manifest = Manifest(
        Compact(
            format=COMPACT_FORMAT,
            project_name=metadata.project_name or "",
            adapter_type=metadata.adapter_type or "",
            dbt_version=metadata.dbt_version,
            generated_at=metadata.generated_at,
            ids=[row.unique_id for row in rows],
            type_names=type_names,
            types=bytes(type_number[row.resource_type] for row in rows),
            parents=parents,
            children=[tuple(numbers) for numbers in children],
            tags=tags,
            names=msgspec.Raw(encode(names)),
            resources=msgspec.Raw(encode(rows)),
            disabled=msgspec.Raw(encode(disabled)),
            selectors=msgspec.Raw(encode(selectors)),
        )
    )
    manifest.rows = rows  # they are at hand: no need to decode them from the column just written
    return manifest


def _resources(file: _File) -> Iterator[Resource]:
    for collection in GRAPH_COLLECTIONS:
        members: dict[str, _Node] = getattr(file, collection)
        for unique_id, node in members.items():
            config = _CONFIG.decode(node.config)
            if config.enabled is False and collection != "exposures":
                continue
            yield _resource(unique_id, node, config)


def _resource(unique_id: str, node: _Node, config: _Config) -> Resource:
    if len(node.fqn) < 2 or (node.version is not None and node.resource_type == "model" and len(node.fqn) < 3):
        raise msgspec.ValidationError(f"{unique_id} has the fqn {node.fqn}, which is too short")
    tags = node.tags
    if node.resource_type == "unit_test":
        # the manifest has no tags for a unit test; dbt reads those of its config (nodes.py,
        # UnitTestDefinition.tags)
        tags = [config.tags] if isinstance(config.tags, str) else config.tags
    elif node.resource_type == "semantic_model":
        tags = None
    depends_on = tuple(node.depends_on.nodes) if node.depends_on else ()
    return Resource(
        unique_id=unique_id,
        resource_type=node.resource_type,
        name=node.name,
        package=node.package_name,
        fqn=tuple(node.fqn),
        path=node.original_file_path,
        patch_path=node.patch_path,
        tags=tuple(tag for tag in tags or () if isinstance(tag, str)),
        depends_on=depends_on,
        materialized=_text(config.materialized),
        access=node.access,
        group=_text(config.group),
        version=node.version,
        latest_version=node.latest_version,
        description=node.description or "",
        relation_name=node.relation_name,
        source_name=node.source_name,
        test_name=node.test_metadata.name if node.test_metadata else None,
        test_namespace=node.test_metadata.namespace if node.test_metadata else None,
        severity=_text(config.severity),
        tested=depends_on[0] if node.resource_type == "unit_test" and depends_on else node.attached_node,
        column_name=node.column_name,
        language=node.language,
        raw_config=bytes(node.config),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
