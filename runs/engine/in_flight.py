"""What a dbt session executes for a lane right now: starts it, follows it, and writes how it ended."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from flows.infra.log_context import about
from flows.infra.process import boot_id
from flows.infra.redaction import Redactor
from nodes.dbt.client import COMMAND, SessionClosed
from nodes.dbt.warehouses.registry import may_go_on
from nodes.ordering import HOOK, ON_RUN_END
from nodes.tasks import AttemptOutcome
from runs.engine import pools
from runs.engine.claims import Claim, claim, finish, hand_over, mark_lost, waiting
from runs.engine.leases import Held, keeper, retry_until_committed
from runs.engine.outcomes import outcome_of, write_compiled, write_rows
from runs.engine.plans import order_of
from runs.engine.recorded import Batches, known_batches, results_of
from runs.engine.sessions import Session
from runs.logs.masking import masked_in
from runs.logs.store import LogWriter
from runs.models import Attempt, TaskRun
from runs.states import TaskState

log = logging.getLogger("dex.lanes")


@dataclass
class RunningTask:
    """One task run that the session executes now."""

    claim: Claim
    held: Held
    log: LogWriter
    node_id: int | None
    deadline: float
    batches: Batches
    slots: pools.Slots
    timed_out: bool = False
    stop_by: float | None = None  # when to end the session because a cancel did not work


class RunningTasks:
    """All running tasks of one session. Not for two threads at once."""

    def __init__(self, lane_id: int, session: Session, secrets: Sequence[str]) -> None:
        self.lane_id = lane_id
        self.session = session
        self._secrets = secrets
        self._running: dict[str, RunningTask] = {}
        self._keeps_records: bool | None = None  # whether on-run-end hooks will ask for results
        self._said: deque[dict[str, Any]] = deque()  # events that are not dealt with yet

    def __len__(self) -> int:
        return len(self._running)

    def of_node(self, node_id: int | None) -> int:
        """How many task runs of a node fly."""
        return sum(1 for running in self._running.values() if running.node_id == node_id)

    def start(self, row: TaskRun) -> bool:
        """Claim a queued task run and hand it to the session; False when it cannot start now."""
        client = self.session.client
        with pools.Slots((row.pool,), pools.holder_of_task(row.pk), keeper.owner) as slots:
            if not slots.are_held:
                return False
            claimed = claim(
                row.pk,
                keeper.owner,
                lane_id=self.lane_id,
                row=row,
                pid=client.pid,
                pid_start=client.pid_start,
                boot_id=boot_id(),
            )
            if claimed is None:
                return False
            slots.keep()
        task = f"{claimed.task_run_id}.{claimed.fence}"
        kept = self._batches_before(claimed)
        stop: Callable[[], None] = lambda: self.session.cancel(task)  # noqa: E731 - given away twice
        held = keeper.hold(Held("task", claimed.task_run_id, claimed.fence, stop, stop, holder=slots.holder))
        self._running[task] = RunningTask(
            claim=claimed,
            held=held,
            log=LogWriter(claimed.log_path, Redactor(self._secrets)),
            node_id=row.node_id,
            deadline=time.monotonic() + _limit(claimed) + self._before_dbt_begins(),
            batches=Batches(claimed.task_run_id, claimed.fence, kept or {}, Redactor(self._secrets)),
            slots=slots,
        )
        lost = Attempt.objects.filter(task_run=claimed.task_run_id, fence=claimed.fence - 1)
        broken_off = bool(kept) and lost.filter(outcome__in=("lost", "stopped")).exists()
        self._send(task, claimed, known_batches(kept, lost=broken_off))
        return True

    def _before_dbt_begins(self) -> float:
        """Seconds that are not the task's own: a command of dbt starts first, and says when a task begins."""
        return float(settings.SESSION_OPEN_TIMEOUT_S) if self.session.client.executor == COMMAND else 0.0

    def _batches_before(self, claimed: Claim) -> dict[str, Any] | None:
        """The batches of an earlier try: of this run, or of the run that this one repeats."""
        if not claimed.spec.get("microbatch"):
            return None
        result = TaskRun.objects.values_list("result", flat=True).get(pk=claimed.task_run_id)
        return result.get("batches") or claimed.spec.get("batches")

    def _wants_records(self, run_id: int) -> bool:
        if self._keeps_records is None:
            self._keeps_records = TaskRun.objects.filter(run=run_id, unique_id=ON_RUN_END).exists()
        return self._keeps_records

    def _send(self, task: str, claimed: Claim, known: dict[str, Any] | None) -> None:
        spec, client = claimed.spec, self.session.client
        try:
            if claimed.kind == HOOK:
                end = claimed.unique_id == ON_RUN_END
                client.hooks(task, claimed.unique_id, results_of(claimed.run_id) if end else None)
                return
            client.execute(
                task,
                **order_of(spec),
                key=str(claimed.task_run_id),
                step=spec.get("step", ""),
                compiled=True,
                failing_rows=settings.FAILING_ROWS,
                since=spec.get("since"),
                known=known,
            )
        except SessionClosed:
            pass  # its last event says so, and what flies is handled then

    def follow(self, events: Iterable[dict[str, Any]]) -> tuple[bool, str]:
        """Take what the session said: (whether something ended, why the session died or "")."""
        self._said.extend(events)
        ended, died = False, ""
        while self._said and not died:
            event = self._said[0]
            running = self._running.get(event.get("task") or "")
            match event["event"]:
                case "log" if running is not None:
                    running.log.line(event["text"])
                case "batches" if running is not None:
                    running.batches.take(event)
                case "result" if running is not None:
                    self._finish(event["task"], running, event)
                    ended = True
                case "executing" if running is not None:
                    running.deadline = time.monotonic() + _limit(running.claim)
                case "starting":
                    self._start_announced(int(event["key"]))
                case "died" | "fatal":
                    died = str(event.get("message") or self.session.died)
            self._said.popleft()  # only now: after an error it is dealt with again
        return ended, died

    def _start_announced(self, task_run_id: int) -> None:
        """Take what the command executor has begun; it stops what cannot be taken."""
        if any(running.claim.task_run_id == task_run_id for running in self._running.values()):
            return
        row = waiting(task_run_id)
        if row is None or row.state != TaskState.QUEUED or not self.start(row):
            self.session.refuse(str(task_run_id))

    def _finish(self, task: str, running: RunningTask, event: dict[str, Any]) -> None:
        ended = outcome_of(event, timed_out=running.timed_out, limit=running.claim.spec.get("timeout"))
        if ended.state == "failed" and not running.timed_out and (problem := running.batches.problem):
            ended = replace(ended, reason=" ".join(problem.split())[:1000])
        ended.result.update(write_compiled(running.claim, event.get("compiled_code") or "", Redactor(self._secrets)))
        ended.result.update(write_rows(running.claim, event.get("failing_rows") or {}, Redactor(self._secrets)))
        if event.get("records") and self._wants_records(running.claim.run_id):
            ended.result["records"] = event["records"]
        self._close(running, ended)
        del self._running[task]

    def _close(self, running: RunningTask, ended: AttemptOutcome) -> None:
        """Write the end of a task, however long the database takes to come back while the lease is ours."""
        dropped = running.log.close()
        result = {**ended.result, "batches": running.batches.kept} if running.batches.rows else ended.result
        reason = ended.reason
        if self._secrets:  # what a warehouse says may hold one
            mask = Redactor(self._secrets).whole
            reason, result = mask(reason), masked_in(result, mask)
        whole = AttemptOutcome(**{**vars(ended), "log_dropped": dropped, "result": result, "reason": reason})
        running.held.closing = True
        retry_until_committed(lambda: finish(running.claim, whole), running.held.lost)
        self._free(running)

    def _free(self, running: RunningTask) -> None:
        keeper.drop(running.held)
        if running.slots.names:
            retry_until_committed(running.slots.give_back, running.held.lost)

    def enforce(self) -> None:
        """Stop what is late, and end the session when something does not stop."""
        now = time.monotonic()
        for task, running in self._running.items():
            running.batches.save()
            if now >= running.deadline and not running.timed_out:
                running.timed_out = True
                running.log.line("timeout: it is being stopped")
                self.session.cancel(task)
            if running.stop_by is None and (running.timed_out or running.held.cancelled.is_set()):
                running.stop_by = now + settings.KILL_GRACE_S
            if running.stop_by is not None and now >= running.stop_by:
                with about(task=running.claim.task_run_id):
                    message = "%s did not stop: ending the session of lane %s"
                    log.warning(message, running.claim.identifier, self.lane_id)
                running.stop_by = None
                self.session.kill()

    def crash(self, message: str, *, in_order: bool = False) -> None:
        """The session is gone. Only what was in flight is lost: it is tried again by the infrastructure's budget.

        `in_order`: its worker stops, which charges no budget.
        """
        in_flight, self._running = list(self._running.values()), {}
        for running in in_flight:
            running.log.line(f"the dbt session ended: {message}")
            if goes_on := may_go_on(self.session.warehouse, by_command=self.session.client.executor == COMMAND):
                running.log.line(goes_on)
            if running.timed_out:
                limit = running.claim.spec.get("timeout")
                self._close(running, AttemptOutcome("failed", f"timeout after {limit:g} s" if limit else "timeout"))
            elif running.held.cancelled.is_set():
                self._close(running, AttemptOutcome("cancelled", "cancelled; its session was ended"))
            else:
                self._take_back(running, message, in_order=in_order)

    def _take_back(self, running: RunningTask, message: str, *, in_order: bool) -> None:
        running.log.close()
        running.held.closing = True
        running.batches.save(now=True)
        task, fence = running.claim.task_run_id, running.claim.fence
        if in_order:
            retry_until_committed(lambda: hand_over(task, fence, actor=keeper.owner, reason=message), running.held.lost)
        else:
            reason = f"dbt session died: {message}"
            retry_until_committed(lambda: mark_lost(task, fence, actor=keeper.owner, reason=reason), running.held.lost)
        self._free(running)


def _limit(claimed: Claim) -> float:
    """Seconds that a task may take."""
    return float(claimed.spec.get("timeout") or settings.TASK_TIMEOUT_S)
