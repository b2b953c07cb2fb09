"""Why a run that goes on does nothing: it waits for a slot of a pool that others have."""

from dataclasses import dataclass

from runs.engine import pools
from runs.models import Lane, PoolSlot, Run, TaskRun
from runs.states import RunState, TaskState

FILE = "duckdb:"


@dataclass(frozen=True)
class PoolWait:
    """What a run waits for, who has it, and how many wait before it."""

    name: str
    users: list[Run]
    ahead: int


def pool_wait(run: Run) -> PoolWait | None:
    """The pool that a run waits for; None where it waits for none, or for tasks of its own.

    A session says by itself that it waits; a script or load that is queued waits where every slot of a pool that it
    needs is held. Two queries, a few more where it waits.
    """
    if run.state != RunState.RUNNING:
        return None
    lane = run.lanes.filter(waits_for_pool=True, owner="").exclude(pool="").first()
    if lane is not None:
        ahead = Lane.objects.filter(pool=lane.pool, waits_for_pool=True, owner="", pk__lt=lane.pk).count()
        return _wait(run, lane.pool, ahead)
    queued = TaskRun.objects.filter(run=run, state=TaskState.QUEUED).exclude(pool="", warehouse_pool="")
    task = queued.order_by("queued_at", "pk").only("pk", "pool", "warehouse_pool", "queued_at", "run_id").first()
    if task is None:
        return None
    for name in filter(None, (task.pool, task.warehouse_pool)):
        before = TaskRun.objects.filter(pools.wants(name), state=TaskState.QUEUED, queued_at__lt=task.queued_at)
        if _is_full(name) and (wait := _wait(run, name, before.exclude(run=run).values("run").distinct().count())):
            return wait
    return None


def _is_full(name: str) -> bool:
    return PoolSlot.objects.filter(pool=name).exclude(holder="").count() >= pools.slots_of(name)


def _wait(run: Run, name: str, ahead: int) -> PoolWait | None:
    ids: dict[str, list[int]] = {"lane": [], "task": []}
    for holder in PoolSlot.objects.filter(pool=name).exclude(holder="").values_list("holder", flat=True):
        kind, number = pools.named_by(holder)
        ids[kind].append(number)
    by_lane = Lane.objects.filter(pk__in=ids["lane"]).values("run")
    by_task = TaskRun.objects.filter(pk__in=ids["task"]).values("run")
    users = Run.objects.filter(pk__in=by_lane) | Run.objects.filter(pk__in=by_task)
    others = list(users.exclude(pk=run.pk).order_by("pk")[:5])
    return PoolWait(_words(name), others, ahead) if others else None


def _words(pool: str) -> str:
    return f"the DuckDB file {pool.rpartition('/')[2]}" if pool.startswith(FILE) else f"the pool {pool}"
