"""What a run is to dbt: one invocation, however many sessions execute it."""

import uuid
from collections.abc import Collection
from typing import Any

from nodes.expansion import FlowPlan

#: Of a bare `dbt build`; hooks see it where the nodes of a flow do not agree.
BARE: dict[str, Any] = {
    "which": "build", "select": [], "exclude": [], "indirect_selection": "eager", "full_refresh": False,
}  # fmt: skip


def invocation_of(plan: FlowPlan, reused: Collection[str]) -> dict[str, Any]:
    """The invocation of a plan, as a session takes it; `started_at` comes with the run.

    In: keys of what a rerun takes over.
    """
    steps = {
        str(pk): {**expanded.command, "full_refresh": plan.nodes[pk].full_refresh}
        for pk, expanded in plan.expanded.items()
        if expanded.command
    }
    taken_over = {
        unique_id
        for row in plan.order.rows
        if row.key in reused
        for unique_id in (*([row.spec.unique_id] if row.spec.builds else ()), *row.spec.tests)
    }
    selected = {unique_id for expanded in plan.expanded.values() for unique_id in expanded.selected} - taken_over
    return {
        "id": str(uuid.uuid4()),
        "selected": sorted(_again(plan, selected, reused) if reused else selected),
        "steps": steps,
        "hooks": _shared(list(steps.values())),
    }


def _again(plan: FlowPlan, selected: Collection[str], reused: Collection[str]) -> list[str]:
    """What of a selection a rerun selects: exposures and saved queries, which are no tasks, only below what runs."""
    running = {table.unique_id for row in plan.order.rows if row.key not in reused for table in row.spec.makes}
    parents = plan.manifest.parents

    def is_below(unique_id: str) -> bool:
        seen: set[str] = set()
        wave = set(parents.get(unique_id, ()))
        while wave and not wave & running:
            seen |= wave
            wave = {up for each in wave for up in parents.get(each, ())} - seen
        return bool(wave)

    return [key for key in selected if not key.startswith(("exposure.", "saved_query.")) or is_below(key)]


def _shared(commands: list[dict[str, Any]]) -> dict[str, Any]:
    """What all nodes have in common: hooks run once a run. Where they differ, as in a bare `dbt build`."""
    if not commands:
        return dict(BARE)
    first = commands[0]
    alike = {name: value for name, value in BARE.items() if all(each[name] == first[name] for each in commands)}
    return {**BARE, **{name: first[name] for name in alike}}
