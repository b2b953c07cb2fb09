"""The order of a flow's tasks: who builds what, where each test belongs, and what waits for what. Pure.

The rules are design rules 1-6: one task a resource, refs across nodes, order kept through what was not
selected, links through gates, no cycles, tests as `dbt build` orders them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nodes import graph
from nodes.dbt.manifest import Manifest
from nodes.tasks import TaskSpec

GATE, HOOK = "gate", "hook"
ON_RUN_START, ON_RUN_END = "on-run-start", "on-run-end"


class CycleError(Exception):
    """The flow cannot be ordered; the message names the circle."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        super().__init__("These wait for each other in a circle: " + " -> ".join(self.names))


@dataclass(frozen=True)
class ExpandedNode:
    """One node of a flow, expanded."""

    id: int
    name: str
    position: int
    specs: tuple[TaskSpec, ...]
    builds: bool = True  # False: a node that only tests; its tests block nothing, as in `dbt test`


@dataclass(frozen=True)
class Row:
    """One task of the ordered flow. `node_id`: the node that executes it."""

    key: str
    node_id: int
    spec: TaskSpec
    waits_for: str = "success"


@dataclass
class Order:
    """The ordered flow: rows in an order in which they may run, and what waits for what (keys)."""

    rows: list[Row] = field(default_factory=list)
    edges: set[tuple[str, str]] = field(default_factory=set)
    built_by: dict[tuple[int, str], int] = field(default_factory=dict)  # (node, key) -> node that builds it
    layers: dict[str, int] = field(default_factory=dict)
    implied: set[tuple[str, str]] = field(default_factory=set)  # the edges that refs and tests give, without links


def order(
    nodes: Sequence[ExpandedNode], links: Iterable[tuple[int, int]], manifest: Manifest, hooks: Collection[str] = ()
) -> Order:
    """Order the tasks of a flow.

    In: expanded nodes, links as (node, node), the manifest they were expanded on, and which hooks the project
    has (ON_RUN_START, ON_RUN_END), for each of which a row is added. Raises CycleError, naming nodes where
    links alone make the circle and tasks and nodes where refs take part.
    """
    links = sorted(set(links))
    nodes = _in_order(nodes, links)
    result = Order()
    owner: dict[str, int] = {}
    for node in nodes:
        for spec in node.specs:
            for maker in spec.makes if spec.runs else ():
                if owner.setdefault(maker.unique_id, node.id) != node.id:
                    result.built_by[node.id, maker.key] = owner[maker.unique_id]
                    if all((node.id, other.key) in result.built_by for other in spec.makes):
                        result.built_by[node.id, spec.key] = owner[maker.unique_id]
    built = {
        s.unique_id: (node, left)
        for node in nodes
        for s in node.specs
        if s.runs and not _is_test(s) and (left := _left(s, node, owner)) is not None
    }
    tests = [
        (node, s) for node in nodes for s in node.specs if s.runs and _is_test(s) and owner[s.unique_id] == node.id
    ]
    rows, edges = _place(nodes, built, tests, manifest)
    result.implied = set(edges)
    _link(rows, edges, nodes, links, built)
    _hooks(rows, edges, hooks, nodes)
    cycle = graph.find_cycle(edges)
    if cycle:
        names = {node.id: node.name for node in nodes}
        named = [f"{rows[key].spec.identifier} ({names[rows[key].node_id]})" for key in cycle]
        raise CycleError([name for n, name in enumerate(named) if n == 0 or name != named[n - 1]])
    result.layers = graph.layers(list(rows), edges)
    rank = {node.id: number for number, node in enumerate(nodes)}
    result.rows = sorted(rows.values(), key=lambda row: (result.layers[row.key], rank.get(row.node_id, 0), row.key))
    result.edges = edges
    return result


def _left(spec: TaskSpec, node: ExpandedNode, owner: Mapping[str, int]) -> TaskSpec | None:
    """What of a spec no earlier node makes; None when that is nothing."""
    left = tuple(maker for maker in spec.makes if owner[maker.unique_id] == node.id)
    return (replace(spec, parts=left) if spec.parts else spec) if left else None


def _makers(built: Mapping[str, tuple[ExpandedNode, TaskSpec]]) -> dict[str, str]:
    """Unique id of what is made -> key of the task that makes it, which is the same but for tasks with parts."""
    return {maker.unique_id: key for key, (_, spec) in built.items() for maker in spec.makes}


def _is_test(spec: TaskSpec) -> bool:
    return spec.resource_type in ("test", "unit_test")


