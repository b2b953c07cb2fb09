"""What is done to many runs at once: cancel active ones, acknowledge failed ones; repeating.py reruns failed ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q, QuerySet

from flows.access import acting, require
from flows.models import Environment
from runs import services
from runs.models import Acknowledgement, Run
from runs.pages.run_list.filters import Filters, runs_with
from runs.pages.run_list.page import newest
from runs.pages.run_list.repeating import Outcome, form_key, rerun_all
from runs.states import RUN_ACTIVE, RunState

MOST = 200  # runs at a time
LONGEST_NOTE = 1000
REASONS_TOLD = 3


def cancel_all(runs: Iterable[Run]) -> Outcome:
    """Cancel what is not over."""
    require("runs.add_run")
    actor, outcome = acting(), Outcome()
    for run in runs:
        if services.cancel_run(run.pk, actor=actor.name):
            outcome.done += 1
        else:
            outcome.left_out["already finished" if run.is_over else "already being cancelled"] += 1
    return outcome


def acknowledge_all(runs: Iterable[Run], *, note: str = "") -> Outcome:
    """Acknowledge failures: they leave the failing flows of Home. What was acknowledged before keeps its note."""
    actor, outcome = require("runs.add_run"), Outcome()
    for run in runs:
        if run.state != RunState.FAILED:
            outcome.left_out["not failed"] += 1
            continue
        values = {"by": actor.name[:200], "note": note.strip()[:LONGEST_NOTE]}
        _, is_new = Acknowledgement.objects.get_or_create(run=run, defaults=values)
        if is_new:
            outcome.done += 1
        else:
            outcome.left_out["already acknowledged"] += 1
    return outcome


@dataclass(frozen=True)
class Action:
    """Something that can be done to many runs: `fits` says which of a filter's runs it is for."""

    verb: str
    done: str
    icon: str
    fits: Q
    do: Callable[[list[Run], str, str], Outcome]


ACTIONS = {
    "rerun": Action(
        *("Rerun from failure", "being rerun from failure", "rotate-ccw", Q(state=RunState.FAILED)),
        lambda runs, key, note: rerun_all(runs, key=key, known=()),
    ),
    "cancel": Action(
        *("Cancel", "being cancelled", "circle-stop", Q(state__in=sorted(RUN_ACTIVE), cancel_requested_at=None)),
        lambda runs, key, note: cancel_all(runs),
    ),
    "acknowledge": Action(
        *("Acknowledge", "acknowledged", "check", Q(state=RunState.FAILED, acknowledgement__isnull=True)),
        lambda runs, key, note: acknowledge_all(runs, note=note),
    ),
}


def said(name: str, outcome: Outcome) -> str:
    """One sentence about what happened to how many."""
    parts = (
        [f"{_runs(outcome.done)} {'is' if outcome.done == 1 else 'are'} {ACTIONS[name].done}"] if outcome.done else []
    )
    told = outcome.left_out.most_common(REASONS_TOLD)
    parts += [f"{_runs(number)} skipped: {reason}" for reason, number in told]
    if rest := sum(outcome.left_out.values()) - sum(number for _, number in told):
        parts.append(f"{rest} more skipped")
    return "; ".join(parts) + "." if parts else "Nothing to do."


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"


def that_fit(
    name: str, filters: Filters, environment: Environment | None, zone: ZoneInfo, *, key: str, upto: int
) -> list[Run]:
    """The runs of a filter with an id up to `upto` that an action is for: MOST, and one more where there are more."""
    rows: QuerySet[Run] = runs_with(filters, environment, zone).filter(ACTIONS[name].fits)
    if name == "rerun":  # what was fixed by a rerun meanwhile, or is being, needs none; one of this form is the same
        again = Run.objects.filter(retry_of=OuterRef("pk"), state__in=[*sorted(RUN_ACTIVE), RunState.SUCCEEDED])
        rows = rows.exclude(Exists(again.exclude(key__startswith=form_key(key)) if key else again))
    return newest(rows, MOST + 1, before=upto + 1)
