"""What a directed graph can be asked: closure, contraction, cycles, layers, positions, the critical path.

Graphs come in as plain adjacency (`{node: neighbours}`) or as edges (`(upstream, downstream)`) and leave as
plain sets, lists and dicts. This is the only module that knows networkx; nodes are any hashable values that can
be sorted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import networkx as nx

N = TypeVar("N", bound=Any)


class CycleError(ValueError):
    """The edges go round in a circle; `cycle` names it, the first node repeated at the end."""

    def __init__(self, cycle: list[Any]) -> None:
        self.cycle = cycle
        super().__init__("These depend on each other: " + " -> ".join(str(node) for node in cycle))


def ancestors(parents: Mapping[N, Collection[N]], ids: Iterable[N], depth: int | None = None) -> set[N]:
    """All that lies upstream of `ids`, at most `depth` edges away.

    As in dbt, a node of `ids` is in the result only if it is upstream of another one of them.
    """
    return _closure(parents, ids, depth)


def descendants(children: Mapping[N, Collection[N]], ids: Iterable[N], depth: int | None = None) -> set[N]:
    """All that lies downstream of `ids`, at most `depth` edges away; see `ancestors`."""
    return _closure(children, ids, depth)


def _closure(neighbours: Mapping[N, Collection[N]], ids: Iterable[N], depth: int | None) -> set[N]:
    # Not networkx: this runs at every keystroke of the selector form. A layer of plain set unions over
    # adjacency tuples walks 10,000 nodes in about a millisecond; networkx's BFS, one Python step an edge,
    # needs ten times that.
    reached: set[N] = set()
    layer = set(ids)
    nothing: tuple[N, ...] = ()
    while layer and (depth is None or depth > 0):
        layer = set().union(*[neighbours.get(node, nothing) for node in layer]) - reached
        reached |= layer
        if depth is not None:
            depth -= 1
    return reached


def topological(children: Mapping[N, Collection[N]]) -> list[N]:
    """All nodes, each before its children. Raises CycleError."""
    return _topological(_graph((up, down) for up, downs in children.items() for down in downs))


def contract(
    children: Mapping[N, Collection[N]], keep: Collection[N], order: Sequence[N] | None = None
) -> set[tuple[N, N]]:
    """The edges between kept nodes when all others are taken away and order is to survive.

    (u, v) is an edge when a path leads from u to v whose inner nodes are all not kept, so A -> B -> C gives
    A -> C when only A and C are kept. This is dbt's `Graph.get_subset_graph`, computed backwards in one
    pass: for each node, the set of kept nodes met first is one integer used as a bit set, so that wide
    graphs stay cheap. In: `order`, what `topological` says of the children, for who asks many times. Raises CycleError
    when the graph is not acyclic.
    """
    kept = sorted(set(keep))
    bit = {node: 1 << n for n, node in enumerate(kept)}
    first: dict[N, int] = {}
    nothing: tuple[N, ...] = ()
    for node in reversed(topological(children) if order is None else order):
        met = 0
        for down in children.get(node, nothing):
            met |= bit[down] if down in bit else first[down]
        first[node] = met
    return {(up, kept[n]) for up in kept for n in _bits(first.get(up, 0))}


class Reach:
    """Who lies below whom, for very many questions about one acyclic graph.

    Below a node lies one integer used as a bit set, numbered in topological order, so that a question costs an AND
    where a walk would cost thousands of steps. Raises CycleError when the graph is not acyclic.
    """

    def __init__(self, children: Mapping[N, Collection[N]]) -> None:
        graph = _graph((up, down) for up, downs in children.items() for down in downs)
        self._order: list[N] = _topological(graph)
        self._number = {node: n for n, node in enumerate(self._order)}
        self._below: dict[N, int] = {}
        for node in reversed(self._order):
            mask = 0
            for down in graph.successors(node):
                mask |= self._below[down] | 1 << self._number[down]
            self._below[node] = mask

    def is_below(self, node: N, others: Iterable[N]) -> bool:
        """Whether `node` is, or lies below, each of `others`."""
        bit = 1 << self._number.get(node, len(self._order))
        return all(other == node or self._below.get(other, 0) & bit for other in others)

    def first_below(self, nodes: Iterable[N], among: int) -> list[N]:
        """Those of `among` (see `mask`) that lie below all of `nodes`, without those below another of them."""
        left = among
        for node in nodes:
            left &= self._below.get(node, 0)
        first = []
        while left:
            low = left & -left  # nothing of `left` lies above the lowest in topological order
            node = self._order[low.bit_length() - 1]
            first.append(node)
            left &= ~(self._below[node] | low)
        return first

    def mask(self, nodes: Iterable[N]) -> int:
        """A set of nodes as a number for `first_below`; nodes without any edge are left out."""
        return sum(1 << self._number[node] for node in nodes if node in self._number)


def find_cycle(edges: Iterable[tuple[N, N]]) -> list[N] | None:
    """A cycle among the edges as nodes in order, the first repeated at the end; None when there is none.

    The answer is the same for the same edges: the search is confined to the smallest knot that holds a cycle.
    """
    graph = _graph(edges)
    if nx.is_directed_acyclic_graph(graph):
        return None
    for node in sorted(graph):
        if graph.has_edge(node, node):
            return [node, node]
    # networkx's find_cycle is slow on large graphs that are mostly acyclic, so it only sees one strong
    # component
    knots = [sorted(knot) for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    knot = min(knots, key=lambda nodes: (len(nodes), nodes))
    start = knot[0]
    inside = graph.subgraph(knot)
    back = min(
        (nx.shortest_path(inside, after, start) for after in sorted(inside.successors(start))),
        key=len,
    )
    return [start, *back]


def layers(nodes: Iterable[N], edges: Iterable[tuple[N, N]]) -> dict[N, int]:
    """node -> the length of the longest way to it: 0 for what waits for nothing. Raises CycleError."""
    graph = _graph(edges, nodes)
    _topological(graph)
    return {
        node: layer for layer, together in enumerate(nx.topological_generations(graph)) for node in sorted(together)
    }


def layout(nodes: Iterable[N], edges: Iterable[tuple[N, N]], sweeps: int = 4) -> dict[N, tuple[int, float]]:
    """node -> (x, y) for a picture from left to right: x is the layer, y the place in it, centred on 0.

    Within a layer nodes are ordered by the mean place of their neighbours (barycentre), sweeping to and
    fro, which removes most crossings. Ties are broken by name: the same graph always gives the same
    picture. Raises CycleError.
    """
    edges = sorted(set(edges))
    layer_of = layers(nodes, edges)
    upstream: dict[N, list[N]] = {node: [] for node in layer_of}
    downstream: dict[N, list[N]] = {node: [] for node in layer_of}
    for up, down in edges:
        upstream[down].append(up)
        downstream[up].append(down)
    columns: list[list[N]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for node in sorted(layer_of):
        columns[layer_of[node]].append(node)
    place = {node: y for column in columns for y, node in _centred(column)}
    for sweep in range(sweeps):
        forward = sweep % 2 == 0
        neighbours = upstream if forward else downstream
        for column in columns if forward else reversed(columns):
            ideal = {
                node: sum(place[other] for other in neighbours[node]) / len(neighbours[node])
                if neighbours[node]
                else place[node]
                for node in column
            }
            column.sort(key=lambda node: (ideal[node], place[node], node))
            place.update({node: y for y, node in _centred(column)})
    return {node: (layer_of[node], place[node]) for node in layer_of}


def positions(
    nodes: Iterable[N],
    edges: Iterable[tuple[N, N]],
    width: float,
    height: float | Mapping[N, float],
    gap: tuple[float, float] = (96, 32),
    sweeps: int = 8,
) -> dict[N, tuple[float, float]]:
    """node -> the upper left corner of its card in whole pixels, from (0, 0), in the order of `layout`.

    Cards are `width` by `height` (of all, or of each), at least `gap` apart. Each is drawn to the middle of its
    neighbours, so that chains are straight lines; no two overlap. Raises CycleError.
    """
    edges = sorted(set(edges))
    places = layout(nodes, edges)
    high = dict(height) if isinstance(height, Mapping) else dict.fromkeys(places, height)
    neighbours: tuple[dict[N, list[N]], dict[N, list[N]]] = ({}, {})
    for up, down in edges:
        neighbours[0].setdefault(down, []).append(up)
        neighbours[1].setdefault(up, []).append(down)
    columns: list[list[N]] = [[] for _ in range(max((layer for layer, _ in places.values()), default=-1) + 1)]
    for node in sorted(places, key=lambda node: (places[node], node)):
        columns[places[node][0]].append(node)
    middle: dict[N, float] = {}
    for column in columns:
        _spread(column, dict.fromkeys(column, (0.0, 1.0)), high, gap[1], middle)
    for sweep in range(sweeps):
        near = neighbours[sweep % 2]
        for column in columns if sweep % 2 == 0 else reversed(columns):
            ideals = {}
            for node in column:
                others = near.get(node, ())
                # what has no neighbour on this side stays where it is, unless others need the room
                ideal = sum(middle[other] for other in others) / len(others) if others else middle[node]
                ideals[node] = (ideal, len(others) or 0.1)
            _spread(column, ideals, high, gap[1], middle)
    corners = {node: (places[node][0] * (width + gap[0]), middle[node] - high[node] / 2) for node in places}
    top = min((y for _, y in corners.values()), default=0)
    return {node: (round(x), round(y - top)) for node, (x, y) in corners.items()}


def _spread(
    column: list[N],
    ideals: Mapping[N, tuple[float, float]],
    high: Mapping[N, float],
    gap: float,
    middle: dict[N, float],
) -> None:
    """Put the cards of a column as near to their ideals (place, weight) as their order and the gap allow.

    Without the distances between cards this is isotonic regression: neighbours whose ideals cross are pooled at
    their weighted mean until none do, which is the least squares answer.
    """
    offset, offsets = 0.0, []
    for before, node in zip([None, *column], column, strict=False):
        offset += 0 if before is None else (high[before] + high[node]) / 2 + gap
        offsets.append(offset)
    centre = offset / 2
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of cards
    for node, shift in zip(column, offsets, strict=True):
        ideal, weight = ideals[node]
        pools.append((ideal - shift + centre, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m, i), (b, n, j) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n, i + j)]
    shifts = iter(offsets)
    cards = iter(column)
    for mean, _, count in pools:
        for _ in range(count):
            middle[next(cards)] = mean + next(shifts) - centre


def critical_path(durations: Mapping[N, float], edges: Iterable[tuple[N, N]]) -> list[N]:
    """The chain of nodes that takes longest: what must get faster for the whole to get faster.

    Nodes without a duration count as 0. Raises CycleError.
    """
    graph = _graph(edges, durations)
    best: dict[N, float] = {}
    before: dict[N, N | None] = {}
    order: list[N] = _topological(graph)
    for node in order:
        longest = max(sorted(graph.predecessors(node)), key=lambda up: best[up], default=None)
        best[node] = durations.get(node, 0) + (best[longest] if longest is not None else 0)
        before[node] = longest
    path: list[N] = []
    last: N | None = max(sorted(best), key=lambda end: best[end], default=None)
    while last is not None:
        path.append(last)
        last = before[last]
    return path[::-1]


def _graph(edges: Iterable[tuple[N, N]], nodes: Iterable[N] = ()) -> nx.DiGraph:
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    return graph


def _topological(graph: nx.DiGraph) -> list[N]:
    try:
        return list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible as error:
        raise CycleError(find_cycle(graph.edges) or []) from error


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _centred(column: list[N]) -> Iterable[tuple[float, N]]:
    offset = (len(column) - 1) / 2
    return ((n - offset, node) for n, node in enumerate(column))