def _in_order(nodes: Sequence[ExpandedNode], links: Sequence[tuple[int, int]]) -> list[ExpandedNode]:
    """By links first, then by position: the first node with a model is the one that builds it."""
    by_id = {node.id: node for node in nodes}
    inside = {(up, down) for up, down in links if up in by_id and down in by_id}
    cycle = graph.find_cycle({(str(up), str(down)) for up, down in inside})
    if cycle:
        raise CycleError([by_id[int(pk)].name for pk in cycle])
    waits = {node.id: {up for up, down in inside if down == node.id} for node in nodes}
    ordered: list[ExpandedNode] = []
    left = sorted(nodes, key=lambda node: (node.position, node.id))
    while left:
        done = {node.id for node in ordered}
        following = next(node for node in left if waits[node.id] <= done)
        ordered.append(following)
        left.remove(following)
    return ordered


def _place(
    nodes: Sequence[ExpandedNode],
    built: Mapping[str, tuple[ExpandedNode, TaskSpec]],
    tests: Sequence[tuple[ExpandedNode, TaskSpec]],
    manifest: Manifest,
) -> tuple[dict[str, Row], set[tuple[str, str]]]:
    """Give each test to the task it belongs to, or a row of its own; then draw the edges that refs imply.

    `dbt build` (add_test_edges in dbt/compilation.py) makes a model wait for a test when all parents of the
    test are its ancestors. A test whose parents all lie upstream of one task, that task included, therefore
    blocks just what is downstream of this task: it runs as part of it. Other tests are rows of their own.
    """
    attached: dict[str, list[str]] = defaultdict(list)
    unit: dict[str, list[str]] = defaultdict(list)
    alone: dict[str, tuple[ExpandedNode, TaskSpec]] = {}
    only_tests: dict[tuple[int, str], list[str]] = defaultdict(list)
    reach: graph.Reach | None = None  # only tests with several parents need it

    for node, spec in tests:
        parents = manifest.parents.get(spec.unique_id, ())
        hosts = [p for p in parents if p in built and built[p][0].id == node.id]
        if spec.resource_type == "unit_test" and hosts:
            unit[hosts[0]].append(spec.unique_id)
            continue
        host = hosts[0] if len(parents) == 1 and hosts else None
        if host is None and hosts:
            reach = reach or _reach(manifest)
            host = next((h for h in hosts if reach.is_below(h, parents)), None)
        if host is not None:
            attached[host].append(spec.unique_id)
        elif parents and (len(parents) == 1 or not node.builds):
            only_tests[node.id, parents[0]].append(spec.unique_id)
        else:
            alone[spec.unique_id] = (node, spec)

    rows: dict[str, Row] = {}
    for unique_id, (node, spec) in built.items():
        full = replace(spec, tests=tuple(attached[unique_id]), unit_tests=tuple(unit[unique_id]))
        rows[unique_id] = Row(unique_id, node.id, full)
    for unique_id, (node, spec) in alone.items():
        rows[unique_id] = Row(unique_id, node.id, replace(spec, tests=(unique_id,), builds=False))
    maker = _makers(built)
    kept = graph.contract(manifest.children, set(rows) | set(maker), _topological(manifest))
    edges = {(maker.get(up, up), maker.get(down, down)) for up, down in kept}
    building = {node.id for node in nodes if node.builds}
    if alone or only_tests:
        reach = reach or _reach(manifest)
        tasks = reach.mask(built)
    for unique_id, (node, _) in alone.items():
        parents = manifest.parents.get(unique_id, ())
        if node.builds and parents and reach:
            edges |= {(unique_id, down) for down in reach.first_below(parents, tasks)}
    for (node_id, model), ids in only_tests.items():
        key, row = _tests_of(node_id, model, ids, manifest)
        rows[key] = row
        waits = {p for test in ids for p in manifest.parents.get(test, ())}
        edges |= {(maker[up], key) for up in _nearest(manifest.parents, waits, maker)}
        if node_id in building and reach:
            edges |= {(key, down) for down in reach.first_below([model], tasks)}
    return rows, edges


def _nearest(parents: Mapping[str, Collection[str]], start: Iterable[str], stop: Collection[str]) -> set[str]:
    """The first members of `stop` met from `start` (included) upwards."""
    nearest: set[str] = set()
    seen: set[str] = set()
    wave = set(start)
    while wave:
        seen |= wave
        nearest |= {unique_id for unique_id in wave if unique_id in stop}
        wave = {up for unique_id in wave - nearest for up in parents.get(unique_id, ())} - seen
    return nearest


def _topological(manifest: Manifest) -> list[str]:
    """The resources of a manifest, each before its children; found once and kept with it."""
    if (memo := manifest.memo.get("topological")) is None:
        memo = manifest.memo["topological"] = graph.topological(manifest.children)
    sequence: list[str] = memo
    return sequence


