"""Slots of things that only so many may use at once, taken by lease."""

from collections.abc import Iterable
from typing import Self
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from runs import dispatch
from runs.clock import after
from runs.models import Lane, Pool, PoolSlot, TaskRun
from runs.states import TaskState


class Slots:
    """Slots of some pools for one holder (see `holder_of_task`): all of them are taken, or none.

    As a context manager it takes them, says by `are_held` whether it could, and at the end gives back what it holds,
    whatever happened, unless `keep` was called.
    """

    def __init__(self, names: Iterable[str], holder: str, owner: str) -> None:
        self.names = tuple(dict.fromkeys(name for name in names if name))
        self.holder, self.owner = holder, owner
        self.are_held = False
        self._kept = False

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        if self.are_held and not self._kept:
            self.give_back()

    def acquire(self) -> bool:
        """Take them; True when they are held now. Who frees one that is missing wakes what waits for it."""
        self.are_held = acquire_all(self.names, self.holder, self.owner)
        return self.are_held

    def keep(self) -> None:
        """What they were taken for goes on after the block, and gives them back when it ends."""
        self._kept = True

    def give_back(self) -> None:
        """Free them and wake who waits for them. May be repeated, as after an error of the database."""
        self.free()
        self.wake()

    def free(self) -> None:
        """Free them, if they are still this holder's, and wake nobody yet."""
        for name in self.names:
            give_back(name, self.holder, self.owner)

    def wake(self) -> None:
        """Wake who waits longest for a slot of these pools."""
        for name in self.names:
            wake_next(name)


def slots_of(name: str) -> int:
    """How many slots the pool has; one when nobody said otherwise."""
    return Pool.objects.filter(name=name).values_list("slots", flat=True).first() or 1


def set_slots(name: str, slots: int) -> None:
    """Let so many use it at once; wake who waits when there are more than before."""
    before = slots_of(name)
    Pool.objects.update_or_create(name=name, defaults={"slots": slots})
    wake_next(name, slots - before)


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


def acquire_all(names: Iterable[str], holder: str, owner: str) -> bool:
    """Take a slot of each pool, or of none: nobody meets a slot that is held only until the next one turns out taken.

    Whoever met it would wait for a message that nobody has a reason to send. In one order, so that two that want the
    same pools cannot wait for each other.
    """
    wanted = sorted({name for name in names if name})
    if len(wanted) < 2:
        return all(acquire(name, holder, owner) for name in wanted)
    with transaction.atomic():
        if all(acquire(name, holder, owner) for name in wanted):
            return True
        transaction.set_rollback(True)
    return False


def give_back(name: str, holder: str, owner: str) -> None:
    """Free the slot that `holder` has, if it still has one."""
    if name:
        PoolSlot.objects.filter(pool=name, holder=holder, owner=owner).update(holder="", owner="", lease_until=None)


def holders(name: str) -> list[str]:
    """Who holds a slot now."""
    return list(
        PoolSlot.objects.filter(pool=name, lease_until__gte=Now()).exclude(holder="").values_list("holder", flat=True)
    )


def free_expired(expired: Q) -> None:
    """Free the slots whose lease is `expired`, and wake who waits for them."""
    for pk, name in PoolSlot.objects.exclude(holder="").filter(expired).values_list("pk", "pool"):
        if PoolSlot.objects.exclude(holder="").filter(expired, pk=pk).update(holder="", owner="", lease_until=None):
            wake_next(name)


def has_free_slot(name: str) -> bool:
    """Whether one more could take a slot now."""
    slots = slots_of(name)
    return PoolSlot.objects.filter(pool=name, slot__lt=slots).exclude(holder="").count() < slots


def wake_next(name: str, slots: int = 1) -> None:
    """Slots are free now: wake who waits longest for them, task runs and lanes. What is not due yet keeps waiting."""
    if not name or slots < 1:
        return
    due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
    tasks = TaskRun.objects.filter(wants(name), due, state=TaskState.QUEUED, lane__isnull=True)
    others = {other for pair in tasks.order_by().values_list("pool", "warehouse_pool").distinct() for other in pair}
    if full := [other for other in others - {name, ""} if not has_free_slot(other)]:
        # Who waits for another pool too would leave this slot to nobody.
        tasks = tasks.exclude(Q(pool__in=full) | Q(warehouse_pool__in=full))
    dispatch.tasks(tasks.order_by("queued_at", "pk").values_list("pk", flat=True)[:slots])
    lanes = Lane.objects.filter(pool=name, waits_for_pool=True, owner="").order_by("pk")
    dispatch.lanes(lanes.values_list("pk", flat=True)[:slots])
