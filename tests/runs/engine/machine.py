"""A hypothesis state machine over the engine's services: workers that work, freeze, die and wake; cancels; sweeps.

The composite rules take it into deep states quickly: with single steps alone, several of the planted bugs in
test_state_machine.py are not found.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nodes.tasks import AttemptOutcome
from runs.clock import ago
from runs.engine import recovery
from runs.engine.claims import Claim, claim, finish
from runs.engine.release import queue_due
from runs.models import Run, TaskRun, Transition
from runs.operations import rounds
from runs.operations.invariants import check
from runs.services import cancel_run
from runs.states import RUN_OVER, TaskState
from tests.helpers.graphs import open_graph

WORKERS = ("w1", "w2", "w3")
ENDS = {
    "ok": AttemptOutcome("succeeded"),
    "no": AttemptOutcome("failed", "no"),
    "stop": AttemptOutcome("cancelled", "stopped"),
}


class EngineMachine(RuleBasedStateMachine):
    """Task `b` may be retried once, so that WAITING is reached."""

    @initialize()
    def empty(self) -> None:
        Run.objects.all().delete()
        self.work: dict[str, Claim] = {}
        self.frozen: set[str] = set()
        self.open()

    def open(self) -> None:
        if Run.objects.count() < 3:
            open_graph(specs={"b": {"retries": 1, "retry_delay": 0}})

    @rule()
    def start_run(self) -> None:
        self.open()

    def free(self, worker: str) -> bool:
        return worker not in self.work and worker not in self.frozen

    def busy(self, worker: str) -> bool:
        return worker in self.work and worker not in self.frozen

    @rule(worker=st.sampled_from(WORKERS), pick=st.integers(0, 3))
    def claims(self, worker: str, pick: int) -> None:
        if self.free(worker):
            queued = list(TaskRun.objects.filter(state=TaskState.QUEUED).order_by("pk"))
            if queued:
                held = claim(queued[pick % len(queued)].pk, worker)
                if held:
                    self.work[worker] = held

    @rule(worker=st.sampled_from(WORKERS), pick=st.integers(0, 11))
    def hears_an_old_doorbell(self, worker: str, pick: int) -> None:
        rows = list(TaskRun.objects.order_by("pk").values_list("pk", flat=True))
        if self.free(worker) and rows:
            held = claim(rows[pick % len(rows)], worker)
            if held:
                self.work[worker] = held

    @rule(worker=st.sampled_from(WORKERS), end=st.sampled_from(sorted(ENDS)))
    def finishes(self, worker: str, end: str) -> None:
        if self.busy(worker):
            held = self.work.pop(worker)
            if end != "stop" or Run.objects.filter(pk=held.run_id, cancel_requested_at__isnull=False).exists():
                finish(held, ENDS[end])
            else:
                finish(held, ENDS["ok"])

    @rule(worker=st.sampled_from(WORKERS))
    def is_killed(self, worker: str) -> None:
        self.work.pop(worker, None)
        self.frozen.discard(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def freezes(self, worker: str) -> None:
        self.frozen.add(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def wakes(self, worker: str) -> None:
        self.frozen.discard(worker)

    @rule()
    def time_passes_and_the_reaper_comes(self) -> None:
        alive = {held.task_run_id for worker, held in self.work.items() if worker not in self.frozen}
        TaskRun.objects.filter(state=TaskState.RUNNING).exclude(pk__in=alive).update(lease_until=ago(1))
        recovery.reap()

    @rule()
    def sweeps(self) -> None:
        rounds.sweep(force=True)

    @rule(pick=st.integers(0, 2))
    def cancels(self, pick: int) -> None:
        runs = list(Run.objects.order_by("pk").values_list("pk", flat=True))
        if runs:
            cancel_run(runs[pick % len(runs)], actor="ada")

    # --- composite rules -----------------------------------------------------------------------------------
    @rule(worker=st.sampled_from(WORKERS), n=st.integers(1, 4))
    def works_for_a_while(self, worker: str, n: int) -> None:
        for _ in range(n):
            self.claims(worker, 0)
            self.finishes(worker, "ok")

    @rule(
        worker=st.sampled_from(WORKERS),
        other=st.sampled_from(WORKERS),
        end=st.sampled_from(["ok", "no"]),
        last=st.booleans(),
    )
    def is_late(self, worker: str, other: str, end: str, last: bool) -> None:
        """It freezes, loses its lease, another does the work, and it wakes and reports, before or after the other."""
        if worker == other:
            return
        self.claims(worker, 0)
        if self.busy(worker):
            self.frozen.add(worker)
            self.time_passes_and_the_reaper_comes()
            self.claims(other, 0)
            self.frozen.discard(worker)
            reports = [(worker, end), (other, "ok")]
            for who, what in reversed(reports) if last else reports:
                self.finishes(who, what)

    @rule(worker=st.sampled_from(WORKERS), then=st.sampled_from(sorted(ENDS)))
    def is_cancelled_while_working(self, worker: str, then: str) -> None:
        self.claims(worker, 0)
        if self.busy(worker):
            cancel_run(self.work[worker].run_id, actor="ada")
            self.finishes(worker, then)

    @rule(worker=st.sampled_from(WORKERS))
    def fails_until_it_may_not(self, worker: str) -> None:
        for _ in range(3):
            self.claims(worker, 0)
            self.finishes(worker, "no")
            queue_due()

    # --- what must hold ------------------------------------------------------------------------------------
    @precondition(lambda self: hasattr(self, "work"))
    @invariant()
    def history_is_consistent(self) -> None:
        assert check() == []

    def teardown(self) -> None:
        if not hasattr(self, "work"):
            return
        self.work.clear()
        self.frozen.clear()
        for _ in range(60):
            self.time_passes_and_the_reaper_comes()
            TaskRun.objects.filter(state=TaskState.QUEUED).update(not_before=None)
            rounds.sweep(force=True)
            self.works_for_a_while("w1", 4)
            if not Run.objects.exclude(state__in=RUN_OVER).exists():
                break
        assert not Run.objects.exclude(state__in=RUN_OVER).exists(), "L1: a run never ends"
        assert check() == []
        stopped = Transition.objects.filter(run__cancel_requested_at__isnull=False, new="running")
        for start in stopped.select_related("run"):
            requested = start.run.cancel_requested_at
            assert requested is not None and start.at <= requested, "something started after the cancel"
