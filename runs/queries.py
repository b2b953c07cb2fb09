"""What pages and commands read of runs."""

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from flows.models import Environment, Flow
from nodes.ordering import GATE
from runs.alerts.failure_groups.normalise import first_error_line
from runs.models import Run, TaskRun
from runs.states import DONE, OVER, RUN_ACTIVE, RUN_OVER, RunState, TaskState


def as_table(run: Run) -> str:
    """A run for people: one line a task."""
    rows = list(run.task_runs.exclude(kind=GATE))
    width = max([len(row.identifier) for row in rows] + [4])
    lines = [f"{run} {run.state}" + (f": {run.error or run.reason}" if run.error or run.reason else "")]
    for row in rows:
        took = f"{(row.ended_at - row.started_at).total_seconds():8.2f} s" if row.ended_at and row.started_at else ""
        lines.append(f"  {row.identifier:<{width}}  {row.state:<10} {took:>10}  {row.reason}".rstrip())
    return "\n".join(lines)


def latest_runs(environment: Environment | None = None) -> QuerySet[Run]:
    """Runs, the newest first; of one environment when it is given."""
    rows = Run.objects.select_related("flow")
    return rows if environment is None else rows.filter(flow__environment=environment)


def failing(environment: Environment | None = None) -> QuerySet[Run]:
    """Of every flow whose latest finished run failed, that run with what broke first (see `with_first_failure`).

    What somebody acknowledged is left out.
    """
    flows = Flow.objects.all() if environment is None else Flow.objects.filter(environment=environment)
    finished = Run.objects.filter(flow=OuterRef("pk"), state__in=RUN_OVER).order_by("-id").values("pk")[:1]
    latest = flows.annotate(latest=Subquery(finished)).filter(latest__isnull=False).values("latest")
    rows = latest_runs().filter(pk__in=latest, state=RunState.FAILED, acknowledgement__isnull=True)
    return with_first_failure(rows).order_by("-ended_at", "-id")


def with_first_failure(rows: QuerySet[Run]) -> QuerySet[Run]:
    """The same runs with `failed_task` and `failed_reason`: what broke first, for `first_line`."""
    failures = TaskRun.objects.filter(run=OuterRef("pk"), state=TaskState.FAILED).order_by("ended_at", "id")
    return rows.annotate(
        failed_task=Subquery(failures.values("identifier")[:1]),
        failed_reason=Subquery(failures.values("reason")[:1]),
    )


def in_progress(environment: Environment | None = None) -> QuerySet[Run]:
    """Runs that go on or wait, the oldest first; `done` of `total` tasks have succeeded, `over` ended in any way."""
    tasks = TaskRun.objects.filter(run=OuterRef("pk")).exclude(kind=GATE).order_by().values("run")

    def counted(which: Q) -> Coalesce:
        number = tasks.annotate(number=Count("pk", filter=which)).values("number")
        return Coalesce(Subquery(number, output_field=IntegerField()), 0)

    return (
        latest_runs(environment)
        .filter(state__in=RUN_ACTIVE)
        .annotate(done=counted(Q(state__in=DONE)), over=counted(Q(state__in=OVER)), total=counted(Q()))
        .order_by("id")
    )


def first_line(run: Run) -> str:
    """What went wrong first, in a line; for rows of `with_first_failure`."""
    message = run.error or getattr(run, "failed_reason", "") or run.reason
    task = "" if run.error else getattr(run, "failed_task", "") or ""
    line = first_error_line(message)
    return f"{task}: {line}" if task and line else line or task
