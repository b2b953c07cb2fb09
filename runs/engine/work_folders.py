"""Working folders of attempts: DEX_HOME/work/<task run>.<fence>, one each, removed by whoever ends the attempt."""

import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from flows.infra import process
from runs.models import Attempt

LEFT_AFTER = timedelta(days=1)  # without an attempt that still runs, a folder this old belongs to nobody
_OF_ATTEMPT = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})")


def folder_of(task_run_id: int, fence: int) -> Path:
    """The folder of one attempt; it need not be there."""
    return _root() / f"{task_run_id}.{fence}"


def remove(task_run_id: int, fence: int) -> None:
    """Remove the folder of an attempt whose processes have ended."""
    shutil.rmtree(folder_of(task_run_id, fence), ignore_errors=True)


def left_over(now: datetime) -> Iterator[Path]:
    """Folders that nobody works in any more: their worker, or the whole machine, died. In: an aware time."""
    root = _root()
    for folder in root.iterdir() if root.is_dir() else ():
        try:
            if folder.is_symlink() or folder.lstat().st_mtime >= (now - LEFT_AFTER).timestamp():
                continue
        except OSError:  # it goes just now
            continue
        named = _OF_ATTEMPT.fullmatch(folder.name)
        running = Attempt.objects.filter(ended_at=None)
        if named and running.filter(task_run=int(named[1]), fence=int(named[2])).exists():
            continue
        yield folder


def _root() -> Path:
    return Path(settings.DEX_HOME) / process.WORK
