"""Why a resource is selected, and why it is not: computed when somebody asks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors.evaluation import Evaluation
from nodes.dbt.selectors.select import Selection
from nodes.dbt.selectors.values import ALL, Atom, Selector


@dataclass(frozen=True, slots=True)
class Reason:
    """One way that leads from a value to a resource.

    `value` is the value as the user wrote it, `atom` the part of it that did it (they differ for `a & b`),
    `matched` the resource its method found. `path` leads from `matched` to the resource, both included.
    `how` is "everything" (no include at all), "matched", "upstream", "downstream", "around" (the @
    operator: down, then up) or "test" (the last step is from a selected resource to its test; `because`
    names the tested parents).
    """

    value: str
    atom: str
    how: str
    matched: str
    path: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a resource out.

    `what` is "unknown", "disabled", "not matched", "excluded" or "resource type"; `message` says it in
    words; for an excluded resource `reason` tells which value took it away, and how.
    """

    what: str
    message: str
    hint: str = ""
    reason: Reason | None = None


def resolve(manifest: Manifest, name: str) -> str | None:
    """The unique id that a unique id, an identifier (`staging.stg_orders`) or a plain name stands for."""
    if name in manifest.number:
        return name
    own = [row for row in manifest.rows if row.package == manifest.project_name]
    others = [row for row in manifest.rows if row.package != manifest.project_name]
    for row in (*own, *others):
        if row.identifier == name:
            return row.unique_id
    for row in (*own, *others):  # of twins, the project's own
        if row.short_identifier == name:
            return row.unique_id
    for row in (*own, *others):
        if row.name == name and row.resource_type not in ("test", "unit_test"):
            return row.unique_id
    return next((row.unique_id for row in (*own, *others) if row.name == name), None)


def explain(selection: Selection, unique_id: str) -> list[Reason]:
    """Why a resource is selected: a reason for every atom that leads to it; empty when it is not."""
    manifest = selection.manifest
    name = resolve(manifest, unique_id)
    if name is None or manifest.number[name] not in selection.numbers:
        return []
    if selection.include is None:
        return [Reason("", "", "everything", name, (name,))]
    return _reasons(selection.evaluation, selection.include, manifest.number[name])


def obstacles(selection: Selection, unique_id: str) -> list[Obstacle]:
    """Why a resource is not selected; empty when it is."""
    manifest = selection.manifest
    name = resolve(manifest, unique_id)
    if name is None:
        return [_absent(manifest, unique_id)]
    number = manifest.number[name]
    if number in selection.numbers:
        return []
    hindrances: list[Obstacle] = []
    aborted = next((error for error in selection.errors if error.aborts), None)
    if aborted is not None:
        return [Obstacle("error", f"Nothing is selected: {aborted}")]
    if selection.include is not None:
        terms = [term for selector in selection.include for term in selector.terms]
        if number not in selection.evaluation.of(terms):
            hindrances.append(_not_matched(selection, number))
    hindrances.extend(
        Obstacle("excluded", f"{reason.value!r} in the exclude list removes it", reason=reason)
        for reason in (
            _reasons(selection.evaluation, selection.exclude, number) if number in selection.excluded else ()
        )
    )
    row = manifest.rows[number]
    if row.resource_type not in selection.resource_types:
        kinds = ", ".join(sorted(selection.resource_types))
        hindrances.append(
            Obstacle("resource type", f"It is a {row.resource_type}, but only these types are selected: {kinds}")
        )
    return hindrances


def _absent(manifest: Manifest, name: str) -> Obstacle:
    for row in manifest.disabled.values():
        if name in (row.unique_id, row.name):
            return Obstacle("disabled", f"{row.unique_id} is disabled", f"Look for enabled: false; {row.path}")
    by_identifier = {row.identifier: row for row in manifest.rows}
    names = {row.name for row in manifest.rows}
    close = difflib.get_close_matches(name.split(".")[-1][:200], names, n=3)
    close = close or difflib.get_close_matches(name[:500], by_identifier, n=3)
    return Obstacle(
        "unknown",
        f"The project has nothing called {name!r}",
        f"Did you mean {', '.join(close)}?" if close else "",
    )


def _not_matched(selection: Selection, number: int) -> Obstacle:
    """No value leads to it; the hint names the operator that would."""
    evaluation, manifest = selection.evaluation, selection.manifest
    for selector in selection.include or ():
        for atom in (term[0] for term in selector.terms if len(term) == 1):
            bare = (
                f"{atom.text.lstrip('@+0123456789').rstrip('+')}"
                if atom.operators != (False, None, None)
                else atom.text
            )
            matched = evaluation.matched(atom)
            if number in evaluation.upstream(matched):
                return Obstacle(
                    "not matched", "Nothing in the include list matches it", f"It is upstream: +{bare} would select it"
                )
            if number in evaluation.downstream(matched):
                return Obstacle(
                    "not matched",
                    "Nothing in the include list matches it",
                    f"It is downstream: {bare}+ would select it",
                )
    identifier = manifest.rows[number].identifier
    return Obstacle("not matched", "Nothing in the include list matches it", f"{identifier} would select it")


