"""The graph of a run as data: the run's own tasks and dependencies, as they were planned, with their states.

Either the nodes of the flow, each as one card, or tasks: all, those of one node, or those around one task.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from nodes import graph
from nodes.ordering import GATE
from runs.models import Dependency, Run, TaskRun
from runs.pages.run_detail.summary import ORDER
from runs.states import TaskState

MOST_DRAWN = 5000
DISTANCE, FURTHEST = 2, 8  # from the task that a neighbourhood is about
COLLAPSED_FROM = 60  # tasks; a smaller run is drawn whole
CARD = (220.0, 40.0)  # as frontend/graph/lineage/place.js has it
GAP = (60.0, 16.0)
FIRST = (TaskState.FAILED, TaskState.RUNNING, TaskState.WAITING, TaskState.QUEUED)


def graph_data(
    run: Run,
    *,
    nodes: bool = False,
    node: str | None = None,
    near: int | None = None,
    distance: int = DISTANCE,
    chosen: int | None = None,
) -> dict[str, Any]:
    """The graph: {"nodes": [...], "edges": [(up, down)], "more": number left out}, as the graph component draws it.

    In: `nodes`, one card a node; `node`, the tasks of the node of this name alone; `near`, the id of a task, those at
    most `distance` away from it; `chosen`, the id of the task at which the drawing begins where it is too large.
    """
    rows = {row.pk: row for row in TaskRun.objects.filter(run=run).only(*_COLUMNS)}
    pairs = list(Dependency.objects.filter(run=run).values_list("up_id", "down_id"))
    tasks = {pk for pk, row in rows.items() if row.kind != GATE}
    if nodes:
        return _nodes(run, rows, pairs)
    if near is not None and near in tasks:
        kept = _around(near, _without_gates(pairs, tasks, rows), distance)
    elif node is not None:
        kept = {pk for pk in tasks if rows[pk].node_name == node}
    else:
        kept = tasks
    drawn = sorted(kept, key=lambda pk: rows[pk].position)[:MOST_DRAWN]
    edges = sorted(graph.contract(_children(pairs, rows), set(drawn)))
    places = graph.positions(drawn, edges, *CARD, GAP)
    begin = chosen if chosen in kept else near
    return {
        "nodes": [_task(rows[pk], places[pk], _address(run, pk, node, near, distance), pk == begin) for pk in drawn],
        "edges": [(str(up), str(down)) for up, down in edges],
        "more": len(kept) - len(drawn),
        "kind": "tasks",
    }


_COLUMNS = ("pk", "kind", "identifier", "resource_type", "state", "node_name", "position", "run_id")


def _children(pairs: Iterable[tuple[int, int]], rows: Collection[int]) -> dict[int, set[int]]:
    children: dict[int, set[int]] = {pk: set() for pk in rows}
    for up, down in pairs:
        children[up].add(down)
    return children


def _without_gates(pairs: list[tuple[int, int]], tasks: set[int], rows: Collection[int]) -> set[tuple[int, int]]:
    return graph.contract(_children(pairs, rows), tasks)


def _around(near: int, edges: set[tuple[int, int]], distance: int) -> set[int]:
    up: dict[int, set[int]] = {}
    down: dict[int, set[int]] = {}
    for a, b in edges:
        up.setdefault(b, set()).add(a)
        down.setdefault(a, set()).add(b)
    return {near} | graph.ancestors(up, [near], distance) | graph.descendants(down, [near], distance)


def _address(run: Run, pk: int, node: str | None, near: int | None, distance: int) -> str:
    """The page with the panel of a task, and the same graph."""
    shown: dict[str, Any] = {"tab": "graph", "task": pk}
    if near is not None:
        shown |= {"near": near, "distance": distance}
    else:
        shown |= {"node": node} if node is not None else {"all": ""}
    return f"{reverse('runs:run', args=[run.pk])}?{urlencode(shown)}"


def _task(row: TaskRun, place: tuple[float, float], url: str, chosen: bool) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.identifier,
        "type": row.resource_type or row.kind,
        "state": row.state,
        "x": place[0],
        "y": place[1],
        "url": url,
        "chosen": chosen,
    }


def _nodes(run: Run, rows: dict[int, TaskRun], pairs: list[tuple[int, int]]) -> dict[str, Any]:
    names = list(dict.fromkeys(row.node_name for row in sorted(rows.values(), key=lambda row: row.position)))
    states: dict[str, Counter[str]] = {name: Counter() for name in names}
    for row in rows.values():
        if row.kind != GATE:
            states[row.node_name][row.state] += 1
    edges = {
        (rows[up].node_name, rows[down].node_name) for up, down in pairs if rows[up].node_name != rows[down].node_name
    }
    circle = graph.find_cycle(edges)
    while circle:  # models of two nodes may lie between each other's; such an arrow says nothing here
        edges -= set(pairwise(circle))
        circle = graph.find_cycle(edges)
    places = graph.positions(names, sorted(edges), *CARD, GAP)
    here = reverse("runs:run", args=[run.pk])
    return {
        "nodes": [
            {
                "id": name,
                "name": f"{name} ({sum(states[name].values())})",
                "type": "model",
                "state": node_state(states[name]),
                "x": places[name][0],
                "y": places[name][1],
                "url": f"{here}?{urlencode({'tab': 'graph', 'node': name})}",
                "chosen": False,
            }
            for name in names
        ],
        "edges": sorted(edges),
        "more": 0,
        "kind": "nodes",
    }


def node_state(counts: Counter[str]) -> str:
    """The state that a node is shown in: the most telling one of its tasks."""
    return next((str(state) for state in ORDER if counts[state]), str(TaskState.PENDING))


def states_of(run: Run, task_ids: Collection[int] | None = None) -> dict[str, str]:
    """State by id of the cards: tasks by their id, nodes by their name; `task_ids`: those alone, and all nodes."""
    rows = TaskRun.objects.filter(run=run).exclude(kind=GATE).values_list("pk", "node_name", "state")
    nodes: dict[str, Counter[str]] = {}
    states: dict[str, str] = {}
    for pk, name, state in rows:
        nodes.setdefault(name, Counter())[state] += 1
        if task_ids is None or pk in task_ids:
            states[str(pk)] = state
    return states | {name: node_state(counts) for name, counts in nodes.items()}
