"""Starts flows after other flows: which successes have not been followed yet, the database says."""

import logging
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from django.db.models import OuterRef, Q, Subquery

from flows.models import Follow
from runs.models import Run
from runs.scheduling import ticking
from runs.states import RunState

log = logging.getLogger("dex.following")


def follow_all(up_id: int | None = None) -> int:
    """Start every flow whose flows before it have all succeeded since its last start; how many were dealt with.

    In: `up_id`, the flow that succeeded just now, when only those after it can be due.
    """
    rows = Follow.objects.select_related("up").order_by("flow_id", "pk")
    if up_id is not None:
        rows = rows.filter(flow__in=Follow.objects.filter(up=up_id).values("flow"))
    new = Q(flow=OuterRef("up"), state=RunState.SUCCEEDED, ended_at__gt=OuterRef("since"))
    newest = Run.objects.filter(new).order_by("-ended_at")
    rows = rows.annotate(run=Subquery(newest.values("pk")[:1]), ended=Subquery(newest.values("ended_at")[:1]))
    done = 0
    for flow_id, group in groupby(rows, key=lambda row: row.flow_id):
        rules = list(group)
        if all(row.ended is not None for row in rules):
            try:
                done += _follow(flow_id, rules)
            except Exception:  # one flow's trouble must not hold up the others
                log.exception("flow %s after others", flow_id)
    return done


def _follow(flow_id: int, rows: Iterable[Follow]) -> bool:
    ended: dict[int, datetime] = {}
    names = []
    for row in rows:
        ended[row.pk] = row.ended  # type: ignore[attr-defined]  # annotated
        names.append(f"{row.up.name} #{row.run}")  # type: ignore[attr-defined]  # annotated
    return ticking.follow(flow_id, ended, f"after {', '.join(names)}"[:500])
