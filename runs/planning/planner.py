"""Turns a flow, now, into the task runs and dependencies of a run."""

import logging
import threading
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db import connection as own_connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from flows.infra.log_context import about
from flows.models import Flow, Revision
from flows.retry_policy import kind_of, lines_of
from nodes import kinds, ordering
from nodes.connections.freshness import stale
from nodes.dbt.executors import executor_of
from nodes.expansion import FlowError, FlowPlan, plan_flow, write_tasks
from nodes.models import Node
from nodes.services import sync
from runs import dispatch
from runs.clock import after
from runs.engine import pools
from runs.engine.invocations import invocation_of
from runs.engine.leases import Held, keeper
from runs.engine.release import release
from runs.engine.shutdown import draining
from runs.models import Lane, Run, TaskRun
from runs.planning import reruns
from runs.planning.kept_settings import Choice, Repeated, repeated
from runs.planning.rerun_decisions import Scope
from runs.states import DONE, RUN_OVER, RunState, TaskState
from runs.transitions import move_run, open_task_runs

log = logging.getLogger("dex.planning")
ACTOR = "planner"


def plan_run(run_id: int) -> None:
    """Plan a QUEUED run and let its first tasks go; a run that cannot be planned ends FAILED with the reason.

    Safe to call twice and at once: the plan and the run's move to RUNNING are one transaction, and only one
    planner's move counts. One that takes longer than PLAN_TIMEOUT_S ends FAILED too.
    """
    if draining.is_set():
        dispatch.hand_back("plan_run", run_id)
        return
    held = keeper.hold(Held("plan", run_id, 0, on_lost=lambda: None))
    try:
        if _take(run_id):
            late = threading.Timer(settings.PLAN_TIMEOUT_S, _give_up, [run_id, held])
            late.daemon = True
            late.start()
            try:
                with about(run=run_id):
                    _plan_run(run_id)
            finally:
                late.cancel()
    finally:
        keeper.drop(held)


def _give_up(run_id: int, held: Held) -> None:
    """The time for planning is up: the run fails now; what its planner still does comes too late to count."""
    keeper.drop(held)
    minutes = f"{settings.PLAN_TIMEOUT_S:g} seconds (DEX_PLAN_TIMEOUT_S)"
    try:
        _fail(run_id, f"planning took longer than {minutes}; see its log and the log of dex")
        log.error("planning run %s took longer than %s", run_id, minutes)
    except DatabaseError as error:  # the lease is not renewed any more: another planner tries, with a time of its own
        log.warning("could not fail run %s: %s", run_id, error)
    finally:
        own_connection.close()  # of this thread


def _take(run_id: int) -> bool:
    """Be the planner: a parse takes a while, and a second planner would only wait for the first."""
    free = Q(planner="") | Q(planner_until__lt=Now())
    rows = Run.objects.filter(free, pk=run_id, state=RunState.QUEUED)
    return bool(rows.update(planner=keeper.owner, planner_until=after(settings.LEASE_S)))


def _plan_run(run_id: int) -> None:
    run = Run.objects.select_related("flow__environment__project", "revision", "retry_of").get(pk=run_id)
    try:
        warnings, plan = _plan(run)
    except sync.SyncStopped:  # the run is still queued: another planner takes it
        return
    except (FlowError, sync.SyncError) as error:
        _fail(run_id, str(error))
        return
    except Exception as error:  # a run must end whatever breaks; the trace goes to the system's log
        log.exception("planning run %s", run_id)
        _fail(run_id, f"planning failed: {type(error).__name__}: {error}")
        return
    write_plan(run, plan, warnings)


def _fail(run_id: int, message: str) -> None:
    first = message.strip().splitlines()[0] if message.strip() else "planning failed"
    move_run(run_id, RunState.QUEUED, RunState.FAILED, actor=ACTOR, reason=first, error=message)


def _plan(run: Run) -> tuple[list[str], FlowPlan]:
    if run.flow is None:
        raise FlowError(["The flow was deleted."])
    warnings: list[str] = []
    revision = _same_revision(run)
    if revision is None:
        revision, warnings = _latest(run.flow, run.parameters)
    plan = plan_flow(run.flow, revision, results=_results(run))
    if not plan.order.rows and not run.flow.allow_empty:
        raise FlowError(
            [
                "Nothing to run: the nodes of the flow select no tasks. Add a node, change the selectors, "
                "or select Allow empty in the flow settings."
            ]
        )
    return warnings + plan.warnings + _stale(plan), plan


