"""What the command executor may run in one process of dbt: tasks of a lane, and what each waits for."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from nodes.ordering import GATE, HOOK
from runs.models import Dependency, Lane, TaskRun
from runs.states import DONE, TaskState


def order_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What dbt is to execute for one task, as `execute` and a plan take it. In: the spec of a task run."""
    is_test = spec["unique_id"] in spec["tests"]  # a test between models is the resource itself
    return {
        "unique_id": spec["unique_id"],
        "unit_tests": spec["unit_tests"],
        "tests": [] if is_test else spec["tests"],
        "run_model": spec["builds"] or is_test,
        "full_refresh": spec["full_refresh"],
        "threads": spec.get("threads"),
    }


def plan_of(lane: Lane) -> list[dict[str, Any]]:
    """All of a lane that may still run without anybody's help, in an order in which it may run.

    Each item names what it waits for by the key of that item: `needs`, which dbt itself keeps to, being of the same
    node, and `after`, which may come from links alone. What waits for something else than dbt names a key that no
    item has. Tasks of a pool are not planned: a slot has to be taken first.
    """
    open_states = [TaskState.PENDING, TaskState.QUEUED]
    waiting = TaskRun.objects.filter(lane=lane, state__in=open_states, not_before=None, pool="").exclude(kind=HOOK)
    edges = Dependency.objects.filter(run=lane.run_id).exclude(up__state__in=DONE).exclude(up__kind=HOOK)
    nodes = dict(TaskRun.objects.filter(run=lane.run_id).values_list("pk", "node"))
    ups: dict[int, list[int]] = defaultdict(list)
    gates: set[int] = set()
    for down, up, kind in edges.values_list("down", "up", "up__kind"):
        ups[down].append(up)
        gates |= {up} if kind == GATE else set()
    items = []
    for row in waiting.order_by("position", "pk").only("pk", "node", "spec"):
        direct = [up for up in ups[row.pk] if up not in gates]
        behind = [up for gate in ups[row.pk] if gate in gates for up in ups[gate]]
        needs = [str(up) for up in direct if nodes[up] == row.node_id]
        after = [str(up) for up in (*direct, *behind) if nodes[up] != row.node_id or up in behind]
        items.append({**order_of(row.spec), "key": str(row.pk), "needs": needs, "after": after})
    return items
