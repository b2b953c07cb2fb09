"""When virtualenvs of scripts are renewed: requested on a page, done by workers, with the result on the page."""

import hashlib
import json
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from flows.access import require
from nodes.models import Virtualenv
from nodes.scripts.packages import Package
from nodes.scripts.virtualenvs import Renewal, made_of, virtualenv_for
from nodes.virtualenvs import Index, SetupFailed
from nodes.virtualenvs.requirements import RequirementsError, read, unpinned

log = logging.getLogger("dex.scripts")
DAY_S = 86400.0


def digest_of(requirements: Sequence[str]) -> str:
    """Names a list of requirements, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(set(requirements))).encode()).hexdigest()


def known(requirements: Sequence[str]) -> Virtualenv | None:
    """The virtualenv for these requirements as workers built it last; None where none was built yet."""
    return Virtualenv.objects.filter(digest=digest_of(requirements)).first()


def request_renewal(requirements: Sequence[str]) -> Virtualenv:
    """Request that the virtualenv of these requirements is resolved anew. Raises PermissionDenied."""
    actor = require("nodes.change_node")
    row, _ = Virtualenv.objects.get_or_create(
        digest=digest_of(requirements), defaults={"requirements": list(requirements)}
    )
    row.requested_at, row.requested_by = timezone.now(), actor.name[:200]
    row.save(update_fields=["requested_at", "requested_by"])
    return row


def prepare(
    requirements: Sequence[str], *, told: Callable[[bytes], None], stop: Callable[[], bool] = lambda: False
) -> Path:
    """The virtualenv of these requirements on this machine, built or renewed now if need be. Raises SetupFailed."""
    failures: list[str] = []
    row = _row(requirements)
    renewal = Renewal(
        asked=row.requested_at.timestamp() if row is not None and row.requested_at else 0,
        age=settings.SCRIPT_RENEW_DAYS * DAY_S,
        failed=failures.append,
    )
    place = virtualenv_for(
        requirements,
        Index.of(settings),
        Path(settings.DEX_HOME),
        log=told,
        timeout=settings.SCRIPT_SETUP_TIMEOUT_S,
        stop=stop,
        uids=settings.SCRIPT_UIDS,
        renewal=renewal if requirements else Renewal(),
    )
    if requirements:
        _tell(requirements, row, place, failures[-1] if failures else "")
    return place


def renew(pk: int, stop: Callable[[], bool] = lambda: False) -> None:
    """Renew a virtualenv if that was requested, on this machine and now; other machines do it at their next use.

    In: `stop`, whether to give up; then its next use here renews it, too.
    """
    row = Virtualenv.objects.filter(pk=pk).first()
    if row is None or not row.waits:
        return
    try:
        prepare(row.requirements, told=lambda data: None, stop=stop)
    except SetupFailed as error:  # there is none yet, or it was stopped
        if stop():
            return
        Virtualenv.objects.filter(pk=pk).update(problem=str(error), problem_at=timezone.now())


@dataclass(frozen=True)
class Told:
    """What a page shows of the virtualenv of a package. `problem`: why its requirements cannot be used."""

    package: str
    row: Virtualenv | None = None
    open: int = 0  # how many installed packages no requirement pins
    problem: str = ""


def told_of(packages: Sequence[Package]) -> dict[str, Told]:
    """By name of those packages that have requirements; one query."""
    requirements: dict[str, list[str]] = {}
    by_name: dict[str, Told] = {}
    for package in packages:
        if package.requirements:
            try:
                requirements[package.name] = requirements_of(package)
            except RequirementsError as error:
                by_name[package.name] = Told(package.name, problem=str(error))
    digests = {name: digest_of(lines) for name, lines in requirements.items()}
    rows = {row.digest: row for row in Virtualenv.objects.filter(digest__in=digests.values())}
    for name, lines in requirements.items():
        row = rows.get(digests[name])
        by_name[name] = Told(name, row, len(unpinned(row.lock, lines)) if row is not None else 0)
    return by_name


def requirements_of(package: Package) -> list[str]:
    """What a package's requirements.txt asks for. Raises RequirementsError."""
    return read(package.folder / "requirements.txt", anything=settings.SCRIPT_ANY_REQUIREMENT)


def _row(requirements: Sequence[str]) -> Virtualenv | None:
    try:
        return known(requirements) if requirements else None
    except DatabaseError as error:  # a script that has its virtualenv can do without
        log.warning("not known whether a virtualenv is to be renewed: %s", error)
        return None


def _tell(requirements: Sequence[str], row: Virtualenv | None, place: Path, problem: str) -> None:
    """Write the new state for the page, if it has changed. No script fails because it cannot be written."""
    contents = made_of(place)
    built = datetime.fromtimestamp(contents.built, UTC)
    news: dict[str, object] = {}
    if problem:
        news |= {"problem": problem, "problem_at": timezone.now()}
    if row is None or row.built_at is None or row.built_at < built:
        news |= {"lock": list(contents.lock), "built_at": built, "host": socket.gethostname()[:200]}
        news |= {} if problem else {"problem": "", "problem_at": None}
    if not news:
        return
    try:
        Virtualenv.objects.update_or_create(
            digest=digest_of(requirements), defaults=news, create_defaults={**news, "requirements": list(requirements)}
        )
    except DatabaseError as error:
        log.warning("what a virtualenv consists of could not be written: %s", error)
