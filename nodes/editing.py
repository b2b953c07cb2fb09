"""Every edit of a flow goes through `edit`: one transaction, one version, one row of history.

A person who edits says which version they saw. What others changed meanwhile is then either about something else,
and both edits stand, or it is told (EditConflict) before anything is overwritten.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F
from django.utils.timesince import timesince

from flows.access import acting
from flows.models import Flow
from flows.scheduling import beat
from flows.scheduling.decisions import close_schedule
from nodes.document import Difference, Document, differences, document_of
from nodes.expansion import FlowPlan, refresh_flow
from nodes.models import Change

LONGEST_SUMMARY = 1000
_editing: ContextVar[frozenset[int]] = ContextVar("editing", default=frozenset())


class EditConflict(Exception):
    """Somebody changed the same thing meanwhile; `changes` says who did what, one line each, newest last."""

    def __init__(self, flow: Flow, changes: list[str]) -> None:
        self.flow = flow
        self.changes = changes
        super().__init__("While you were editing: " + " ".join(changes))


@dataclass(frozen=True)
class Base:
    """What an editor saw, and what they are about to touch: `aspects` of the nodes `nodes` (None: the settings)."""

    version: int
    nodes: Collection[int | None] = ()
    aspects: Collection[str] = ("settings", "existence", "link", "place")
    everything: bool = field(default=False)  # the whole flow is written: any change is in the way

    def is_touched_by(self, difference: Difference) -> bool:
        """Whether a change of somebody else is about the same thing."""
        return self.everything or (difference.node in self.nodes and difference.aspect in self.aspects)


@contextmanager
def edit(
    flow: Flow, *, said: str = "", base: Base | None = None, reason: str = "edited", plan: FlowPlan | None = None
) -> Iterator[None]:
    """Do what is in the block as one edit of `flow`, and record it; an edit that changes nothing leaves no trace.

    In: `said`, what is done in words, if the differences alone do not say it well; `reason`, why the tasks are made
    anew afterwards (empty: they are not); `plan`, the flow as it will be, planned before: it is used unless somebody
    else edited the flow or synced its environment meanwhile. Inside another edit of the same flow it is a part of that.
    Raises EditConflict.
    """
    if flow.pk in _editing.get():
        yield
        return
    with transaction.atomic():
        # Takes the row: a second editor waits here until the first is done.
        Flow.objects.filter(pk=flow.pk).update(version=F("version") + 1)
        stored = Flow.objects.select_related("environment__project").get(pk=flow.pk)
        before = document_of(stored)
        _begin_history(stored, before)
        if base is not None:
            _check(stored, before, base)
        token = _editing.set(_editing.get() | {flow.pk})
        try:
            yield
        finally:
            _editing.reset(token)
        stored.refresh_from_db()
        if reason:
            holds = plan is not None and (plan.version, plan.revision.pk) == (
                stored.version - 1,
                stored.environment.current_revision_id,
            )
            refresh_flow(stored, reason=reason, plan=plan if holds else None)
        record(stored, before, said)
    flow.version = stored.version


def record(flow: Flow, before: Document | None, what: str = "") -> None:
    """Write the row of history for what changed since `before`; gives the version back when nothing did."""
    after = document_of(flow)
    different = differences(before, after)
    if not different:
        flow.version -= 1
        Flow.objects.filter(pk=flow.pk).update(version=flow.version)
        return
    if before is None or _timing(before) != _timing(after):
        close_schedule(flow, before["schedule"] if before else None)
        beat.mirror(flow)
    lines = [difference.text for difference in different]
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    _add(flow, after, what or lines[0] + more, lines, all(each.aspect == "place" for each in different))


def _timing(document: Document) -> list[object]:
    return [document["schedule"][name] for name in ("cron", "time_zone", "paused")]


def _add(flow: Flow, document: Document, what: str, lines: list[str], arranged: bool, actor: str = "") -> None:
    Change.objects.create(
        flow=flow,
        flow_name=flow.name,
        version=flow.version,
        actor=actor or acting().name,
        said=what[:1].upper() + what[1:LONGEST_SUMMARY],
        details=lines,
        arranged=arranged,
        document=document,
    )


def _begin_history(flow: Flow, document: Document) -> None:
    """A flow made before there was a history, or past it, begins with what it was before this edit."""
    if not flow.changes.filter(version=flow.version - 1).exists():
        earlier = Flow(pk=flow.pk, name=flow.name, version=flow.version - 1)
        _add(earlier, document, "The flow when its history began", [], False, actor="system")


def _check(flow: Flow, now: Document, base: Base) -> None:
    if base.version >= flow.version - 1:
        return
    seen = flow.changes.filter(version=base.version).first()
    touched = base.everything or seen is None
    if seen is not None and not touched:
        touched = any(base.is_touched_by(difference) for difference in differences(seen.document, now))
    if touched:
        raise EditConflict(flow, changes_since(flow, base.version))


def changes_since(flow: Flow, version: int) -> list[str]:
    """What was done after a version, one line each: "Ann, 2 minutes ago: linked A to B"."""
    later = flow.changes.filter(version__gt=version).order_by("version")
    return [
        f"{change.actor}, {timesince(change.at)} ago: {', '.join(change.details) or change.said}" for change in later
    ]
