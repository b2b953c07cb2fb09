"""Builds of dbt runtimes as the database knows them: requested on a page, done by workers, with log and result."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from flows.infra.redaction import Redactor
from flows.models import Revision
from nodes.dbt.runtime import Runtime, built_in
from nodes.runtimes import locks
from nodes.runtimes.locks import Built, Lock
from nodes.runtimes.models import RuntimeBuild, RuntimeLock
from nodes.runtimes.wanted import RuntimeProblem, Wanted
from nodes.virtualenvs import Index, Order, SetupFailed, alone

log = logging.getLogger("dex.runtimes")
AGAIN = timedelta(minutes=5)  # after which a build that failed is tried again, unless somebody asks
LARGEST_LOG = 2 * 1024**2  # bytes
Sink = Callable[[bytes], None]


def _nobody(data: bytes) -> None:
    """Hears nothing."""


def digest_of(wanted: Wanted) -> str:
    """Names the build of these requirements from the index that is set."""
    where = Index.of(settings)
    return wanted.digest(where.url, where.find_links, where.build)


def build_of(wanted: Wanted) -> RuntimeBuild:
    """The row of these requirements, which is there afterwards."""
    row, _ = RuntimeBuild.objects.get_or_create(
        digest=digest_of(wanted),
        defaults={"requirements": list(wanted.requirements), "constraints": list(wanted.constraints)},
    )
    return row


def log_of(row: RuntimeBuild) -> Path:
    """The file with the log of its last build; it grows while that goes on, and may not be there."""
    return locks.root(Path(settings.DEX_HOME)) / "logs" / f"{row.digest}.log"


def prepare(
    wanted: Wanted, *, told: Sink = _nobody, stop: Callable[[], bool] = lambda: False
) -> tuple[RuntimeLock, Runtime]:
    """The lock and the runtime of these requirements, resolved and built now if need be or if that was requested.

    In: `told`, hears what goes to the log too; `stop`, whether to give up. Raises RuntimeProblem where there is none. A
    rebuild that fails is noted, and the one before is returned.
    """
    row = build_of(wanted)
    if row.lock is not None and not row.waits:
        return row.lock, runtime_of_lock(row.lock, told=told, stop=stop)
    if _failed_just_now(row):
        raise RuntimeProblem(row.problem)
    folder = locks.prepare_folder(Path(settings.DEX_HOME))
    try:
        with alone(folder / f"{row.digest}.lock", told, stop):
            row.refresh_from_db()
            if row.lock is None or row.waits:
                if _failed_just_now(row):
                    raise RuntimeProblem(row.problem)
                _build(row, wanted, told, stop)
    except OSError as error:
        raise RuntimeProblem(locks.of_the_disk(error, Path(settings.DEX_HOME))) from error
    except SetupFailed as error:  # stopped while it waited
        raise RuntimeProblem(str(error), passing=True, stopped=True) from error
    if row.lock is None:
        raise RuntimeProblem(row.problem)
    return row.lock, runtime_of_lock(row.lock, told=told, stop=stop)


def _failed_just_now(row: RuntimeBuild) -> bool:
    if row.lock is not None or row.waits or row.problem_at is None:
        return False
    return timezone.now() - row.problem_at < AGAIN


def _build(row: RuntimeBuild, wanted: Wanted, told: Sink, stop: Callable[[], bool]) -> None:
    """Resolve and build, and write what became of it to the row."""
    row.started_at = timezone.now()
    row.save(update_fields=["started_at"])
    with _logged(row, told) as hear:
        try:
            wanted.check()
            lock, built = locks.make(wanted, _order(hear, stop, fresh=row.waits), settings.PYTHON_PATH)
        except RuntimeProblem as error:
            hear(f"{error}\n".encode())
            row.started_at = None
            if error.stopped:
                row.save(update_fields=["started_at"])
                raise
            row.problem, row.problem_at = masked(str(error)), timezone.now()
            row.save(update_fields=["started_at", "problem", "problem_at"])
            log.info("the dbt runtime of %s could not be built: %s", row, row.problem)
            return
        except BaseException:
            RuntimeBuild.objects.filter(pk=row.pk).update(started_at=None)
            raise
    row.lock = _kept(lock, built)
    row.built_at, row.host, row.size = timezone.now(), socket.gethostname()[:200], built.size
    row.started_at, row.problem, row.problem_at = None, "", None
    row.save(update_fields=["lock", "built_at", "host", "size", "started_at", "problem", "problem_at"])


_BY_COMMANDS = "Sessions cannot run on this dbt ({}). Its models are built by dbt commands."


def _kept(lock: Lock, built: Built) -> RuntimeLock:
    row, _ = RuntimeLock.objects.update_or_create(
        digest=lock.digest,
        defaults={
            "text": lock.text,
            "python": lock.python,
            "version": built.runtime.dbt,
            "adapters": list(built.runtime.adapters),
            "packages": list(built.packages),
            "notes": [*lock.notes, *([_BY_COMMANDS.format(built.no_session)] if built.no_session else [])],
            "no_session": built.no_session,
        },
    )
    return row


def runtime_of_lock(row: RuntimeLock, *, told: Sink = _nobody, stop: Callable[[], bool] = lambda: False) -> Runtime:
    """The runtime of a lock on this machine, built again if it was pruned. Raises RuntimeProblem."""
    lock = Lock(row.text, row.python, tuple(row.notes))
    return locks.build(lock, _order(told, stop), settings.PYTHON_PATH).runtime


def runtime_of(revision: Revision, *, told: Sink = _nobody, stop: Callable[[], bool] = lambda: False) -> Runtime:
    """The runtime that a revision was parsed with, built again if it was pruned. Raises RuntimeProblem."""
    digest = revision.runtime.get("lock", "")
    if not digest:
        return built_in()
    row = RuntimeLock.objects.filter(digest=digest).first()
    if row is None:
        raise RuntimeProblem(
            f"Revision {revision} was parsed with dbt {revision.runtime.get('version')}, whose lock was pruned. "
            "Rerun it on the latest revision."
        )
    return runtime_of_lock(row, told=told, stop=stop)


def masked(text: str) -> str:
    """A text without the password that the address of the index may hold."""
    return Redactor(_secrets()).whole(text)


def _secrets() -> list[str]:
    found = urlsplit(settings.SCRIPT_INDEX_URL)
    return [each for each in (found.password, found.username if not found.password else "") if each]


def _order(hear: Sink, stop: Callable[[], bool], *, fresh: bool = False) -> Order:
    return Order(
        Index.of(settings),
        Path(settings.DEX_HOME),
        hear,
        settings.SCRIPT_SETUP_TIMEOUT_S,
        stop,
        settings.SCRIPT_UIDS,
        fresh=fresh,
    )


@contextmanager
def _logged(row: RuntimeBuild, told: Sink) -> Iterator[Sink]:
    """What is heard goes, masked, to the row's log, whose beginning is kept, and to `told`.

    A disk that is full is noticed by the build itself: the log is not the first to fail.
    """
    path, redactor, size = log_of(row), Redactor(_secrets()), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("wb", buffering=0)
    except OSError as error:
        log.warning("the log of a dbt runtime cannot be written: %s", error)
        yield told
        return

    def write(data: bytes) -> None:
        nonlocal size
        data = data[: max(0, LARGEST_LOG - size)]
        size += len(data)
        try:
            file.write(data)
        except OSError:
            return

    def hear(data: bytes) -> None:
        data = redactor.feed(data)
        write(data)
        told(data)

    with file:
        yield hear
        write(redactor.flush())