def _reasons(evaluation: Evaluation, selectors: Sequence[Selector], number: int) -> list[Reason]:
    reasons: list[Reason] = []
    everything: list[tuple[Selector, Atom]] = []
    for selector in selectors:
        for term in selector.terms:
            everything.extend((selector, atom) for atom in term)
            if number in _term(evaluation, term):
                for atom in term:
                    reasons.extend(_atom_reasons(evaluation, selector, atom, number))
    if not reasons and number in evaluation.tests:
        # a test whose parents were brought in by different values together
        parents = [n for n in evaluation.manifest.depends_at[number] if n >= 0]
        for parent in parents:
            for selector, atom in everything:
                reasons.extend(_to_test(evaluation, selector, atom, parent, number, parents))
    return list(dict.fromkeys(reasons))


def _kept(evaluation: Evaluation, key: Any, make: Callable[[], Any]) -> Any:
    """What was made for this key before."""
    if key not in evaluation.memo:
        evaluation.memo[key] = make()
    return evaluation.memo[key]


def _term(evaluation: Evaluation, term: tuple[Atom, ...]) -> set[int]:
    numbers: set[int] = _kept(evaluation, ("term", term), lambda: evaluation.term(term)[0])
    return numbers


def _walked(evaluation: Evaluation, atom: Atom) -> set[int]:
    numbers: set[int] = _kept(
        evaluation, ("walked", atom), lambda: evaluation.walked(evaluation.matched(atom), atom.operators)
    )
    return numbers


def _atom_reasons(evaluation: Evaluation, selector: Selector, atom: Atom, number: int) -> list[Reason]:
    matched = evaluation.matched(atom)
    walked = _walked(evaluation, atom)
    if number in walked:
        return [_walk(evaluation, selector, atom, matched, number)]
    parents = [n for n in evaluation.manifest.parents_at[number] if n in walked]
    return [
        reason for parent in parents[:1] for reason in _to_test(evaluation, selector, atom, parent, number, parents)
    ]


def _to_test(
    evaluation: Evaluation, selector: Selector, atom: Atom, parent: int, test: int, parents: list[int]
) -> list[Reason]:
    matched = evaluation.matched(atom)
    if parent not in _walked(evaluation, atom):
        return []
    ids = evaluation.manifest.ids
    way = _walk(evaluation, selector, atom, matched, parent)
    because = tuple(ids[n] for n in parents)
    return [Reason(way.value, way.atom, "test", way.matched, (*way.path, ids[test]), because)]


def _walk(evaluation: Evaluation, selector: Selector, atom: Atom, matched: set[int], number: int) -> Reason:
    """The shortest way from a matched resource to one that the operators reached."""
    ids = evaluation.manifest.ids
    parents, children = evaluation.manifest.parents_at, evaluation.manifest.children_at

    def reason(how: str, way: list[int]) -> Reason:
        return Reason(selector.text, atom.text, how, ids[way[0]], tuple(ids[n] for n in way))

    if number in matched:
        return reason("matched", [number])

    def tree(name: str, neighbours: list[tuple[int, ...]], starts: set[int], depth: int) -> dict[int, int]:
        distances: dict[int, int] = _kept(evaluation, (name, atom), lambda: _tree(neighbours, starts, depth))
        return distances

    if atom.up is not None and (way := _way(tree("up", parents, matched, atom.up), number)):
        return reason("upstream", way)
    down = ALL if atom.at else atom.down
    if down is not None and (way := _way(tree("down", children, matched, down), number)):
        return reason("downstream", way)
    family = _kept(evaluation, ("family", atom), lambda: matched | evaluation.downstream(matched))
    up = _way(tree("around", parents, family, ALL), number) or [number]
    lead = _way(tree("all down", children, matched, ALL), up[0]) or [up[0]]
    return reason("around", [*lead, *up[1:]] if len(lead) > 1 else up)


def _tree(neighbours: list[tuple[int, ...]], starts: set[int], depth: int) -> dict[int, int]:
    """number -> the one before it on a shortest way from one of `starts`, at most `depth` edges long; -1 at a start."""
    came_from: dict[int, int] = dict.fromkeys(starts, -1)
    layer = sorted(starts)
    while layer and depth:
        reached = []
        for n in layer:
            for other in neighbours[n]:
                if other not in came_from:
                    came_from[other] = n
                    reached.append(other)
        layer = reached
        depth -= 1
    return came_from


def _way(came_from: dict[int, int], goal: int) -> list[int]:
    """Numbers from a start to `goal`, as few as possible; empty when no way leads there."""
    if goal not in came_from:
        return []
    way = [goal]
    while came_from[way[-1]] != -1:
        way.append(came_from[way[-1]])
    return way[::-1]
