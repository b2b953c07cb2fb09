"""Executes one task run that has no lane, such as a script or a load: claim, run, say how it ended."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from flows.infra.log_context import about
from flows.infra.process import Child, boot_id
from nodes import kinds
from nodes.tasks import AttemptOutcome, Context, Stopped
from runs import dispatch
from runs.engine import noop, pools, work_folders
from runs.engine.claims import Claim, claim, finish, hand_over, waiting
from runs.engine.leases import Held, keeper, retry_until_committed
from runs.engine.shutdown import draining, working
from runs.logs import store
from runs.logs.masking import masked_in, redactor_of
from runs.logs.store import LogWriter
from runs.models import Attempt, Run, TaskRun
from runs.states import DONE, TaskState

log = logging.getLogger("dex.engine")
PROGRESS_S = 1.0


def execute_task_run(task_run_id: int) -> None:
    """Answer a message: take the task run if it still waits, execute it, and write how it ended."""
    row = waiting(task_run_id)
    if row is None:
        return
    holder = pools.holder_of_task(task_run_id)
    slots = pools.Slots((row.pool, row.warehouse_pool), holder, keeper.owner)
    if row.state != TaskState.QUEUED:  # another was first, or it was cancelled
        slots.wake()  # it may have been woken for a slot that nobody took then
        return
    if draining.is_set():
        dispatch.hand_back("execute_task_run", task_run_id)
        return
    with slots:
        if not slots.are_held:
            return  # who frees a slot sends for it again
        with working() as stopping:
            claimed = claim(task_run_id, keeper.owner, row=row)
            if claimed is not None:
                with about(run=claimed.run_id, task=claimed.task_run_id):
                    _Attempt(claimed, stopping, holder).execute()


class _Attempt:
    """One try of one task run in this process."""

    def __init__(self, claimed: Claim, stopping: threading.Event, holder: str) -> None:
        self.claim = claimed
        self.stopping = stopping
        self.holder = holder
        self._writer: LogWriter | None = None
        self._told = 0.0  # when its progress was written last

    def execute(self) -> None:
        """Run it and write its end, however long the database takes to come back while the lease is ours."""
        claimed = self.claim
        held = keeper.hold(Held("task", claimed.task_run_id, claimed.fence, on_lost=lambda: None, holder=self.holder))
        broken_off = False
        try:
            ended = self._run(held)
        except Stopped:
            broken_off, ended = True, AttemptOutcome("failed")
        except Exception as error:  # whatever the code of a kind raises is an end of this attempt
            log.exception("task run %s", claimed.task_run_id)
            ended = AttemptOutcome("failed", f"{type(error).__name__}: {error}")
        dropped = self._writer.close() if self._writer is not None else 0
        held.closing = True
        if broken_off:
            reason = "its worker is stopping"
            retry_until_committed(
                lambda: hand_over(claimed.task_run_id, claimed.fence, actor=keeper.owner, reason=reason), held.lost
            )
        else:
            whole = self._masked(ended, dropped)
            retry_until_committed(lambda: finish(claimed, whole), held.lost)
        keeper.drop(held)

    def _run(self, held: Held) -> AttemptOutcome:
        if self.claim.kind == noop.KIND:
            return noop.execute(Context(self.claim.spec, self._write, held.cancelled, held.lost, self.stopping))
        return kinds.of(self.claim.kind).execute(self._context(held))

    def _context(self, held: Held) -> Context:
        claimed = self.claim
        run = Run.objects.select_related("revision__environment__project").get(pk=claimed.run_id)
        return Context(
            spec=claimed.spec,
            log=self._write,
            cancelled=held.cancelled,
            lost=held.lost,
            stopping=self.stopping,
            started=self._started,
            progress=self._progress,
            run_id=run.pk,
            task_run_id=claimed.task_run_id,
            attempt=claimed.fence,
            flow=run.flow_name,
            revision=run.revision,
            parameters=run.parameters,
            outputs=lambda node: _output_of(run.pk, node),
            work=work_folders.folder_of(claimed.task_run_id, claimed.fence),
            timeout=float(claimed.spec.get("timeout") or settings.TASK_TIMEOUT_S),
        )

    def _write(self, data: bytes) -> None:
        self._writer = self._writer or LogWriter(self.claim.log_path, redactor_of(self.claim.run_id))
        self._writer.append(data)

    def _started(self, child: Child, uid: int | None) -> None:
        """Write which process executes it, so that the reaper of this host can end it."""
        Attempt.objects.filter(task_run=self.claim.task_run_id, fence=self.claim.fence).update(
            pid=child.pid, pid_start=child.pid_start, boot_id=boot_id(), uid=uid
        )

    def _progress(self, result: Mapping[str, Any]) -> None:
        """Show how far it is, once a second; nothing depends on it."""
        if time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            rows = TaskRun.objects.filter(pk=self.claim.task_run_id, fence=self.claim.fence, ended_at=None)
            rows.update(result=dict(result))

    def _masked(self, ended: AttemptOutcome, dropped: int) -> AttemptOutcome:
        """The end without secrets in it; a failed process is told by its last words too."""
        if self.claim.kind == noop.KIND:
            return ended
        redactor = redactor_of(self.claim.run_id)
        reason = ended.reason
        if ended.state == "failed" and ended.exit_code and (words := self._last_words()):
            reason = f"{reason}: {words}"
        result = masked_in(ended.result, redactor.whole)
        return AttemptOutcome(ended.state, redactor.whole(reason), result, ended.exit_code, ended.retryable, dropped)

    def _last_words(self) -> str:
        with suppress(OSError, ValueError):
            lines = [line.strip() for line in store.read(self.claim.log_path, -4096).text.split("\n")]
            return next((line[:500] for line in reversed(lines) if line), "")
        return ""


def _output_of(run_id: int, node_name: str) -> Mapping[str, Any] | None:
    """What a node of this run, or of the run whose success it took over, wrote as its output (DEX_OUTPUT)."""
    writers = [kind.name for kind in kinds.all_kinds() if kind.writes_output]
    rows = TaskRun.objects.filter(run=run_id, node_name=node_name, state__in=DONE, kind__in=writers)
    row = rows.values_list("result", flat=True).first()
    return None if row is None else row.get("output", {})
