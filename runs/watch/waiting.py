"""Why a run that goes on does nothing: it waits for a slot of a pool that others have."""

from dataclasses import dataclass

from runs.models import Lane, PoolSlot, Run, TaskRun
from runs.states import RunState

FILE = "duckdb:"


@dataclass(frozen=True)
class PoolWait:
    """What a run waits for, who has it, and how many wait before it."""

    name: str
    users: list[Run]
    ahead: int


def pool_wait(run: Run) -> PoolWait | None:
    """The pool that a run waits for; None where it waits for none. One query, three more where it does."""
    if run.state != RunState.RUNNING:
        return None
    lane = run.lanes.filter(waits_for_pool=True, owner="").exclude(pool="").first()
    if lane is None:
        return None
    held = PoolSlot.objects.filter(pool=lane.pool).exclude(holder="").values_list("holder", flat=True)
    ids: dict[str, list[int]] = {"lane": [], "task": []}
    for holder in held:
        kind, _, number = holder.partition(":")
        if kind in ids and number.isdecimal():
            ids[kind].append(int(number))
    by_lane = Lane.objects.filter(pk__in=ids["lane"]).values("run")
    by_task = TaskRun.objects.filter(pk__in=ids["task"]).values("run")
    users = Run.objects.filter(pk__in=by_lane) | Run.objects.filter(pk__in=by_task)
    ahead = Lane.objects.filter(pool=lane.pool, waits_for_pool=True, owner="", pk__lt=lane.pk).count()
    return PoolWait(_words(lane.pool), list(users.exclude(pk=run.pk).order_by("pk")[:5]), ahead)


def _words(pool: str) -> str:
    return f"the DuckDB file {pool.rpartition('/')[2]}" if pool.startswith(FILE) else f"the pool {pool}"