def _reach(manifest: Manifest) -> graph.Reach:
    """Who lies below whom, without the tests: nothing lies below those. Found once and kept with the manifest."""
    if (memo := manifest.memo.get("reach")) is None:
        resources = manifest.resources
        memo = manifest.memo["reach"] = graph.Reach(
            {
                up: [down for down in downs if resources[down].resource_type not in ("test", "unit_test")]
                for up, downs in manifest.children.items()
            }
        )
    reach: graph.Reach = memo
    return reach


def _tests_of(node_id: int, model: str, ids: Sequence[str], manifest: Manifest) -> tuple[str, Row]:
    """A row that only tests a model (or source) which this node does not build."""
    resource = manifest.resources.get(model)
    key = f"tests:{node_id}:{model or ids[0]}"
    unit = tuple(i for i in ids if manifest.resources[i].resource_type == "unit_test")
    spec = TaskSpec(
        key=key,
        unique_id=model or ids[0],
        identifier=resource.identifier if resource else manifest.resources[ids[0]].identifier,
        resource_type="test",
        tags=tuple(resource.tags) if resource else (),
        path=resource.path if resource else "",
        tests=tuple(i for i in ids if i not in unit),
        unit_tests=unit,
        builds=False,
    )
    return key, Row(key, node_id, spec)


def _link(
    rows: dict[str, Row],
    edges: set[tuple[str, str]],
    nodes: Sequence[ExpandedNode],
    links: Sequence[tuple[int, int]],
    built: Mapping[str, tuple[ExpandedNode, TaskSpec]],
) -> None:
    """Links: all of A before anything of B, through one gate where that needs fewer arrows."""
    by_id = {node.id: node for node in nodes}
    members: dict[int, set[str]] = {node.id: {k for k, row in rows.items() if row.node_id == node.id} for node in nodes}
    maker = _makers(built)
    for node in nodes:  # what A selected but another node builds must be done too before B starts
        selected = (table.unique_id for s in node.specs if s.runs for table in s.makes)
        members[node.id] |= {key for unique_id in selected if (key := maker.get(unique_id, unique_id)) in rows}
    executed = {row.node_id for row in rows.values()}
    outgoing: dict[str, set[str]] = defaultdict(set)
    incoming: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        outgoing[a].add(b)
        incoming[b].add(a)
    for up, down in _bridged([(up, down) for up, down in links if up in by_id and down in by_id], executed):
        last = {key for key in members[up] if not outgoing[key] & members[up]}
        own = {key for key in members[down] if rows[key].node_id == down}
        first = {key for key in own if not incoming[key] & own}
        if last & first:
            raise CycleError([by_id[up].name, by_id[down].name, by_id[up].name])
        if len(last) * len(first) <= len(last) + len(first):
            edges |= {(a, b) for a in last for b in first}
            continue
        gate = f"gate:{up}"
        name = f"after {by_id[up].name}"
        rows[gate] = Row(gate, up, TaskSpec(gate, gate, name, GATE))
        edges |= {(a, gate) for a in last} | {(gate, b) for b in first}


def _bridged(links: Sequence[tuple[int, int]], executed: Collection[int]) -> list[tuple[int, int]]:
    """The links, and those that lead past nodes that execute nothing: A before an empty node before B is A before B."""
    before: dict[int, set[int]] = defaultdict(set)
    for up, down in links:
        before[down].add(up)
    bridged = set(links)
    for down in before:
        left, seen = list(before[down]), set()
        while left:
            up = left.pop()
            if up in seen:
                continue
            seen.add(up)
            bridged.add((up, down))
            if up not in executed:
                left += before.get(up, ())
    return sorted(bridged)


def _hooks(
    rows: dict[str, Row], edges: set[tuple[str, str]], hooks: Collection[str], nodes: Sequence[ExpandedNode]
) -> None:
    """on-run-start before everything, on-run-end after everything, once a run, where the project has them."""
    if not rows:
        return
    ups = {down for _, down in edges}
    downs = {up for up, _ in edges}
    roots = [key for key in rows if key not in ups]
    leaves = [key for key in rows if key not in downs]
    node = nodes[0].id
    if ON_RUN_START in hooks:
        rows[ON_RUN_START] = Row(ON_RUN_START, node, TaskSpec(ON_RUN_START, ON_RUN_START, ON_RUN_START, HOOK))
        edges |= {(ON_RUN_START, root) for root in roots}
    if ON_RUN_END in hooks:
        rows[ON_RUN_END] = Row(ON_RUN_END, node, TaskSpec(ON_RUN_END, ON_RUN_END, ON_RUN_END, HOOK), waits_for="end")
        edges |= {(leaf, ON_RUN_END) for leaf in leaves}
