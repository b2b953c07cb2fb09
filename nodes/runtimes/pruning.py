"""Removes the dbt runtimes that no project and no kept revision needs."""

import json
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from nodes.runtimes import builds, locks
from nodes.runtimes.choices import wanted_by
from nodes.runtimes.models import DbtRuntime, RuntimeBuild, RuntimeLock

SPARE_S = 24 * 3600.0  # for which one that is not needed stays: somebody may be about to use it


def forget_unneeded(kept: Iterable[str], *, dry_run: bool = False) -> int:
    """Remove builds, locks and folders that nobody needs; how many runtimes went.

    In: `kept`, the digests of locks that revisions need; `dry_run`, only count.
    """
    rows = DbtRuntime.objects.exclude(source=DbtRuntime.Source.BUILT_IN).select_related("project")
    wanted = {builds.digest_of(each) for row in rows for each in wanted_by(row)}
    idle = [row for row in RuntimeBuild.objects.exclude(digest__in=wanted) if not (row.waits or row.is_building)]
    needed = set(kept) | set(
        RuntimeBuild.objects.filter(lock__isnull=False)
        .exclude(pk__in=[row.pk for row in idle])
        .values_list("lock__digest", flat=True)
    )
    if not dry_run:
        for row in idle:
            builds.log_of(row).unlink(missing_ok=True)
            row.delete()
        RuntimeLock.objects.exclude(digest__in=needed).filter(builds__isnull=True).delete()
    gone = 0
    for place in _folders(Path(settings.DEX_HOME)):
        if _is_needed(place, needed):
            continue
        gone += not place.name.startswith(".")
        if not dry_run:
            shutil.rmtree(place, ignore_errors=True)
    return gone


def _folders(home: Path) -> list[Path]:
    folder = locks.root(home)
    return [each for each in folder.iterdir() if each.is_dir() and each.name != "logs"] if folder.is_dir() else []


def _is_needed(place: Path, needed: set[str]) -> bool:
    """Whether somebody needs a folder, or used it just now; what a killed build left is as old as its folder."""
    mark = place / locks.MADE
    with suppress(OSError, ValueError, KeyError):
        if json.loads(mark.read_text())["digest"] in needed:
            return True
    try:
        used = (mark if mark.exists() else place).stat().st_mtime
    except OSError:  # it goes just now
        return True
    return used > time.time() - SPARE_S
