"""Slots of things that only so many may use at once, taken by lease."""

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from runs.clock import after
from runs.models import Pool, PoolSlot


def slots_of(name: str) -> int:
    """How many slots the pool has; one when nobody said otherwise."""
    return Pool.objects.filter(name=name).values_list("slots", flat=True).first() or 1


def acquire(name: str, holder: str, owner: str) -> bool:
    """Take a slot of pool `name` for `holder` (such as "lane:7"); True when it holds one now.

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
