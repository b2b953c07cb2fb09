"""Which dbt runtime a project uses: chosen by people, and asked for by whoever syncs an environment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.utils import timezone

from flows.access import Actor, require
from flows.models import Environment, Project
from nodes.dbt.runtime import Runtime, built_in
from nodes.dbt.warehouses.problems import no_adapter
from nodes.dbt.warehouses.registry import package_of
from nodes.runtimes import builds
from nodes.runtimes.models import DbtRuntime, RuntimeBuild, RuntimeLock
from nodes.runtimes.proposals import Proposal, propose, types_in
from nodes.runtimes.wanted import RuntimeProblem, Wanted, typed


@dataclass(frozen=True)
class Chosen:
    """What an environment runs on; `note` says why it is not what the project asks for, "" where it is."""

    runtime: Runtime
    lock: RuntimeLock | None = None  # None: the dbt that dex ships
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """What a revision remembers of it."""
        if self.lock is not None:
            return self.lock.as_json()
        return {"lock": "", "version": self.runtime.dbt, "adapters": list(self.runtime.adapters)}


def row_of(project: Project) -> DbtRuntime:
    """What the project chose; the built-in dbt where nobody chose yet. Not saved before something is written to it."""
    return DbtRuntime.objects.filter(project=project).first() or DbtRuntime(project=project)


def found_of(row: DbtRuntime) -> dict[str, dict[str, Any]]:
    """What the last syncs found, by id of the environments that there still are."""
    pks = {str(pk) for pk in Environment.objects.filter(project=row.project_id).values_list("pk", flat=True)}
    return {pk: each for pk, each in row.found.items() if pk in pks}


def proposal_of(row: DbtRuntime) -> Proposal | None:
    """What fits the project better than what it has; None where nothing needs to change."""
    shipped = built_in()
    proposal = propose(found_of(row), shipped.dbt, shipped.adapters)
    if proposal is None or row.source == DbtRuntime.Source.FOUND:
        return None
    if row.source == DbtRuntime.Source.TYPED and (proposal.file or proposal.problem or not _lacks(row)):
        return None
    return proposal


def _lacks(row: DbtRuntime) -> bool:
    """Whether an environment has a type of profile for which no adapter is named."""
    named = Wanted(tuple(row.requirements)).names
    return any(package_of(each) not in named for each in types_in(found_of(row)))


def wanted_of(row: DbtRuntime, environment_id: int) -> Wanted | None:
    """The requirements of an environment; None for the built-in dbt. Raises RuntimeProblem where there are none."""
    if row.source == DbtRuntime.Source.BUILT_IN:
        return None
    if row.source == DbtRuntime.Source.TYPED:
        return Wanted(tuple(row.requirements))
    found = row.found.get(str(environment_id), {})
    if found.get("problem"):
        raise RuntimeProblem(str(found["problem"]))
    if not found.get("dbt"):
        raise RuntimeProblem(
            "The project takes dbt from its repository, but no requirements file there names a package of dbt. Add "
            "dbt-requirements.txt, or choose another dbt runtime."
        )
    return Wanted(tuple(found["dbt"]), tuple(found["constraints"]))


def wanted_by(row: DbtRuntime) -> list[Wanted]:
    """All that the environments of a project need, each once."""
    if row.source == DbtRuntime.Source.TYPED:
        return [Wanted(tuple(row.requirements))]
    every: dict[str, Wanted] = {}
    for pk in found_of(row):
        try:
            wanted = wanted_of(row, int(pk))
        except RuntimeProblem:  # told where the environment is
            continue
        if wanted is not None:
            every[builds.digest_of(wanted)] = wanted
    return list(every.values())


def projects_with(digest: str) -> list[Project]:
    """The projects that use the build with this digest."""
    rows = DbtRuntime.objects.exclude(source=DbtRuntime.Source.BUILT_IN).select_related("project")
    return [row.project for row in rows if digest in map(builds.digest_of, wanted_by(row))]


# --- what people do ---------------------------------------------------------------------------------------------
def choose(project: Project, source: str, text: str = "") -> list[RuntimeBuild]:
    """Let a project use another dbt; the builds that are now to be made. Raises PermissionDenied, RuntimeProblem.

    In: `source`, a value of DbtRuntime.Source; `text`, requirements, one per line, where they are typed.
    """
    actor = require("flows.change_project")
    row, said = row_of(project), "Changed the dbt runtime to the built-in dbt."
    requirements: list[str] = list(row.requirements)
    if source == DbtRuntime.Source.TYPED:
        requirements = list(typed(text, types_in(found_of(row))).requirements)
        said = f"Changed the dbt runtime to {', '.join(requirements)}."
    elif source == DbtRuntime.Source.FOUND:
        files = sorted({str(each["file"]) for each in found_of(row).values() if each.get("dbt")})
        if not files:
            raise RuntimeProblem(
                "No requirements file that names a package of dbt was found at the last sync. Add "
                "dbt-requirements.txt to the repository and sync an environment, or enter the requirements here."
            )
        said = f"Changed the dbt runtime to what {', '.join(files)} of the repository says."
    row.source, row.requirements = source, requirements
    row.changed_at, row.changed_by = timezone.now(), actor.name[:200]
    row.save()
    _log(actor, project, said)
    return _requested(row, actor, again=False)


def request_rebuild(project: Project, digest: str = "") -> list[RuntimeBuild]:
    """Request that the runtimes of a project are resolved and built anew. Raises PermissionDenied.

    In: `digest`, of the only one that is meant ("": all).
    """
    actor = require("flows.change_project")
    rows = _requested(row_of(project), actor, again=True, digest=digest)
    _log(actor, project, "Requested a rebuild of the dbt runtime.")
    return rows


def _requested(row: DbtRuntime, actor: Actor, *, again: bool, digest: str = "") -> list[RuntimeBuild]:
    rows = [builds.build_of(wanted) for wanted in wanted_by(row)]
    rows = [each for each in rows if (again or each.lock is None) and digest in ("", each.digest)]
    for each in rows:
        each.requested_at, each.requested_by = timezone.now(), actor.name[:200]
        each.save(update_fields=["requested_at", "requested_by"])
    return rows


def _log(actor: Actor, project: Project, said: str) -> None:
    """Write it to the history of the project. What the system does has none, as everywhere."""
    if actor.user is not None:
        rows = Project.objects.filter(pk=project.pk)
        LogEntry.objects.log_actions(actor.user.pk, rows, CHANGE, change_message=said, single_object=True)


# --- what a sync needs ------------------------------------------------------------------------------------------
def note_found(environment: Environment, found: dict[str, Any]) -> DbtRuntime:
    """Remember what a sync found in the repository; the project's choice, as it is now."""
    with transaction.atomic():
        DbtRuntime.objects.get_or_create(project=environment.project)
        row = DbtRuntime.objects.select_for_update().get(project=environment.project)
        if row.found.get(str(environment.pk)) != found:
            row.found[str(environment.pk)] = found
            row.save(update_fields=["found"])
    return row


