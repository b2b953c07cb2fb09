"""Many runs repeated from their failures: what each would do, which need it no more, and the start of the rest."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from flows.access import acting, require
from flows.infra.ids import id_of
from flows.parameters import ParameterError, check_values
from nodes import ordering
from nodes.expansion import FlowPlan
from runs import services
from runs.models import Run, TaskRun
from runs.planning import reruns
from runs.planning.rerun_decisions import Scope
from runs.planning.reruns import NEWEST, SAME, Preview
from runs.states import DONE, OVER, RUN_ACTIVE, RunState

MOST_NAMED = 3
MOST_TASKS = 50  # of one run that the plan lists by name


@dataclass
class Outcome:
    """What became of how many: `done` as wished, the others left out, by reason."""

    done: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Candidate:
    """One run of many that shall be repeated."""

    run: Run
    keys: tuple[str, ...]  # tasks that run again though they succeeded
    preview: Preview
    problem: str = ""  # why it cannot be repeated
    fixed: str = ""  # why it need not be
    chosen: bool = True

    @property
    def id(self) -> str:
        """The run's number as a form has it, without the separators of thousands."""
        return str(self.run.pk)

    @property
    def named_keys(self) -> list[str]:
        """Run and task in one field of a form."""
        return [f"{self.run.pk}:{key}" for key in self.keys]

    @property
    def running(self) -> list[reruns.Foreseen]:
        """What runs again, as much of it as is listed."""
        return self.preview.running[:MOST_TASKS]

    @property
    def unlisted(self) -> int:
        """How many run that are not listed."""
        return max(0, len(self.preview.running) - MOST_TASKS)


def fixed_by(run: Run) -> list[Run]:
    """Later runs of the flow in which all that did not succeed here has succeeded; empty where something has not.

    A run for other parameters (another day, another country) mends nothing here. The latest end of each task counts,
    so what succeeded and failed again is not fixed. At most three queries.
    """
    if run.flow_id is None:
        return []
    later = Run.objects.filter(flow=run.flow_id, pk__gt=run.pk, parameters=run.parameters)
    rows = reruns.basis_of(run).task_runs.exclude(kind__in=[ordering.GATE, ordering.HOOK])
    missing = set(rows.exclude(state__in=DONE).values_list("unique_id", flat=True))
    if not missing:
        # It never got a plan, or ended otherwise than its tasks: only a whole success says that all is well.
        return list(later.filter(state=RunState.SUCCEEDED).order_by("-pk")[:1])
    ends = TaskRun.objects.filter(run__in=later, unique_id__in=missing, state__in=OVER).order_by("run_id")
    latest = {key: (state, pk) for key, state, pk in ends.values_list("unique_id", "state", "run_id")}
    if set(latest) != missing or any(state not in DONE for state, _ in latest.values()):
        return []
    return list(Run.objects.filter(pk__in={pk for _, pk in latest.values()}).order_by("pk"))


def candidates(
    runs: Iterable[Run],
    *,
    revision: str = SAME,
    keys: Mapping[int, Collection[str]] | None = None,
    listed: Collection[int] = (),
    ticked: Collection[int] = (),
) -> list[Candidate]:
    """The plan: what a rerun of each run from its failure would do, on the same revision or the newest.

    In: `keys`, tasks that shall run again besides, by run; `listed` and `ticked`, what the form showed before and what
    was chosen there, so that a plan that is shown again keeps the choice. What need not be repeated is not chosen.
    """
    plans: dict[int, FlowPlan] = {}
    rows = []
    for run in runs:
        named = tuple(sorted((keys or {}).get(run.pk, ())))
        problem = _problem(run, named, revision)
        preview = Preview()
        if not problem:
            scope = Scope("selected" if named else "failed", frozenset(named))
            preview = reruns.preview(run, scope, revision=revision, plans=plans)
            problem = preview.problem
        why = "" if problem or named else fixed(run)
        chosen = not problem and (run.pk in ticked if run.pk in listed else not why)
        rows.append(Candidate(run, named, preview, problem, why, chosen))
    return rows


