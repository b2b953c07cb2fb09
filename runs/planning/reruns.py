"""Repeating a run: what would run again and what is reused, and the new run that does it."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Min

from flows.access import require
from flows.models import Flow, Revision
from nodes import ordering
from nodes.dbt.selectors.state import Comparison
from nodes.dbt.selectors.values import SelectorError
from nodes.dbt.stored_manifests import manifest_of
from nodes.expansion import FlowError, FlowPlan, plan_flow
from runs.engine.recorded import Batch, batches_of
from runs.models import Dependency, Run, TaskRun, Trigger
from runs.planning.estimates import expected_seconds
from runs.planning.kept_settings import Choice
from runs.planning.rerun_decisions import MODES, NOT_DONE, Decision, Mode, Scope, decisions
from runs.planning.usual import usual_seconds
from runs.services import RunError, start_run
from runs.states import DONE, RUN_ACTIVE, TaskState

SAMPLE = 10  # latest successes of a task that say how long it usually takes
NEWEST, SAME = "newest", "same"
AS_IT_WAS = Choice()


def basis_of(run: Run) -> Run:
    """The run whose results a rerun of `run` builds on: itself, or, if it never got a plan, what it repeats."""
    seen = run
    while seen.retry_of is not None and not seen.task_runs.exists():
        seen = seen.retry_of
    return seen


def done_in(run: Run) -> dict[str, str]:
    """key -> why it counts as done: what succeeded in a run, or was reused by it."""
    rows = run.task_runs.filter(state__in=DONE).exclude(kind=ordering.HOOK)
    return {
        key: reason if state == TaskState.REUSED and reason else f"succeeded in run {run.pk}"
        for key, state, reason in rows.values_list("unique_id", "state", "reason")
    }


def changed_between(earlier: Revision | None, now: Revision) -> set[str]:
    """Unique ids whose code is another than in an earlier revision, as dbt's state:modified has it.

    Everything that is new is changed. Without the files of the earlier revision nothing is known, and nothing is
    reused: all of the newer one counts as changed.
    """
    if earlier is None or earlier.key == now.key:
        return set()
    try:
        compare = Comparison(Path(now.manifest_path).read_bytes(), Path(earlier.manifest_path).read_bytes())
        return set(compare.search("modified"))
    except (OSError, SelectorError):
        return set(manifest_of(now).resources)


def changed_tasks(basis: Run, plan: FlowPlan) -> set[str]:
    """The keys of a plan whose code is another than in a run.

    A change of a test is a change of the task that executes it.
    """
    changed = changed_between(basis.revision, plan.revision)
    return {
        row.key
        for row in plan.order.rows
        if row.spec.unique_id in changed
        or changed.intersection(row.spec.tests)
        or changed.intersection(row.spec.unit_tests)
    }


def decide(run: Run, plan: FlowPlan, scope: Scope) -> dict[str, Decision]:
    """What a rerun of `run` does with each task of a plan, by key."""
    basis = basis_of(run)
    rows = plan.order.rows
    keys = changed_tasks(basis, plan)
    hooks = {row.key for row in rows if row.spec.resource_type == ordering.HOOK}
    return decisions((row.key for row in rows), plan.order.edges, done_in(basis), scope, keys, hooks)


@dataclass(frozen=True)
class Foreseen:
    """A task of a rerun before it starts."""

    key: str
    identifier: str
    node: str
    runs: bool
    why: str
    seconds: float | None  # how long it usually takes; None: not known


@dataclass
class Preview:
    """What a rerun would do, and how long it will probably take, in seconds; None where nothing is known."""

    tasks: list[Foreseen] = field(default_factory=list)
    problem: str = ""
    warning: str = ""
    takes: float | None = None

    @property
    def running(self) -> list[Foreseen]:
        """What runs again."""
        return [task for task in self.tasks if task.runs]

    @property
    def reused(self) -> list[Foreseen]:
        """What is reused."""
        return [task for task in self.tasks if not task.runs]

    @property
    def unknown(self) -> int:
        """How many of the tasks that run have never succeeded lately, so that nobody knows how long they take."""
        return sum(task.seconds is None for task in self.running)


def preview(run: Run, scope: Scope, *, revision: str = SAME, plans: dict[int, FlowPlan] | None = None) -> Preview:
    """What a rerun of a run that is over would do: the same revision, or the newest that is known now.

    In: `plans`, where the plan of a flow is kept for further runs of it.
    """
    result = Preview()
    basis = basis_of(run)
    if run.flow is None:
        result.problem = "The flow of this run was deleted."
        return result
    if revision == SAME and basis.task_runs.exists():
        rows = list(basis.task_runs.exclude(kind=ordering.GATE))
        edges = list(Dependency.objects.filter(run=basis).values_list("up__unique_id", "down__unique_id"))
        hooks = {row.unique_id for row in rows if row.kind == ordering.HOOK}
        decided = decisions((row.unique_id for row in rows), edges, done_in(basis), scope, (), hooks)
        usual = usual_seconds(run.flow, [row.unique_id for row in rows])
        ended = _endings(basis)
        result.tasks = [
            Foreseen(
                row.unique_id,
                row.identifier,
                row.node_name,
                v.runs,
                _why(v, row.unique_id, ended),
                usual.get(row.unique_id),
            )
            for row in rows
            for v in [decided[row.unique_id]]
        ]
        result.takes = _takes(run.flow, result, edges)
        return result
    newest = run.flow.environment.current_revision
    if newest is None or not newest.exists_on_disk:
        result.warning = "The project is read when the rerun starts. dex then decides what to run again."
        return result
    if revision == NEWEST:
        result.warning = (
            "The project is read again when the rerun starts. If it changes before then, more tasks may run."
        )
    plans = {} if plans is None else plans
    try:
        plan = plans[run.flow.pk] = plans.get(run.flow.pk) or plan_flow(run.flow, newest)
    except FlowError as error:
        result.problem = str(error)
        return result
    decided = decide(run, plan, scope)
    usual, ended = usual_seconds(run.flow, list(decided)), _endings(basis)
    result.tasks = [
        Foreseen(
            *(row.key, row.spec.identifier, plan.nodes[row.node_id].name),
            *(decided[row.key].runs, _why(decided[row.key], row.key, ended), usual.get(row.key)),
        )
        for row in plan.order.rows
        if row.spec.resource_type != ordering.GATE
    ]
    result.takes = _takes(run.flow, result, plan.order.edges)
    return result


def _endings(basis: Run) -> dict[str, str]:
    """key -> how it ended in the run that is repeated, in words: "failed", "skipped: upstream broken failed"."""
    rows = basis.task_runs.exclude(state__in=DONE)
    columns = rows.values_list("unique_id", "state", "reason", "result__batches")
    return {key: _ending(state, why, batches_of(kept)) for key, state, why, kept in columns}


def _ending(state: str, why: str, batches: list[Batch]) -> str:
    if state == TaskState.SKIPPED and why:
        return f"{state}: {why}"
    left = sum(batch.state != TaskState.SUCCEEDED for batch in batches)
    return f"{state}: {left} of {len(batches)} batches not built" if left else state


def _why(decision: Decision, key: str, ended: Mapping[str, str]) -> str:
    """Why a task runs again; of what did not succeed, how it ended, if it was there at all."""
    return ended.get(key, "it is new") if decision.why == NOT_DONE else decision.why


def _takes(flow: Flow, shown: Preview, edges: Iterable[tuple[str, str]]) -> float | None:
    """How long it will probably take: what starts it, and then the tasks that run, on the environment's threads."""
    pairs = list(edges)
    seconds: dict[str, float | None] = {task.key: task.seconds for task in shown.running}
    reused = {task.key for task in shown.reused}
    for key in dict.fromkeys(key for pair in pairs for key in pair if key not in reused):
        seconds.setdefault(key, 0.0)  # a gate
    work = expected_seconds(seconds, pairs, flow.environment.threads)
    return None if work is None else work + usual_lead(flow)


