"""The head of a run's page: how far it is, how long it takes beside how long it usually does, and its family."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from django.db.models import Count, Max

from flows.models import Executor
from nodes.dbt.executors import WORDS
from nodes.ordering import GATE
from runs.models import Run, TaskRun, Transition
from runs.planning.usual import usual_duration
from runs.states import DONE, OVER, TaskState

MOST_RELATED = 50
LEAST = 0.6  # percent of the bar that a state has at least
# Most telling first: what is wrong, what goes on, what waits, what is done.
ORDER = (
    *(TaskState.FAILED, TaskState.RUNNING, TaskState.WAITING, TaskState.QUEUED, TaskState.PENDING),
    *(TaskState.CANCELLED, TaskState.SKIPPED, TaskState.SUCCEEDED, TaskState.REUSED),
)
# From the left: what is over, as on any bar that fills, and first what is wrong; then what goes on and what waits.
BAR = (
    *(TaskState.FAILED, TaskState.SUCCEEDED, TaskState.REUSED, TaskState.SKIPPED, TaskState.CANCELLED),
    *(TaskState.RUNNING, TaskState.WAITING, TaskState.QUEUED, TaskState.PENDING),
)


@dataclass(frozen=True)
class Share:
    """A part of the progress bar: a state, how many tasks are in it, and where its piece is (percent)."""

    state: str
    number: int
    begin: float
    width: float


@dataclass(frozen=True)
class Summary:
    """How far a run is."""

    run: Run
    shares: list[Share]
    total: int
    over: int
    done: int
    usual: timedelta | None
    version: int

    @property
    def took(self) -> timedelta | None:
        """From its start to its end; None while it has no end."""
        run = self.run
        return run.ended_at - run.started_at if run.started_at and run.ended_at else None

    @property
    def is_slow(self) -> bool:
        """Whether it took at least half as long again as it usually does."""
        return self.took is not None and self.usual is not None and self.took > self.usual * 1.5

    @property
    def counts(self) -> dict[str, int]:
        """state -> number of tasks."""
        return {share.state: share.number for share in self.shares}


def version_of(run_id: int) -> int:
    """Grows with every move of the run or of one of its tasks. One cheap query."""
    return Transition.objects.filter(run_id=run_id).aggregate(latest=Max("id"))["latest"] or 0


def summary_of(run: Run) -> Summary:
    """The head of a run's page. Three queries."""
    version = version_of(run.pk)  # first: what happens after it is shown by the next look
    rows = TaskRun.objects.filter(run=run).exclude(kind=GATE).order_by().values_list("state")
    counts = dict(rows.annotate(number=Count("pk")))
    total = sum(counts.values())
    return Summary(
        run=run,
        shares=_shares(counts),
        total=total,
        over=sum(counts.get(state, 0) for state in OVER),
        done=sum(counts.get(state, 0) for state in DONE),
        usual=usual_duration(run),
        version=version,
    )


def _shares(counts: Mapping[str, int]) -> list[Share]:
    """The pieces of the bar; one failure among thousands is seen too."""
    there = [(str(state), counts[state]) for state in BAR if counts.get(state)]
    total = sum(number for _, number in there)
    widths = [max(100 * number / total, LEAST) for _, number in there]
    scale = 100 / sum(widths) if widths else 1.0
    begins = accumulate((width * scale for width in widths), initial=0.0)
    return [
        Share(state, number, begin, width * scale)
        for (state, number), begin, width in zip(there, begins, widths, strict=False)
    ]


@dataclass(frozen=True)
class Relative:
    """A run of the same family: the first try, or a rerun of one of the family; `depth` counts from the first."""

    run: Run
    depth: int


def executor_words(run: Run) -> str:
    """How dbt is run for it, such as "by dbt commands"; "" for a run that executes nothing with dbt."""
    lanes = TaskRun.objects.filter(run=run, lane__isnull=False).exclude(state=TaskState.REUSED)
    executor = lanes.order_by().values_list("lane__executor", flat=True).first()
    return WORDS[Executor(executor)] if executor else ""


def family_of(run: Run) -> list[Relative]:
    """The tree of a run and its reruns, first tries before what repeats them. Empty for a run that has none."""
    first = run
    while first.retry_of is not None:
        first = first.retry_of
    relatives: list[Relative] = []
    wave = [first]
    children: dict[int | None, list[Run]] = {}
    members = {first.pk: first}
    while wave and len(members) < MOST_RELATED:
        reruns = list(Run.objects.filter(retry_of__in=wave).select_related("triggered_by").order_by("pk"))
        for each in reruns:
            children.setdefault(each.retry_of_id, []).append(each)
            members[each.pk] = each
        wave = reruns
    stack = [(first, 0)]
    while stack:
        each, depth = stack.pop()
        relatives.append(Relative(each, depth))
        stack += [(child, depth + 1) for child in reversed(children.get(each.pk, []))]
    return relatives if len(relatives) > 1 else []


def expected_end(summary: Summary, now: datetime) -> datetime | None:
    """When a run that goes on will probably end; None when nothing is known, or it is late already."""
    run = summary.run
    if run.is_over or run.started_at is None or summary.usual is None:
        return None
    end = run.started_at + summary.usual
    return end if end > now else None
