"""Slots of things that only so many may use at once, taken by lease."""

from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from runs import bell
from runs.clock import after
from runs.models import Lane, Pool, PoolSlot, TaskRun
from runs.states import TaskState


def slots_of(name: str) -> int:
    """How many slots the pool has; one when nobody said otherwise."""
    return Pool.objects.filter(name=name).values_list("slots", flat=True).first() or 1


def holder_of_task(task_run_id: int) -> str:
    """A name for one try to start a task run: what is given back is what this very try took, whoever else tries."""
    return f"task:{task_run_id}:{uuid4().hex[:12]}"


def holder_of_lane(lane_id: int, fence: int) -> str:
    """A name for one worker's time with a lane: who takes it over waits until what it had is ended and free."""
    return f"lane:{lane_id}:{fence}"


def named_by(holder: str) -> tuple[str, int]:
    """What such a name stands for: "task" or "lane", and its id."""
    kind, number = holder.split(":")[:2]
    return kind, int(number)


def wants(name: str) -> Q:
    """Of task runs: those that need a slot of this pool."""
    return Q(pool=name) | Q(warehouse_pool=name)


def acquire(name: str, holder: str, owner: str) -> bool:
    """Take a slot of pool `name` for `holder` (see above); True when it holds one now.

    Taking is one conditional UPDATE, so two cannot take the same slot. A slot whose lease ended is not free before
    the reaper has ended the process that it stood for.
    """
    if not name:
        return True
    numbers = range(slots_of(name))
    with transaction.atomic():
        PoolSlot.objects.bulk_create([PoolSlot(pool=name, slot=number) for number in numbers], ignore_conflicts=True)
    if PoolSlot.objects.filter(pool=name, holder=holder, owner=owner, lease_until__gt=Now()).exists():
        return True
    return any(
        PoolSlot.objects.filter(pool=name, slot=number, holder="").update(
            holder=holder, owner=owner, lease_until=after(settings.LEASE_S)
        )
        for number in numbers
    )


def give_back(name: str, holder: str, owner: str) -> None:
    """Free the slot that `holder` has, if it still has one."""
    if name:
        PoolSlot.objects.filter(pool=name, holder=holder, owner=owner).update(holder="", owner="", lease_until=None)


def holders(name: str) -> list[str]:
    """Who holds a slot now."""
    return list(
        PoolSlot.objects.filter(pool=name, lease_until__gte=Now()).exclude(holder="").values_list("holder", flat=True)
    )


def ring_next(name: str) -> None:
    """A slot is free now: ring who waits longest for it, a task run or a lane."""
    if not name:
        return
    tasks = TaskRun.objects.filter(wants(name), state=TaskState.QUEUED, lane__isnull=True).order_by("queued_at", "pk")
    bell.ring_tasks(tasks.values_list("pk", flat=True)[:1])
    lanes = Lane.objects.filter(pool=name, waits_for_pool=True, owner="").order_by("pk")
    bell.ring_lanes(lanes.values_list("pk", flat=True)[:1])