def runtime_for(
    environment: Environment, row: DbtRuntime, kind: str, *, stop: Callable[[], bool] = lambda: False
) -> Chosen:
    """What the environment runs on now, built if need be. Raises RuntimeProblem.

    Where it cannot be built, the runtime of the environment's last good revision is used, with a note.
    In: `kind`, the type of its profile ("": not known); `stop`, whether to give up.
    """
    chosen = _chosen(environment, row, stop)
    if kind and kind not in chosen.runtime.adapters:
        raise RuntimeProblem(no_adapter(kind, chosen.runtime.adapters) + (f" {chosen.note}" if chosen.note else ""))
    return chosen


def _chosen(environment: Environment, row: DbtRuntime, stop: Callable[[], bool]) -> Chosen:
    try:
        wanted = wanted_of(row, environment.pk)
        if wanted is None:
            return Chosen(built_in())
        lock, runtime = builds.prepare(wanted, stop=stop)
    except RuntimeProblem as error:
        last = environment.current_revision
        if last is None or error.stopped:
            raise
        try:
            runtime = builds.runtime_of(last, stop=stop)
        except RuntimeProblem:
            raise error from None
        digest = last.runtime.get("lock", "")
        kept = RuntimeLock.objects.filter(digest=digest).first() if digest else None
        return Chosen(runtime, kept, f"The dbt runtime could not be built, so dbt {runtime.dbt} stays in use. {error}")
    return Chosen(runtime, lock)
