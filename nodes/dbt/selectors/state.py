"""What changed since an earlier manifest: the `state:` method.

Follows StateSelectorMethod (dbt/graph/selector_methods.py) and the `same_...` methods of the resources
(dbt/contracts/graph/nodes.py) of dbt 1.11.16. Two things there surprise and are kept: a source, exposure,
metric, semantic model or saved query that is new is not `modified`, and a removed version of a model with an
enforced contract stops dbt.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from nodes.dbt.selectors.sameness import (
    SAME_FIELDS,
    Node,
    StateFile,
    bare,
    base_type,
    decode_state,
    is_past,
    same_body,
    same_config,
    same_exports,
    same_persisted_docs,
)
from nodes.dbt.selectors.values import SelectorError

_NO_BODY = ("source", "exposure", "metric", "semantic_model", "saved_query", "unit_test")
_ENFORCE_ALL = ("duckdb", "postgres")
_ENFORCED = ("not_null", "foreign_key")


class Comparison:
    """Two manifests of one project, now and earlier. Both are decoded when first asked.

    `compare_unrendered` is dbt's project flag `state_modified_compare_more_unrendered_values`.
    """

    def __init__(self, current: bytes, earlier: bytes, *, compare_unrendered: bool = False) -> None:
        self._data = (current, earlier)
        self._compare_unrendered = compare_unrendered
        self._found: dict[str, frozenset[str]] = {}
        self.warnings: list[str] = []

    def search(self, sub: str, text: str = "") -> frozenset[str]:
        """Unique ids for `state:<sub>`. Raises SelectorError (aborts) for a breaking change dbt stops on."""
        if sub not in self._found:
            checks: dict[str, Callable[[Node | None, Node], bool]] = {
                "new": lambda old, new: old is None,
                "old": lambda old, new: old is not None,
                "modified": self._modified,
                "unmodified": lambda old, new: not self._modified(old, new),
                "modified.body": self._unless(_NO_BODY, same_body),
                "modified.configs": self._unless(("unit_test",), same_config),
                "modified.relation": self._unless(
                    tuple(name for name in _NO_BODY if name != "source"), self._same_relation
                ),
                "modified.persisted_descriptions": self._unless(_NO_BODY, same_persisted_docs),
                "modified.macros": lambda old, new: self._macros_modified(new),
                "modified.contract": self._unless(_NO_BODY, self._same_contract),
            }
            check = checks[sub]
            try:
                matches = frozenset(
                    unique_id for unique_id, new in self._now.members() if check(self._then.get(unique_id), new)
                )
                if sub in ("modified", "unmodified", "modified.contract"):
                    self._check_removed()
            except _Breaking as breaking:
                raise SelectorError(
                    str(breaking), "dbt stops here; change the contract in a new version", text, aborts=True
                ) from None
            self._found[sub] = matches
        return self._found[sub]

    @cached_property
    def _now(self) -> StateFile:
        return decode_state(self._data[0], "The current manifest")

    @cached_property
    def _earlier(self) -> StateFile:
        return decode_state(self._data[1], "The earlier manifest")

    @cached_property
    def _then(self) -> dict[str, Node]:
        return dict(self._earlier.members())

    @cached_property
    def _changed_macros(self) -> frozenset[str]:
        """Macros that are new, gone or have another text, and all macros that reach one of these."""
        now, then = self._now.macros, self._earlier.macros
        changed = {
            unique_id
            for unique_id, macro in now.items()
            if unique_id not in then or then[unique_id].macro_sql != macro.macro_sql
        }
        changed |= then.keys() - now.keys()
        callers: dict[str, list[str]] = {}
        for unique_id, macro in now.items():
            for called in macro.depends_on.macros:
                callers.setdefault(called or "", []).append(unique_id)
        layer = list(changed)
        while layer:
            layer = [up for called in layer for up in callers.get(called, ()) if up not in changed]
            changed.update(layer)
        return frozenset(changed)

    def _macros_modified(self, new: Node) -> bool:
        return not self._changed_macros.isdisjoint(macro or "" for macro in new.depends_on.macros)

    def _unless(
        self, without: tuple[str, ...], same: Callable[[Node, Node], bool]
    ) -> Callable[[Node | None, Node], bool]:
        """Modified when new or not the same; types that lack the comparison never are."""
        return lambda old, new: new.resource_type not in without and (old is None or not same(new, old))

    def _modified(self, old: Node | None, new: Node) -> bool:
        changed = not self._same(new, old)
        return (
            changed
            or self._macros_modified(new)
            or (old is not None and old.resource_type == "model" and not self._same_contract(new, old))
        )

    def _same(self, new: Node, old: Node | None) -> bool:
        kind = new.resource_type
        if old is None:
            # dbt calls these "the same" when they did not exist before
            return kind in ("source", "exposure", "metric", "semantic_model", "saved_query")
        if kind == "unit_test":
            return bool(new.checksum == old.checksum)
        if kind == "test" and new.test_metadata is not None:
            return same_config(new, old) and new.fqn == old.fqn
        if kind in SAME_FIELDS:
            return all(bare(getattr(new, name)) == bare(getattr(old, name)) for name in SAME_FIELDS[kind]) and (
                self._same_rest(new, old)
            )
        contract = self._same_contract(new, old)
        same = (
            same_body(new, old)
            and same_config(new, old)
            and same_persisted_docs(new, old)
            and new.fqn == old.fqn
            and self._same_relation(new, old)
            and contract
        )
        if kind == "model":
            return (
                same
                and new.latest_version == old.latest_version
                and new.access == old.access
                and new.deprecation_date == old.deprecation_date
            )
        if kind == "function":
            return same and bare(new.arguments) == bare(old.arguments) and bare(new.returns) == bare(old.returns)
        return same

    def _same_rest(self, new: Node, old: Node) -> bool:
        kind = new.resource_type
        if kind == "source":
            return self._same_relation(new, old) and same_config(new, old)
        if kind == "exposure":
            return set(new.depends_on.nodes) == set(old.depends_on.nodes) and same_config(new, old)
        if kind == "saved_query":
            return (
                all(
                    bare(new.query_params.get(name)) == bare(old.query_params.get(name))
                    for name in ("metrics", "group_by", "where")
                )
                and same_exports(new, old)
                and same_config(new, old)
            )
        return same_config(new, old)

    def _same_relation(self, new: Node, old: Node) -> bool:
        if new.resource_type == "source":
            names = ("unrendered_database", "unrendered_schema") if self._compare_unrendered else ("database", "schema")
            return all(getattr(new, name) == getattr(old, name) for name in (*names, "identifier"))
        return all(
            new.unrendered_config.get(name) == old.unrendered_config.get(name)
            for name in ("database", "schema", "alias")
        )

    def _same_contract(self, new: Node, old: Node) -> bool:
        if new.resource_type != "model" or not (old.enforced or new.enforced):
            return True
        if not old.enforced:
            return False
        if new.enforced and new.contract and old.contract and new.contract.checksum == old.contract.checksum:
            return True
        breaks = self._breaking_changes(new, old)
        if breaks:
            self._report(new, f"a breaking change of its contract: {'; '.join(breaks)}")
        return False

    def _breaking_changes(self, new: Node, old: Node) -> list[str]:
        breaks = [] if new.enforced else ["the contract is no longer enforced"]
        for key, column in sorted(old.columns.items()):
            if key not in new.columns:
                breaks.append(f"column {column.name} was removed")
            elif base_type(column.data_type) != base_type(new.columns[key].data_type):
                breaks.append(f"column {column.name} changed its type")
            elif old.is_enforceable and self._lost(column.constraints, new.columns[key].constraints):
                breaks.append(f"column {column.name} lost a constraint")
        if old.is_enforceable:
            if self._lost(old.constraints, new.constraints):
                breaks.append("a constraint was removed")
            constrained = old.constraints or any(column.constraints for column in old.columns.values())
            if constrained and not new.is_enforceable:
                breaks.append("the materialization changed")
        return breaks

    def _lost(self, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> bool:
        """Whether a constraint that the database enforces is gone."""
        everything = self._now.metadata.adapter_type in _ENFORCE_ALL
        kept = [bare(constraint) for constraint in new]
        return any(
            bare(constraint) not in kept and (everything or constraint.get("type") in _ENFORCED) for constraint in old
        )

    def _check_removed(self) -> None:
        """Removed, renamed or disabled models: never selected, but a broken contract is reported."""
        disabled = self._now.disabled or {}
        for unique_id, before in self._earlier.nodes.items():
            if disabled.get(unique_id):
                removed = disabled[unique_id][0]
            elif unique_id not in self._now.nodes:
                removed = before
            else:
                continue
            if removed.resource_type == "model" and removed.enforced and not is_past(removed.deprecation_date):
                self._report(removed, "it has an enforced contract and was removed, renamed or disabled")

    def _report(self, node: Node, what: str) -> None:
        if node.version is not None:
            raise _Breaking(f"The versioned model {node.name!r}: {what}")
        warning = f"The model {node.name!r}: {what}"
        if warning not in self.warnings:
            self.warnings.append(warning)


class _Breaking(Exception):
    """A change that dbt refuses to go on with."""
