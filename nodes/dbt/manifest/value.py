"""A parsed dbt project as a read-only value, and the compact form it is stored in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

COMPACT_FORMAT = 1

Version = str | int | float | None


class ManifestError(ValueError):
    """The bytes are not a manifest that dex can read. The message says why, for the user."""


class Resource(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing dbt knows: a model, a source, a test. `path` is what dbt calls original_file_path."""

    unique_id: str
    resource_type: str
    name: str
    package: str
    fqn: tuple[str, ...]
    path: str
    patch_path: str | None
    tags: tuple[str, ...]
    depends_on: tuple[str, ...]
    materialized: str | None
    access: str | None
    group: str | None
    version: Version
    latest_version: Version
    description: str
    relation_name: str | None
    source_name: str | None
    test_name: str | None
    test_namespace: str | None
    severity: str | None
    tested: str | None
    column_name: str | None
    language: str | None
    raw_config: bytes
    full_identifier: str | None = None  # where its short one is another's too

    @property
    def identifier(self) -> str:
        """What dex shows, unique in the project: its short identifier, with the package in front where it must."""
        return self.full_identifier or self.short_identifier

    @property
    def short_identifier(self) -> str:
        """`staging.stg_customers` (fqn without the package), or `source.table`: two packages may have the same."""
        if self.resource_type == "source":
            return f"{self.source_name}.{self.name}"
        return ".".join(self.fqn[1:]) or self.name

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as dbt resolved it, decoded at each call: keep it if you need it twice."""
        config = msgspec.json.decode(self.raw_config)
        return config if isinstance(config, dict) else {}

    @property
    def is_generic_test(self) -> bool:
        """Whether it is a test that was declared on a column or model."""
        return self.resource_type == "test" and self.test_name is not None

    @property
    def is_versioned(self) -> bool:
        """Whether the fqn ends in a version (dbt/contracts/graph/nodes.py, BaseNode.is_versioned)."""
        return self.resource_type == "model" and self.version is not None


class Names(msgspec.Struct, frozen=True, array_like=True):
    """What the fqn method looks at: `dotted` is the fqn without the package, `leaf` the name to match.

    `versioned` maps the numbers of versioned models to `name_vN`, the other spelling dbt accepts for
    `name.vN`.
    """

    package: list[str]
    dotted: list[str]
    leaf: list[str]
    versioned: dict[int, str]


class Disabled(msgspec.Struct, frozen=True, array_like=True):
    """A resource that is switched off: in no graph, kept only to explain why it was not selected."""

    unique_id: str
    name: str
    resource_type: str
    path: str


class Compact(msgspec.Struct, array_like=True):
    """The form in which a manifest is stored."""

    format: int
    project_name: str
    adapter_type: str
    dbt_version: str
    generated_at: str
    ids: list[str]
    type_names: list[str]
    types: bytes
    parents: list[tuple[int, ...]]
    children: list[tuple[int, ...]]
    tags: dict[str, list[int]]
    names: msgspec.Raw
    resources: msgspec.Raw
    disabled: msgspec.Raw
    selectors: msgspec.Raw = msgspec.Raw(b"\x80")  # an empty map: of a project without selectors.yml


_DECODER = msgspec.msgpack.Decoder(Compact)


class Manifest:
    """A dbt project as it was parsed: what there is, and what depends on what.

    `ids[n]` is the unique id of resource number n; `parents_at[n]` and `children_at[n]` are numbers. The
    mappings by unique id (`resources`, `parents`, `children`) are built when first used.
    """

    def __init__(self, compact: Compact) -> None:
        self._compact = compact
        self.project_name = compact.project_name
        self.adapter_type = compact.adapter_type
        self.dbt_version = compact.dbt_version
        self.generated_at = compact.generated_at
        self.ids = compact.ids
        self.parents_at = compact.parents
        self.children_at = compact.children
        self.tag_index = compact.tags
        #: room for what selection code derives from this manifest and wants to keep with it
        self.memo: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.rows)

    @cached_property
    def number(self) -> dict[str, int]:
        """unique id -> number."""
        return {unique_id: n for n, unique_id in enumerate(self.ids)}

    @cached_property
    def numbers_by_type(self) -> dict[str, frozenset[int]]:
        """resource type -> numbers."""
        by_type: dict[int, list[int]] = {n: [] for n in range(len(self._compact.type_names))}
        for n, type_number in enumerate(self._compact.types):
            by_type[type_number].append(n)
        return {self._compact.type_names[t]: frozenset(numbers) for t, numbers in by_type.items()}

    @cached_property
    def rows(self) -> list[Resource]:
        """number -> Resource."""
        return msgspec.msgpack.decode(self._compact.resources, type=list[Resource])

    @cached_property
    def names(self) -> Names:
        """The names of all resources, decoded when first asked for."""
        return msgspec.msgpack.decode(self._compact.names, type=Names)

    @cached_property
    def full_names(self) -> list[str]:
        """number -> the fqn as one text, package first."""
        names = self.names
        return [f"{package}.{path}" for package, path in zip(names.package, names.dotted, strict=True)]

    @cached_property
    def resources(self) -> dict[str, Resource]:
        """unique id -> Resource, in the order of unique ids; disabled resources are not among them."""
        return dict(zip(self.ids, self.rows, strict=True))

    @cached_property
    def disabled(self) -> dict[str, Disabled]:
        """unique id -> what is known of a disabled resource."""
        rows = msgspec.msgpack.decode(self._compact.disabled, type=list[Disabled])
        return {row.unique_id: row for row in rows}

    @cached_property
    def selectors(self) -> dict[str, dict[str, Any]]:
        """name -> a selector of selectors.yml, as dbt has written it: {"name", "definition", ...}."""
        return msgspec.msgpack.decode(self._compact.selectors, type=dict[str, dict[str, Any]])

    @cached_property
    def dbt_release(self) -> tuple[int, ...]:
        """The version of dbt that wrote the manifest, such as (1, 12, 6); (0,) where it does not say."""
        return tuple(int(part) for part in re.findall(r"\d+", self.dbt_version)[:3]) or (0,)

    @cached_property
    def parents(self) -> Mapping[str, tuple[str, ...]]:
        """unique id -> what it depends on, directly."""
        return self._by_id(self.parents_at)

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """unique id -> what depends on it, directly (tests too)."""
        return self._by_id(self.children_at)

    @cached_property
    def depends_at(self) -> list[tuple[int, ...]]:
        """number -> numbers of all it names in depends_on; -1 stands for what is not in the graph.

        The indirect-selection rules ask whether *all* parents of a test are selected, so a parent that is
        not there must not be forgotten.
        """
        number = self.number
        return [tuple(number.get(up, -1) for up in row.depends_on) for row in self.rows]

    @cached_property
    def configs(self) -> list[dict[str, Any]]:
        """number -> configuration."""
        return [row.config for row in self.rows]

    def _by_id(self, adjacency: list[tuple[int, ...]]) -> dict[str, tuple[str, ...]]:
        ids = self.ids
        return {ids[n]: tuple([ids[other] for other in others]) for n, others in enumerate(adjacency)}

    def to_compact(self) -> bytes:
        """The small binary form, read back by `from_compact`."""
        return msgspec.msgpack.encode(self._compact)

    @classmethod
    def from_compact(cls, data: bytes) -> Manifest:
        """Read what `to_compact` wrote. Raises ManifestError when it is damaged or of another format."""
        try:
            compact = _DECODER.decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ManifestError(f"The stored manifest is damaged: {error}") from error
        if compact.format != COMPACT_FORMAT:
            raise ManifestError(f"The stored manifest has format {compact.format}, dex reads {COMPACT_FORMAT}")
        if not len(compact.ids) == len(compact.types) == len(compact.parents) == len(compact.children):
            raise ManifestError("The stored manifest is damaged: its columns have different lengths")
        return cls(compact)