def _problem(run: Run, keys: Sequence[str], revision: str) -> str:
    """Why a run cannot be repeated, as the start would say it; "" when it can."""
    if not keys and run.state == RunState.SUCCEEDED:
        return "Everything in this run succeeded."
    going = Run.objects.filter(retry_of=run, state__in=RUN_ACTIVE).order_by("pk").first()
    if going is not None:
        return f"Run {going.pk} already reruns it."
    try:
        reruns.check_rerun(run, Scope("selected" if keys else "failed", frozenset(keys)), revision)
        if run.flow is not None:
            check_values(run.flow.parameters, run.parameters)
    except (services.RunError, ParameterError) as error:
        return str(error)
    return ""


def fixed(run: Run) -> str:
    """Why a run need not be repeated any more, naming the runs that fixed it; "" where it must."""
    fixes = fixed_by(run)
    if not fixes:
        return ""
    named = ", ".join(f"#{each.pk}" for each in fixes[-MOST_NAMED:])
    return f"the failed tasks have succeeded since, in run {named}"


def rerun_all(
    runs: Iterable[Run],
    *,
    key: str,
    revision: str = SAME,
    keys: Mapping[int, Collection[str]] | None = None,
    known: Collection[int] | None = None,
) -> Outcome:
    """Repeat runs from their failures; the same `key` repeats each of them once.

    In: `revision`, SAME or NEWEST; `keys` as in candidates(); `known`, runs that the plan called fixed and that
    were chosen nevertheless. What has been fixed since the plan was shown is left out; None: repeat all the same.
    """
    require("runs.add_run")
    actor, outcome = acting(), Outcome()
    for run in runs:
        named = (keys or {}).get(run.pk, ())
        if not named and run.state == RunState.SUCCEEDED:
            outcome.left_out["succeeded"] += 1
            continue
        once = f"{form_key(key)}{run.pk}" if key else None
        again = bool(once) and Run.objects.filter(key=once).exists()
        if not again and not named and known is not None and run.pk not in known and fixed_by(run):
            outcome.left_out["fixed since"] += 1
            continue
        try:
            reruns.rerun(run, actor=actor.name, user=actor.user, keys=named, revision=revision, key=once)
            outcome.done += 1
        except (services.RunError, ParameterError) as error:
            outcome.left_out[_plain(run, str(error))] += 1
    return outcome


def form_key(key: str) -> str:
    """How the keys begin of the runs that one form starts."""
    return f"bulk {key[:60]} "


def _plain(run: Run, text: str) -> str:
    """A reason that is the same for many runs."""
    if not run.is_over:
        return "not finished yet"
    if "already reruns this run" in text:
        return "already being rerun"
    return text.rstrip(".")


def plan_page(
    request: HttpRequest,
    runs: Iterable[Run],
    *,
    key: str,
    back: str = "",
    keys: Mapping[int, Collection[str]] | None = None,
    more: bool = False,
    replanned: bool = False,
) -> HttpResponse:
    """The page that says what would be repeated, before anything is. Asks again where its own form was sent.

    In: `key`, of the form, so that a double click starts each rerun once; `back`, the list's filter; `more`, whether
    more runs fit than are shown; `replanned`, whether somebody wanted to start, but on other code than was planned.
    """
    sent = request.POST
    revision = NEWEST if sent.get("revision") == NEWEST else SAME
    rows = candidates(runs, revision=revision, keys=keys, listed=numbers(sent, "listed"), ticked=numbers(sent, "run"))
    context: dict[str, Any] = {
        "candidates": rows,
        "revision": revision,
        "key": key,
        "back": back,
        "more": more,
        "replanned": replanned,
        "chosen": sum(row.chosen for row in rows),
        "fixed": sum(bool(row.fixed) for row in rows),
    }
    return render(request, "runs/repeating.html", context)


def numbers(sent: Any, name: str) -> set[int]:
    """The ids that a form sent under a name; what is none is left out."""
    return {pk for text in sent.getlist(name) if (pk := id_of(text)) is not None}


def keys_of(sent: Any) -> dict[int, set[str]]:
    """Run -> the tasks of it that a form named, as Candidate.named_keys wrote them."""
    keys: dict[int, set[str]] = {}
    for text in sent.getlist("key_of")[:5000]:
        number, _, key = text.partition(":")
        if (pk := id_of(number)) is not None and key:
            keys.setdefault(pk, set()).add(key[:500])
    return keys
