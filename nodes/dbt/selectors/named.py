"""`selector:NAME`: what the selectors of selectors.yml give, as dbt 1.12 and later evaluate them inside a selection.

A definition is what the manifest holds of it (dbt/config/selectors.py, SelectorDict): a criterion, or a union or an
intersection of definitions, either with something excluded. How its parts are read is in dbt/graph/cli.py, how they are
put together in dbt/graph/selector.py (select_nodes_recursively, get_selected).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors.grammar import read
from nodes.dbt.selectors.paths import compiled
from nodes.dbt.selectors.values import ALL, METHODS, Atom, SelectorError

SINCE = (1, 12)
MOST_NESTED = 50  # selectors inside selectors; dbt stops at its limit of recursion

Numbers = set[int]


class Evaluation(Protocol):
    """What a definition needs of nodes.dbt.selectors.evaluation."""

    manifest: Manifest
    mode: str
    named: list[str]

    def atom_in(self, atom: Atom, mode: str) -> tuple[Numbers, Numbers]:
        """What an atom gives in a mode of indirect selection, and the tests that wait."""

    def of_named_types(self, numbers: Numbers) -> Numbers:
        """Those of the resource types of the command."""


def search(evaluation: Evaluation, atom: Atom) -> Numbers:
    """The numbers that the selectors of this name give; it may hold wildcards. Raises SelectorError (aborts)."""
    manifest = evaluation.manifest
    if manifest.dbt_release < SINCE:
        raise SelectorError(
            "Named selectors (selectors.yml) are not available as a method before dbt 1.12",
            "Enter the values of that selector instead",
            atom.text,
            aborts=True,
        )
    definitions = manifest.selectors
    if not definitions:
        raise SelectorError(
            "The project has no selectors.yml", "Enter names, tags or paths instead", atom.text, aborts=True
        )
    match = compiled(atom.value).match
    names = sorted(name for name in definitions if match(name))
    if not names:
        known = ", ".join(sorted(definitions)[:10])
        raise SelectorError(
            f"No selector has the name {atom.value!r}", f"selectors.yml has {known}", atom.text, aborts=True
        )
    if len(evaluation.named) >= MOST_NESTED or any(name in evaluation.named for name in names):
        raise SelectorError("This selector refers to itself", "Correct selectors.yml", atom.text, aborts=True)
    numbers: Numbers = set()
    for name in names:
        evaluation.named.append(name)
        try:
            numbers = numbers | _evaluate(evaluation, definitions[name].get("definition"), atom)[0]
        finally:
            evaluation.named.pop()
    return evaluation.of_named_types(numbers)


def _evaluate(evaluation: Evaluation, definition: Any, asked: Atom) -> tuple[Numbers, Numbers]:
    """(direct, indirect) of a definition; indirect are tests that wait for their other parents."""
    if isinstance(definition, Mapping):
        for kind in ("union", "intersection"):
            if kind in definition:
                return _group(evaluation, kind, definition[kind], asked)
        base = evaluation.atom_in(_atom(definition, asked), definition.get("indirect_selection") or evaluation.mode)
        return _without(base, [_evaluate(evaluation, each, asked) for each in definition.get("exclude") or ()])
    if isinstance(definition, str):
        selector, errors = read(definition)
        if selector is None or len(selector.terms) != 1 or len(selector.terms[0]) != 1:
            reason = errors[0].message if errors else "It is more than one value"
            raise SelectorError(f"{definition!r} in selectors.yml: {reason}", "", asked.text, aborts=True)
        return evaluation.atom_in(selector.terms[0][0], evaluation.mode)
    raise SelectorError("Its definition in selectors.yml cannot be read", "", asked.text, aborts=True)


def _group(evaluation: Evaluation, kind: str, parts: Sequence[Any], asked: Atom) -> tuple[Numbers, Numbers]:
    included = [each for each in parts if not _excludes(each)]
    bundles = [_evaluate(evaluation, each, asked) for each in included]
    together = set.union if kind == "union" else set.intersection
    direct = together(*[found for found, _ in bundles]) if bundles else set()
    indirect = together(*[found | waiting for found, waiting in bundles]) if bundles else set()
    away = [_evaluate(evaluation, each, asked) for part in parts if _excludes(part) for each in part["exclude"]]
    return _without((direct, indirect), away)


def _excludes(part: Any) -> bool:
    return isinstance(part, Mapping) and "exclude" in part and "method" not in part


def _without(base: tuple[Numbers, Numbers], away: Sequence[tuple[Numbers, Numbers]]) -> tuple[Numbers, Numbers]:
    """The difference that dbt makes: of what is direct, and of what is direct or waits."""
    if not away:
        return base
    direct, indirect = base
    gone = set().union(*[found for found, _ in away])
    gone_or_waiting = set().union(*[found | waiting for found, waiting in away])
    return direct - gone, (direct | indirect) - gone_or_waiting


def _atom(definition: Mapping[str, Any], asked: Atom) -> Atom:
    """A criterion as an atom. In: {"method", "value", "parents", "children_depth", ...}, or {method: value}."""
    if "method" not in definition:
        method, value = next(iter(definition.items()), ("", ""))
        definition = {"method": method, "value": value}
    method, *arguments = str(definition["method"]).split(".")
    if method not in METHODS:
        raise SelectorError(f"selectors.yml has {method!r}, which is not a method", "", asked.text, aborts=True)

    def depth(side: str) -> int | None:
        if not definition.get(side):
            return None
        return int(definition.get(f"{side}_depth") or ALL)

    value = definition.get("value", "")
    return Atom(
        text=f"{definition['method']}:{value}",
        method=method,
        arguments=tuple(arguments),
        value=value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value),
        up=depth("parents"),
        down=depth("children"),
        at=bool(definition.get("childrens_parents")),
        explicit=True,
    )