def usual_lead(flow: Flow) -> float:
    """Median seconds between the start of one of the flow's last runs and that of its first task."""
    runs = Run.objects.filter(flow=flow, started_at__isnull=False).order_by("-pk").values_list("pk", flat=True)[:SAMPLE]
    rows = TaskRun.objects.filter(run__in=list(runs), started_at__isnull=False).exclude(kind=ordering.GATE)
    first = rows.order_by().values_list("run", "run__started_at").annotate(first=Min("started_at"))
    took = [max((begun - start).total_seconds(), 0.0) for _, start, begun in first]
    return statistics.median(took) if took else 0.0


def rerun(
    run: Run,
    *,
    actor: str,
    user: AbstractBaseUser | None = None,
    keys: Iterable[str] = (),
    mode: Mode | None = None,
    revision: str = SAME,
    parameters: Mapping[str, Any] | None = None,
    choice: Choice = AS_IT_WAS,
    key: str | None = None,
) -> Run:
    """Open a run that repeats `run`: what succeeded is reused unless the scope says otherwise.

    In: `keys` and `mode` as in `rerun_decisions.Scope` (keys alone: "selected"); `revision`, SAME or NEWEST;
    `parameters`, if not those of `run`; `choice`, full refresh and window, if not those of `run`; `key`, an
    idempotency key. Raises RunError when the run is not over, has no flow any more, is being repeated already, or has
    nothing to repeat;
    flows.parameters.ParameterError.
    """
    require("runs.add_run")
    chosen = sorted(set(keys))
    scope = Scope(mode or ("selected" if chosen else "failed"), frozenset(chosen))
    check_rerun(run, scope, revision)
    kept = {"mode": scope.mode, "keys": chosen, "revision": revision}
    if choice != AS_IT_WAS:
        kept |= {"full_refresh": choice.full_refresh, "window": choice.window}
    with transaction.atomic():
        # Takes the row of the run: of many who ask at once, one opens the rerun and the others are told of it.
        Run.objects.select_for_update().get(pk=run.pk)
        if key and (existing := Run.objects.filter(key=key).first()):
            return existing
        going = Run.objects.filter(retry_of=run.pk, state__in=RUN_ACTIVE).order_by("pk").first()
        if going is not None:
            raise RunError(f"Run {going.pk} already reruns this run{_by(going)}.")
        return start_run(
            run.flow,  # type: ignore[arg-type]  # _check has seen it
            trigger=Trigger.RERUN,
            actor=actor,
            user=user,
            key=key,
            parameters=run.parameters if parameters is None else parameters,
            retry_of=run,
            scope=kept,
        )


def _by(run: Run) -> str:
    return f", started by {run.triggered_by}" if run.triggered_by else ""


def check_rerun(run: Run, scope: Scope, revision: str) -> None:
    """Refuse what cannot be repeated, or not so. Raises RunError, which says why."""
    if scope.mode not in MODES or revision not in (SAME, NEWEST):
        raise RunError("Choose what to run again and on which revision.")
    if not run.is_over:
        raise RunError("This run has not finished. Cancel it, or wait for it to finish.")
    if run.flow is None:
        raise RunError("The flow of this run was deleted.")
    basis = basis_of(run)
    unique_ids = set(basis.task_runs.values_list("unique_id", flat=True))
    if scope.mode in ("here", "selected") and not scope.keys:
        raise RunError("Choose the tasks to run again.")
    if unknown := sorted(scope.keys - unique_ids):
        raise RunError(f"This run has no task {', '.join(unknown)}.")
    failed = basis.task_runs.exclude(state__in=DONE).exists()
    if scope.mode == "failed" and revision == SAME and unique_ids and not failed:
        raise RunError("Everything in this run succeeded. Choose the tasks to run again.")
