"""What Prometheus may read of dex. Gauges are read when asked; counters are kept in the database by the sweeper.

A counter is the sum of all moves that database triggers ever wrote, added up as they come: it costs the new rows alone,
is the same whichever process is asked, survives restarts, and does not fall when history is pruned.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from runs import dispatch
from runs.models import Heartbeat, PoolSlot, Run, TaskRun, Transition
from runs.operations.heartbeats import health, overdue
from runs.states import ACTIVE, RUN_ACTIVE, RUN_OVER, TaskState

COUNTED = "metrics"
MOST_AT_ONCE = 50_000  # moves that one round adds up; the next goes on


def count_moves(*, settled_s: float = 5.0) -> int:
    """Add the moves since the last round to the counters; how many there were. One process a round.

    In: `settled_s`, how old a move is at least: on PostgreSQL one with a smaller number may be committed later.
    """
    with transaction.atomic():
        row, _ = Heartbeat.objects.select_for_update().get_or_create(pk=COUNTED, defaults={"at": timezone.now()})
        seen = int(row.detail.get("seen", 0))
        settled = Transition.objects.filter(at__lte=timezone.now() - timedelta(seconds=settled_s))
        newest = settled.order_by("-pk").values_list("pk", flat=True).first() or 0
        until = min(newest, seen + MOST_AT_ONCE)
        if until <= seen:
            return 0
        moves = Transition.objects.filter(pk__gt=seen, pk__lte=until).order_by()
        counts: Counter[str] = Counter(row.detail.get("counts", {}))
        for new, number in moves.filter(task_run__isnull=True).values_list("new").annotate(n=Count("pk")):
            counts[f"run {new}"] += number
        for new, number in moves.filter(task_run__isnull=False).values_list("new").annotate(n=Count("pk")):
            counts[f"task {new}"] += number
        counts["lost"] += moves.filter(actor="reaper").count()
        counts["retried"] += moves.filter(old=TaskState.WAITING, new=TaskState.QUEUED).count()
        row.detail = {"seen": until, "counts": dict(counts)}
        row.at = timezone.now()
        row.save()
    return until - seen


class Metrics(Collector):
    """Reads the database when it is asked. A constant number of queries."""

    def collect(self) -> Iterator[Metric]:
        """All families of metrics, as Prometheus names them: base units, `_total` for counters."""
        yield from _counters()
        yield from _gauges()

    def describe(self) -> list[Metric]:
        """Nothing: what there is is known when it is asked."""
        return []


def _counters() -> Iterator[Metric]:
    row = Heartbeat.objects.filter(pk=COUNTED).first()
    counts = row.detail.get("counts", {}) if row else {}
    runs = CounterMetricFamily("dex_runs", "Runs that ended, by how", labels=["state"])
    for state in sorted(RUN_OVER):
        runs.add_metric([str(state)], counts.get(f"run {state}", 0))
    yield runs
    tasks = CounterMetricFamily("dex_task_runs", "Moves of tasks into a state", labels=["state"])
    for task_state in TaskState:
        tasks.add_metric([str(task_state)], counts.get(f"task {task_state}", 0))
    yield tasks
    yield CounterMetricFamily("dex_lease_losses", "Attempts taken back from dead workers", value=counts.get("lost", 0))
    yield CounterMetricFamily("dex_retries", "Tasks tried again after a failure", value=counts.get("retried", 0))
    yield CounterMetricFamily(
        "dex_lost_messages", "Messages this process could not send; sent later", value=dispatch.lost_messages
    )


def _gauges() -> Iterator[Metric]:
    now = timezone.now()
    active = dict(Run.objects.filter(state__in=RUN_ACTIVE).values_list("state").annotate(number=Count("pk")))
    runs = GaugeMetricFamily("dex_active_runs", "Runs that are not over", labels=["state"])
    for state in sorted(RUN_ACTIVE):
        runs.add_metric([str(state)], active.get(state, 0))
    yield runs
    gauges = {
        state: (number, oldest)
        for state, number, oldest in TaskRun.objects.filter(state__in=ACTIVE)
        .order_by()
        .values_list("state")
        .annotate(number=Count("pk"), oldest=Min("queued_at"))
    }
    tasks = GaugeMetricFamily("dex_active_task_runs", "Tasks that are not over", labels=["state"])
    for task_state in sorted(ACTIVE):
        tasks.add_metric([str(task_state)], gauges.get(task_state, (0, None))[0])
    yield tasks
    oldest = gauges.get(TaskState.QUEUED, (0, None))[1]
    age = (now - oldest).total_seconds() if oldest else 0.0
    yield GaugeMetricFamily("dex_queue_oldest_seconds", "How long the oldest queued task has waited", value=age)
    held = dict(PoolSlot.objects.exclude(holder="").values_list("pool").annotate(number=Count("pk")))
    pools = GaugeMetricFamily("dex_pool_slots_held", "Slots of pools in use", labels=["pool"])
    for pool, number in sorted(held.items()):
        pools.add_metric([pool], number)
    yield pools
    seen = health(now)
    yield GaugeMetricFamily(
        "dex_workers", "Processes that execute runs and sent a recent heartbeat", value=len(seen.alive)
    )
    silent = (now - seen.sweeper).total_seconds() if seen.sweeper else float("inf")
    yield GaugeMetricFamily(
        "dex_scheduler_heartbeat_age_seconds", "Time since schedules were last checked", value=silent
    )
    late = [(now - each.due_at - each.flow.delay).total_seconds() for each in overdue(now=now)]
    yield GaugeMetricFamily("dex_schedules_overdue", "Due times without a decision", value=len(late))
    yield GaugeMetricFamily("dex_scheduler_lag_seconds", "How late the latest of them is", value=max(late, default=0.0))
    yield GaugeMetricFamily("dex_sweep_interval_seconds", "How often workers poll", value=settings.SWEEP_S)


def registry() -> CollectorRegistry:
    """The registry that /metrics shows."""
    collectors = CollectorRegistry()
    collectors.register(Metrics())
    return collectors
