"""What one list of values gives: matches, operators, the tests that come along, AND, then the union.

The order is that of dbt/graph/selector.py (get_nodes_from_criteria, select_nodes_recursively).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors import named
from nodes.dbt.selectors.methods import Surroundings, cost, search
from nodes.dbt.selectors.values import ALL, SELECTOR, Atom, SelectorError

MODES = ("eager", "cautious", "buildable", "empty")
#: How many resources a selection may look at altogether. A usual one looks at some ten thousand; this many
#: take about a second, after which a hostile list of values is refused rather than computed.
WORK = 8_000_000

Term = tuple[Atom, ...]
Numbers = set[int]


class Evaluation:
    """The terms of one selection against one manifest; what was computed for an atom is kept."""

    def __init__(
        self,
        manifest: Manifest,
        mode: str,
        around: Surroundings,
        work: int = WORK,
        types: Collection[str] | None = None,
    ) -> None:
        self.manifest = manifest
        self.mode = mode
        self.around = around
        self.named: list[str] = []  # selectors of selectors.yml that are being evaluated
        self._types = types  # what selectors of selectors.yml may give; None: anything
        self._work = work
        self._matched: dict[tuple[str, tuple[str, ...], str], Numbers] = {}
        self._atoms: dict[Atom, tuple[Numbers, Numbers]] = {}
        #: room for what reasons derive from an atom or a term: a page asks for those of two hundred resources
        self.memo: dict[Any, Any] = {}
        by_type = manifest.numbers_by_type
        self.unit_tests = by_type.get("unit_test", frozenset())
        self.tests = by_type.get("test", frozenset()) | self.unit_tests
        self.sources = by_type.get("source", frozenset())

    def matched(self, atom: Atom) -> Numbers:
        """What the method alone gives."""
        key = (atom.method, atom.arguments, atom.value)
        if key not in self._matched:
            self._spend(cost(self.manifest, atom))
            found = named.search(self, atom) if atom.method == SELECTOR else search(self.manifest, atom, self.around)
            self._matched[key] = found
        return self._matched[key]

    def of_named_types(self, numbers: Numbers) -> Numbers:
        """Of what a named selector gives, the resource types of the command: dbt filters there, before operators."""
        if self._types is None:
            return numbers
        by_type = self.manifest.numbers_by_type
        return numbers & set().union(*[by_type.get(name, frozenset()) for name in self._types])

    def walked(self, matched: Numbers, operators: tuple[bool, int | None, int | None]) -> Numbers:
        """What was matched, and what the operators add to it."""
        at, up, down = operators
        if self.mode == "empty" and self.manifest.dbt_release < (1, 9):
            return matched  # dbt 1.8 forgets the operators there
        if not (at or up is not None or down is not None):
            return matched
        selected = set(matched)
        if at:
            family = self.downstream(matched) | matched
            selected |= family | self.upstream(family)
        if up is not None:
            selected |= self.upstream(matched, up)
        if down is not None:
            selected |= self.downstream(matched, down)
        return selected

    def upstream(self, start: Numbers, depth: int = ALL) -> Numbers:
        """What lies above, up to a depth."""
        return self._closure(self.manifest.parents_at, start, depth)

    def downstream(self, start: Numbers, depth: int = ALL) -> Numbers:
        """What lies below, up to a depth."""
        return self._closure(self.manifest.children_at, start, depth)

    def with_tests(self, selected: Numbers, mode: str = "") -> tuple[Numbers, Numbers]:
        """(selected and the tests it brings along, tests that wait for their other parents)."""
        mode = mode or self.mode
        if mode == "empty":
            return selected, set()
        self._spend(2 * len(selected))
        children = self.manifest.children_at
        near = set().union(*[children[n] for n in selected]) & self.tests
        if mode == "eager":
            return selected | near, set()
        depends = self.manifest.depends_at
        direct, waiting = set(selected), set()
        enough = selected
        if mode == "buildable":
            enough = selected | self.upstream(selected) | self.sources
        for n in near:
            if enough.issuperset(depends[n]):
                direct.add(n)
            else:
                waiting.add(n)
        return direct, waiting

    def atom(self, atom: Atom) -> tuple[Numbers, Numbers]:
        """What an atom gives with its operators and tests, and the tests that wait for other parents."""
        if atom not in self._atoms:
            self._atoms[atom] = self.atom_in(atom, self.mode)
        return self._atoms[atom]

    def atom_in(self, atom: Atom, mode: str) -> tuple[Numbers, Numbers]:
        """The same in another mode of indirect selection. A named selector brings the tests that it selects itself."""
        walked = self.walked(self.matched(atom), atom.operators)
        return (walked, set()) if atom.method == SELECTOR else self.with_tests(walked, mode)

    def term(self, term: Term) -> tuple[Numbers, Numbers]:
        """(direct, indirect) of an intersection of atoms."""
        results = [self.atom(atom) for atom in term]
        self._spend(sum(len(direct) for direct, _ in results))
        direct = set.intersection(*[direct for direct, _ in results])
        indirect = set.intersection(*[direct | waiting for direct, waiting in results])
        return self._incorporate(direct, indirect), indirect

    def union(self, terms: Iterable[Term]) -> Numbers:
        """All terms together, in the modes in which a test may need parents from several terms."""
        direct: Numbers = set()
        indirect: Numbers = set()
        for term in dict.fromkeys(terms):
            term_direct, term_indirect = self.term(term)
            self._spend(len(term_indirect))
            direct |= term_direct
            indirect |= term_direct | term_indirect
        return self._incorporate(direct, indirect)

    def quick_union(self, terms: Iterable[Term]) -> Numbers:
        """The same for eager and empty, where a union of walks is the walk of the union.

        So thousands of values with the same operators cost one walk over the graph.
        """
        starts: dict[tuple[bool, int | None, int | None], Numbers] = {}
        union: Numbers = set()
        for term in dict.fromkeys(terms):
            if len(term) == 1 and term[0].method != SELECTOR:
                starts.setdefault(term[0].operators, set()).update(self.matched(term[0]))
            else:
                direct = self.term(term)[0]
                self._spend(len(direct))
                union |= direct
        for operators, matched in starts.items():
            walked = self.with_tests(self.walked(matched, operators))[0]
            union = union | walked if union else walked
        return union

    def of(self, terms: Sequence[Term]) -> Numbers:
        """What a union of terms gives."""
        return self.quick_union(terms) if self.mode in ("eager", "empty") else self.union(terms)

    def is_empty(self, term: Term) -> bool:
        """Whether a term gives nothing: operators and tests add to something only."""
        if len(term) == 1:
            return not self.matched(term[0])
        return not self.term(term)[0]

    def _incorporate(self, direct: Numbers, indirect: Numbers) -> Numbers:
        """Add tests that waited and have all parents now (dbt: incorporate_indirect_nodes; no unit tests)."""
        if self.mode not in ("cautious", "buildable") or direct == indirect:
            return direct
        enough = direct if self.mode == "cautious" else direct | self.upstream(direct)
        depends = self.manifest.depends_at
        late = {n for n in indirect - direct - self.unit_tests if enough.issuperset(depends[n])}
        return direct | late

    def _closure(self, neighbours: list[tuple[int, ...]], start: Numbers, depth: int) -> Numbers:
        # the twin of nodes.graph._closure over numbered adjacency, where a list index replaces hashing a
        # long text
        reached: Numbers = set()
        layer = start
        while layer and depth:
            self._spend(len(layer))
            layer = set().union(*[neighbours[n] for n in layer]) - reached
            reached |= layer
            depth -= 1
        return reached

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise SelectorError(
                "These values take too long to evaluate",
                "Use fewer values, or a wildcard or tag instead of many names",
                aborts=True,
            )
