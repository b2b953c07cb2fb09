"""The tasks of a run as a table: filtered, searched, sorted and paged by the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from nodes.ordering import GATE
from runs.models import Run, TaskRun
from runs.states import TaskState

PAGE = 200
OVERLAP = 50
SORTS = {
    "order": ("Order of execution", ("position", "pk")),
    "took": ("Longest first", ("-took", "position")),
    "name": ("Name", ("identifier", "pk")),
    "started": ("Latest started", ("-started_at", "position")),
}


@dataclass(frozen=True)
class Filters:
    """The filters of a table of tasks; unknown values are left out."""

    state: str = ""
    q: str = ""
    sort: str = "order"
    page: str = "1"

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Filters":
        """From the parameters of an address."""
        state = given.get("state", "")
        sort = given.get("sort", "")
        return cls(
            state if state in set(TaskState) else "",
            given.get("q", "").replace("\0", "").strip()[:200],
            sort if sort in SORTS else "order",
            given.get("page", "1"),
        )


def tasks_of(run: Run) -> QuerySet[TaskRun]:
    """The tasks of a run that people look at, with `took`: how long each ran, or has run until now."""
    span = ExpressionWrapper(Coalesce("ended_at", Now()) - F("started_at"), output_field=DurationField())
    return TaskRun.objects.filter(run=run).exclude(kind=GATE).defer("spec").annotate(took=span)


def table(run: Run, filters: Filters) -> Page[TaskRun]:
    """One page of the tasks that the filters select."""
    rows = tasks_of(run)
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.q:
        rows = rows.filter(
            Q(identifier__icontains=filters.q) | Q(node_name__icontains=filters.q) | Q(reason__icontains=filters.q)
        )
    return Paginator(rows.order_by(*order_of(filters.sort)), PAGE).get_page(filters.page)


def order_of(sort: str) -> list[Any]:
    """An order of SORTS for the database; what has no value comes last."""
    order: list[Any] = list(SORTS[sort][1])
    if order[0].startswith("-"):
        order[0] = F(order[0][1:]).desc(nulls_last=True)
    return order


def moved_since(run: Run, version: int) -> set[int]:
    """The tasks that moved after a version (`summary.version_of`), and some that moved shortly before it.

    On PostgreSQL a move with a smaller number may be committed after one with a larger.
    """
    moved = run.transitions.filter(pk__gt=version - OVERLAP, task_run__isnull=False)
    return set(moved.values_list("task_run_id", flat=True))
