"""What of a run's graph its page draws: all, the nodes, one node, or what is around one task."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flows.infra.ids import id_of
from runs.models import Run, TaskRun
from runs.pages.run_detail.graph_data import COLLAPSED_FROM, DISTANCE, FURTHEST
from runs.pages.run_detail.table import tasks_of

MOST_FOUND = 30  # tasks that a search lists


def graph_scope(given: Mapping[str, str], run: Run, total: int, task: TaskRun | None) -> dict[str, Any]:
    """For the template: what is drawn, and `graph_query`, the query of the address of the graph.

    In: of an address, `node`, `near` (id of a task) and `distance`, `find` (words of a task's name) or `all`; of a
    large run (`total` tasks) that none of them narrows the nodes are drawn. `task`: the one whose panel is open.
    """
    node, find = given.get("node"), given.get("find", "").replace("\0", "").strip()[:200]
    tasks = tasks_of(run).order_by("position")
    pk = id_of(given.get("near", ""))
    near = tasks.filter(pk=pk).first() if pk is not None else None
    matches: list[TaskRun] = []
    if find and near is None:
        matches = list(tasks.filter(identifier__icontains=find)[: MOST_FOUND + 1])
        near = next((row for row in matches if row.identifier == find or len(matches) == 1), None)
    distance = _distance(given.get("distance", ""))
    collapsed = near is None and is_collapsed(given, total)
    query: dict[str, Any] = {}
    if collapsed:
        query = {"nodes": "1"}
    elif near is not None:
        query = {"near": near.pk, "distance": distance}
    elif node is not None:
        query = {"node": node}
    if task is not None:
        query["chosen"] = task.pk
    return {
        "node": node,
        "near": near,
        "distance": distance,
        "furthest": FURTHEST,
        "find": find,
        "found": matches[:MOST_FOUND] if near is None else [],
        "found_more": len(matches) > MOST_FOUND,
        "collapsed": collapsed,
        "graph_query": urlencode(query),
        "nodes": list(dict.fromkeys(tasks.values_list("node_name", flat=True))),
    }


def is_collapsed(given: Mapping[str, str], total: int) -> bool:
    """Whether of a run with so many tasks the nodes alone are drawn, as long as nothing is looked for."""
    return total > COLLAPSED_FROM and not any(given.get(name) for name in ("node", "near")) and "all" not in given


def _distance(text: str) -> int:
    distance = int(text) if text.isdecimal() and len(text) < 3 else DISTANCE
    return min(max(distance, 1), FURTHEST)
