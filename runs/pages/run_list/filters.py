"""The filters of the list of runs: from the query of an address to a frozen value and to rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from flows.infra.ids import id_of
from flows.models import Environment, Flow
from runs.models import Run, Trigger
from runs.states import RUN_ACTIVE, RunState

LONGEST = 200  # characters of a filter
ACTIVE = "active"  # beside the states: whatever is not over
# Ids rise with the time of creation, but for transactions that overlapped: so many may stand in another order.
OUT_OF_ORDER = 1000
STATES = ("", ACTIVE, *(str(state) for state in RunState))


@dataclass(frozen=True)
class Filters:
    """The filters of the list. Dates are days of the viewer's zone, `until` included; None and "": no filter."""

    q: str = ""
    state: str = ""
    flow: int | None = None
    trigger: str = ""
    since: date | None = None
    until: date | None = None
    unacknowledged: bool = False
    before: int | None = None  # the page: runs older than this id

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Filters":
        """From the query of an address; what cannot be understood is no filter."""
        text = {name: str(given.get(name, "")).replace("\0", "").strip()[:LONGEST] for name in cls.__dataclass_fields__}
        return cls(
            q=text["q"],
            state=text["state"] if text["state"] in STATES else "",
            flow=id_of(text["flow"]),
            trigger=text["trigger"] if text["trigger"] in Trigger.values else "",
            since=_day(text["since"]),
            until=_day(text["until"]),
            unacknowledged=text["unacknowledged"] == "1",
            before=id_of(text["before"]),
        )

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return replace(self, before=None) != Filters()

    @property
    def query(self) -> str:
        """The filters as the query of an address, without the page."""
        return replace(self, before=None).query_with_page

    @property
    def query_with_page(self) -> str:
        """The filters and the page as the query of an address."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return urlencode({name: "1" if value is True else value for name, value in values.items() if value})


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year < 9000 else None


def runs_with(filters: Filters, environment: Environment | None, zone: ZoneInfo) -> QuerySet[Run]:
    """The runs that fit, the newest first, whatever the page. One small query for each date that is given."""
    rows = Run.objects.order_by("-id")
    if filters.q:
        rows = rows.filter(_text(filters.q))
    if filters.state:
        rows = (
            rows.filter(state__in=sorted(RUN_ACTIVE)) if filters.state == ACTIVE else rows.filter(state=filters.state)
        )
    if filters.flow is not None:
        rows = rows.filter(flow=filters.flow)
    if environment is not None:
        rows = rows.filter(flow__in=Flow.objects.filter(environment=environment).values("pk"))
    if filters.trigger:
        rows = rows.filter(trigger=filters.trigger)
    if filters.unacknowledged:
        rows = rows.filter(state=RunState.FAILED, acknowledgement__isnull=True)
    if filters.since is not None:
        begin = datetime.combine(filters.since, time(), zone)
        first = Run.objects.filter(created_at__gte=begin).order_by("created_at").values_list("pk", flat=True).first()
        rows = rows.filter(created_at__gte=begin, pk__gte=(first or 0) - OUT_OF_ORDER) if first else rows.none()
    if filters.until is not None:
        end = datetime.combine(filters.until + timedelta(days=1), time(), zone)
        last = Run.objects.filter(created_at__lt=end).order_by("-created_at").values_list("pk", flat=True).first()
        rows = rows.filter(created_at__lt=end, pk__lte=(last or 0) + OUT_OF_ORDER) if last else rows.none()
    return rows


def _text(query: str) -> Q:
    """Words of the flow's name, or the number of a run."""
    names = named = Q()
    for word in query.split():
        names &= Q(name__icontains=word)
        named &= Q(flow_name__icontains=word)
    # The names of flows are few and those of runs are many; only a deleted flow is known by its runs alone.
    matching = Q(flow__in=Flow.objects.filter(names).values("pk")) | (Q(flow__isnull=True) & named)
    number = id_of(query.removeprefix("#"))
    return matching if number is None else Q(pk=number) | matching
