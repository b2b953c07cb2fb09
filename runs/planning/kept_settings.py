"""What a rerun keeps of the run that it repeats: full refresh, the window of microbatch models, and their batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from nodes.expansion import FlowPlan
from runs.models import Run
from runs.planning.rerun_decisions import Decision
from runs.states import DONE

FullRefresh = Literal["same", "yes", "no"]
Window = Literal["failed", "whole", "now"]
FULL_REFRESH: tuple[FullRefresh, ...] = get_args(FullRefresh)
WINDOWS: tuple[Window, ...] = get_args(Window)


@dataclass(frozen=True)
class Choice:
    """What somebody chose in the dialog of a rerun: as the first try was, unless it says otherwise.

    `window`: only the batches that were not built, all of the first try's window, or the window that a new run has.
    """

    full_refresh: FullRefresh = "same"
    window: Window = "failed"

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "Choice":
        """The choice that a run's scope keeps."""
        refresh, window = scope.get("full_refresh", "same"), scope.get("window", "failed")
        return cls(
            refresh if refresh in FULL_REFRESH else "same",
            window if window in WINDOWS else "failed",
        )


@dataclass
class Repeated:
    """What the tasks of a plan are given besides what their nodes say. Of a run that repeats none: nothing."""

    full_refresh: dict[int, bool] = field(default_factory=dict)  # by node
    since: dict[str, str] = field(default_factory=dict)  # by key: when the run began whose window it has
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)  # by key

    def spec_of(self, key: str) -> dict[str, Any]:
        """What of it goes into the spec of a task."""
        settings: dict[str, Any] = {"since": self.since[key]} if key in self.since else {}
        return {**settings, "batches": self.batches[key]} if key in self.batches else settings


def repeated(basis: Run, plan: FlowPlan, decisions: Mapping[str, Decision], choice: Choice) -> Repeated:
    """What a rerun of `basis` keeps. In: what it does with each task."""
    repeats = Repeated()
    rows = {
        key: (state, spec, result)
        for key, state, spec, result in basis.task_runs.values_list("unique_id", "state", "spec", "result")
    }
    first = {
        node: bool(spec["full_refresh"])
        for node, spec in basis.task_runs.values_list("node", "spec")
        if "full_refresh" in spec
    }
    for pk, node in plan.nodes.items():
        same = first.get(pk, node.full_refresh)
        repeats.full_refresh[pk] = same if choice.full_refresh == "same" else choice.full_refresh == "yes"
    if choice.window == "now":
        return repeats
    again = _rebuilt_above(plan, decisions, {key for key, (state, _, _) in rows.items() if state in DONE})
    for row in plan.order.rows:
        state, spec, result = rows.get(row.key, ("", {}, {}))
        repeats.since[row.key] = spec.get("since") or _text(basis.started_at)
        kept = result.get("batches") or spec.get("batches")
        refreshes = repeats.full_refresh[row.node_id]
        if not kept or (refreshes and not spec.get("full_refresh")):
            continue  # its window is computed anew, from when the first try began
        whole = choice.window == "whole" or state in DONE or row.key in again
        repeats.batches[row.key] = {
            "incremental": not refreshes,
            "rows": [{**batch, "status": "" if whole else batch.get("status")} for batch in kept["rows"]],
        }
    return repeats


def _rebuilt_above(plan: FlowPlan, decisions: Mapping[str, Decision], done: set[str]) -> set[str]:
    """What is below something that had succeeded and runs again: batches that were built of it are old."""
    below: dict[str, list[str]] = {}
    for up, down in plan.order.edges:
        below.setdefault(up, []).append(down)
    hooks = {row.key for row in plan.order.rows if row.spec.resource_type == "hook"}
    wave = [key for key, decision in decisions.items() if decision.runs and key in done and key not in hooks]
    reached: set[str] = set()
    while wave:
        for down in below.get(wave.pop(), ()):
            if down not in reached:
                reached.add(down)
                wave.append(down)
    return reached


def _text(at: datetime | None) -> str:
    return at.isoformat() if at else ""