def _stale(plan: FlowPlan) -> list[str]:
    """Sources that the flow reads, does not load, and that are older than they may be."""
    read = {up for row in plan.order.rows for up in plan.manifest.parents.get(row.spec.unique_id, ())}
    loaded = {table.unique_id for row in plan.order.rows for table in row.spec.makes}
    sources = {unique_id for unique_id in read - loaded if unique_id.startswith("source.")}
    return stale(plan.revision, sources, timezone.now()) if sources else []


def _same_revision(run: Run) -> Revision | None:
    """The revision of the run that is repeated, unless the newest is wanted or there is none."""
    basis = reruns.basis_of(run.retry_of) if run.retry_of else None
    earlier = basis.revision if basis else None
    if basis is None or earlier is None or run.scope.get("revision") == reruns.NEWEST:
        return None
    if not earlier.exists_on_disk:
        message = (
            f"Revision {earlier}, which the first run used, is no longer on disk. Rerun it on the latest revision."
        )
        raise FlowError([message])
    if basis.parameters == run.parameters:
        return earlier
    # The same code and variables, with other parameters.
    variables = {name: value for name, value in earlier.variables.items() if name not in basis.parameters}
    return sync.with_variables(earlier, {**variables, **run.parameters})


def _results(run: Run) -> dict[str, str]:
    """What `result:` looks at: dbt's status of each resource in the last run of the flow that is over."""
    last = Run.objects.filter(flow=run.flow, state__in=RUN_OVER, task_runs__isnull=False).exclude(pk=run.pk)
    results: dict[str, str] = {}
    for state, result, spec in TaskRun.objects.filter(run=last.order_by("-pk").values("pk")[:1]).values_list(
        "state", "result", "spec"
    ):
        unique_id = spec.get("unique_id")
        if unique_id and spec.get("builds"):
            broken_test = result.get("status") == "fail" and any(t["status"] == "fail" for t in result.get("tests", ()))
            status = "success" if broken_test else {"fail": "error"}.get(result.get("status"), result.get("status"))
            results[unique_id] = status or {"succeeded": "success", "skipped": "skipped"}.get(state, "error")
        results |= {test["unique_id"]: test["status"] for test in result.get("tests", ())}
    return results


def _latest(flow: Flow, parameters: dict[str, Any]) -> tuple[Revision, list[str]]:
    """The revision of what the folder holds now; the last good one, with a warning, when that is broken."""
    environment = flow.environment
    try:
        return sync.sync(environment, parameters, stop=draining.is_set), []
    except sync.SyncError as error:
        environment.refresh_from_db()
        last = environment.current_revision
        if last is None or parameters or not last.exists_on_disk:
            raise
        message = f"This run uses the last good revision {last}, because the environment could not be synced. {error}"
        return last, [message]


def write_plan(run: Run, plan: FlowPlan, warnings: list[str]) -> bool:
    """Write the plan as task runs and start the run; False when another planner or a cancel was first."""
    drift = {} if run.retry_of_id else write_tasks(plan, reason="run")
    reused, kept = _reused(run, plan)
    for pk, full_refresh in kept.full_refresh.items():
        plan.nodes[pk].full_refresh = full_refresh
    order = plan.order
    pool = warehouse_pool_of(plan.revision)
    for node in plan.nodes.values():
        if needed := kinds.of(node.kind).pool(node):
            pools.set_slots(needed.name, needed.slots)
    with transaction.atomic():
        if not move_run(
            run.pk,
            RunState.QUEUED,
            RunState.RUNNING,
            actor=ACTOR,
            revision=plan.revision,
            started_at=Now(),
            warnings=warnings,
            drift=drift,
        ):
            return False
        lane = Lane.objects.create(
            run=run,
            revision=plan.revision,
            threads=plan.revision.environment.threads,
            pool=pool,
            executor=executor_of(plan.revision),
            invocation=invocation_of(plan, reused),
        )
        index = {row.key: number for number, row in enumerate(order.rows)}
        open_task_runs(
            [_task_run(run, plan, row, lane, reused, kept, number) for number, row in enumerate(order.rows)],
            [(index[up], index[down]) for up, down in sorted(order.edges)],
            actor=ACTOR,
        )
    release(run.pk)
    return True


