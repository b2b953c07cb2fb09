"""A page of the list: read by key in a constant number of queries, so that a million runs cost what a thousand do."""

from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.db.models import Count, Max, QuerySet

from flows.models import Environment
from nodes.ordering import GATE
from runs import queries
from runs.models import Run, TaskRun, Transition
from runs.pages.run_list.filters import Filters, runs_with
from runs.states import DONE, OVER, RunState

PAGE = 40
WINDOW = 5000  # ids that are looked through before the database is left to find rows by its indexes


@dataclass(frozen=True)
class Line:
    """One run of the list; `done` of `total` tasks have succeeded, and `others` ended otherwise, by state."""

    run: Run
    done: int = 0
    total: int = 0
    others: str = ""  # "1 failed, 4 skipped"
    error: str = ""
    id: str = ""  # as text: a page has hundreds of them, and a template formats each number anew

    @property
    def is_acknowledged(self) -> bool:
        """Whether somebody has seen to this failure."""
        return getattr(self.run, "acknowledgement", None) is not None


@dataclass(frozen=True)
class Listed:
    """A page of runs. `older` is where the next page begins; `seen`, `top` and `watched` tell a poll what is shown."""

    lines: list[Line]
    older: int | None
    seen: int
    top: int
    watched: list[int]


def page_of(filters: Filters, environment: Environment | None, zone: ZoneInfo) -> Listed:
    """One page of the runs that the filters select. At most seven queries, and two for dates."""
    seen = Transition.objects.aggregate(latest=Max("id"))["latest"] or 0  # first: what moves later is shown next time
    top = Run.objects.aggregate(latest=Max("id"))["latest"] or 0
    rows = runs_with(filters, environment, zone).select_related("triggered_by", "acknowledgement")
    rows = rows.defer("warnings", "drift", "parameters", "scope")
    newest_runs = newest(rows, PAGE + 1, before=top + 1 if filters.before is None else min(filters.before, top + 1))
    runs = newest_runs[:PAGE]
    errors = _errors([run.pk for run in runs if run.state == RunState.FAILED])
    counts = _counts([run.pk for run in runs])
    return Listed(
        lines=[Line(run, *counts.get(run.pk, (0, 0, "")), errors.get(run.pk, ""), str(run.pk)) for run in runs],
        older=runs[-1].pk if len(newest_runs) > PAGE else None,
        seen=seen,
        top=top,
        watched=[run.pk for run in runs if not run.is_over],
    )


def newest(rows: QuerySet[Run], number: int, *, before: int) -> list[Run]:
    """The first `number` of `rows` (ordered by -id) with a smaller id than `before`. Two queries at most.

    What is common is among the latest runs and is found by walking back over a few of them; what is rare is found by
    its index. A database that chooses by itself sometimes sorts all that is common.
    """
    floor = before - WINDOW
    near = list(rows.filter(pk__lt=before, pk__gte=floor)[:number])
    if len(near) == number or floor <= 1:
        return near
    return near + list(rows.filter(pk__lt=floor)[: number - len(near)])


def _errors(ids: Collection[int]) -> dict[int, str]:
    rows = queries.with_first_failure(Run.objects.filter(pk__in=ids).only("error", "reason")) if ids else ()
    return {run.pk: queries.first_line(run) for run in rows}


def _counts(ids: Collection[int]) -> dict[int, tuple[int, int, str]]:
    """Of each run: how many tasks have succeeded, how many there are, and how many ended otherwise, in words."""
    tasks = TaskRun.objects.filter(run__in=ids).exclude(kind=GATE).order_by().values_list("run", "state")
    states: dict[int, dict[str, int]] = {}
    for run, state, number in tasks.annotate(number=Count("pk")):
        states.setdefault(run, {})[state] = number
    return {
        run: (
            sum(counts.get(state, 0) for state in DONE),
            sum(counts.values()),
            ", ".join(f"{counts[state]} {state}" for state in sorted(OVER - DONE) if state in counts),
        )
        for run, counts in states.items()
    }


def has_moved(seen: int, top: int, watched: Collection[int]) -> bool:
    """Whether a page would look different: one of its active runs moved, or a run was opened. Two queries at most."""
    return Run.objects.filter(pk__gt=top).exists() or Transition.objects.filter(pk__gt=seen, run__in=watched).exists()
