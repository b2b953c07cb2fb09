"""Executes one task run that has no lane: claim, run, say how it ended."""

import logging

from nodes.kinds.base import Ended
from nodes.kinds.noop import execute as noop
from runs import bell
from runs.engine import pools
from runs.engine.claims import Claim, claim, finish, waiting
from runs.engine.heart import Held, heart, surely
from runs.logs import LogWriter
from runs.masking import redactor_of
from runs.models import TaskRun
from runs.states import TaskState

log = logging.getLogger("dex.engine")
EXECUTORS = {"noop": noop}


def execute_task_run(task_run_id: int) -> None:
    """Answer a doorbell: take the task run if it still waits, execute it, and write how it ended."""
    row = waiting(task_run_id)
    if row is None or row.state != TaskState.QUEUED:
        return  # another was first, or it is gone
    pool = row.pool
    holder = f"task:{task_run_id}"
    if not pools.acquire(pool, holder, heart.owner):
        return  # who frees a slot rings again
    try:
        claimed = claim(task_run_id, heart.owner, row=row)
        if claimed is not None:
            _execute(claimed)
    finally:
        free(pool, holder)


def free(pool: str, holder: str) -> None:
    """Give a slot back and ring the one who waits longest for it."""
    if not pool:
        return
    pools.give_back(pool, holder, heart.owner)
    waiting = TaskRun.objects.filter(state=TaskState.QUEUED, pool=pool, lane__isnull=True).order_by("queued_at", "pk")
    bell.ring_tasks(waiting.values_list("pk", flat=True)[:1])


def _execute(claimed: Claim) -> None:
    held = heart.hold(Held("task", claimed.task_run_id, claimed.fence, on_lost=lambda: None))
    held.on_lost = held.cancelled.set
    writer: LogWriter | None = None

    def write(data: bytes) -> None:
        nonlocal writer
        writer = writer or LogWriter(claimed.log_path, redactor_of(claimed.run_id))
        writer.append(data)

    try:
        ended = EXECUTORS[claimed.kind](claimed.spec, write, held.cancelled)
    except Exception as error:  # whatever the code of a kind raises is an end of this attempt
        log.exception("task run %s", claimed.task_run_id)
        ended = Ended("failed", f"{type(error).__name__}: {error}")
    finally:
        if writer is not None:
            writer.close()
    held.closing = True
    surely(lambda: finish(claimed, ended), held.lost)
    heart.drop(held)