def warehouse_pool_of(revision: Revision) -> str:
    """The pool of a warehouse that one process at a time may have open; empty for all others."""
    warehouse = revision.warehouse
    return f"duckdb:{warehouse['path']}" if warehouse.get("type") == "duckdb" else ""


def _reused(run: Run, plan: FlowPlan) -> tuple[dict[str, dict[str, Any]], Repeated]:
    """(key -> result of what a rerun takes over, what the rest keeps of the first try).

    Taken over is what succeeded before, and is not asked for again.
    """
    if run.retry_of is None:
        return {}, Repeated()
    decisions = reruns.decide(run.retry_of, plan, Scope.of(run.scope))
    basis = reruns.basis_of(run.retry_of)
    kept = repeated(basis, plan, decisions, Choice.of(run.scope))
    earlier = basis.task_runs.filter(state__in=DONE).exclude(kind=ordering.HOOK)
    reused = {
        key: {"result": result, "why": decisions[key].why}
        for key, result in earlier.values_list("unique_id", "result")
        if key in decisions and not decisions[key].runs
    }
    return reused, kept


def _task_run(
    run: Run,
    plan: FlowPlan,
    row: ordering.Row,
    lane: Lane,
    reused: dict[str, dict[str, Any]],
    kept: Repeated,
    number: int,
) -> TaskRun:
    node = plan.nodes[row.node_id]
    spec = row.spec
    kind = spec.resource_type if spec.resource_type in (ordering.GATE, ordering.HOOK) else node.kind
    own = kinds.of(node.kind) if kind == node.kind else None
    needed = own.pool(node) if own is not None else None
    is_reused = row.key in reused
    task_run = TaskRun(
        run=run,
        node=node,
        node_name=node.name,
        lane=lane if kind == ordering.HOOK or (own is not None and own.runs_dbt) else None,
        kind=kind,
        unique_id=row.key,
        identifier=spec.identifier,
        resource_type=spec.resource_type,
        position=number,
        waits_for=row.waits_for,
        pool=node.pool or (needed.name if needed else ""),
        warehouse_pool=lane.pool if own is not None and own.opens_warehouse(node) else "",
        spec={}
        if kind == ordering.GATE
        else {**_spec(run.flow, node, spec), **_microbatch(plan, row, kept if kind == node.kind else Repeated())},
        state=TaskState.REUSED if is_reused else TaskState.PENDING,
    )
    if is_reused:
        task_run.result = reused[row.key]["result"]
        task_run.reason = reused[row.key]["why"]
        task_run.ended_at = Now()
    return task_run


def _spec(flow: Flow | None, node: Node, spec: Any) -> dict[str, Any]:
    def first(*values: Any) -> Any:
        return next((value for value in values if value is not None), None)

    own = flow.by_kind.get(kind_of(node.kind, spec.resource_type), {}) if flow else {}
    return {
        "unique_id": spec.unique_id,
        "builds": spec.builds,
        "tests": list(spec.tests),
        "unit_tests": list(spec.unit_tests),
        "step": str(node.pk),
        "full_refresh": node.full_refresh,
        "threads": node.threads,
        "retries": first(node.retries, own.get("retries"), flow and flow.retries, 0),
        "retry_delay": first(node.retry_delay, own.get("retry_delay"), flow and flow.retry_delay, 30),
        "retry_on": node.retry_on or own.get("retry_on") or (flow.retry_on if flow else "any"),
        "retry_patterns": lines_of(node.retry_patterns if node.retry_on else flow.retry_patterns if flow else ""),
        "timeout": first(node.timeout, own.get("timeout"), flow and flow.timeout, settings.TASK_TIMEOUT_S),
        **kinds.of(node.kind).run_spec(node, spec),
    }


def _microbatch(plan: FlowPlan, row: ordering.Row, kept: Repeated) -> dict[str, Any]:
    """Of a model that is built batch by batch: that it is, and in a rerun the window and batches of the first try."""
    resource = plan.manifest.resources.get(row.spec.unique_id)
    if resource is None or resource.materialized != "incremental" or not row.spec.builds:
        return {}
    if resource.config.get("incremental_strategy") != "microbatch":
        return {}
    return {"microbatch": True, **kept.spec_of(row.key)}
