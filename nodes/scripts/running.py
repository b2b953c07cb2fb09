"""Runs one script package as one attempt: its virtualenv, its parameters, its child process, its output."""

import json
import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from flows.infra import process
from nodes.scripts import children
from nodes.scripts.packages import FOLDER
from nodes.scripts.renewal import prepare
from nodes.tasks import AttemptOutcome, Context, Stopped
from nodes.virtualenvs import SetupFailed
from nodes.virtualenvs.requirements import RequirementsError
from nodes.virtualenvs.requirements import read as read_requirements

LARGEST_OUTPUT = 64 * 1024  # bytes of DEX_OUTPUT
POLL_S = 0.1
CHILDREN = "children.json"


@dataclass(frozen=True)
class Given:
    """What a script is given."""

    arguments: Sequence[tuple[str, str]]  # (key, value) in order
    variables: Mapping[str, str]  # its environment
    warehouse: Mapping[str, str]  # how to reach the warehouse, as DEX_WAREHOUSE_*
    database: Path | None = None  # the warehouse's file, where it is one
    network: bool = True


def run_package(context: Context, project_dir: Path, package: str, given: Given) -> AttemptOutcome:
    """Run dex-custom-scripts/<package> of a project. Raises Stopped when the worker ends."""
    folder = project_dir / FOLDER / package
    if not (folder / "__main__.py").is_file():
        message = f"The script package {package} no longer exists: this revision has no {FOLDER}/{package}/__main__.py."
        return AttemptOutcome("failed", message, retryable=False)
    level = process.isolation().level
    if level < settings.ISOLATION:
        message = (
            f"This machine isolates scripts at level {level}, but DEX_ISOLATION requires {settings.ISOLATION}: "
            f"{process.isolation().missing} See docs/isolation.md."
        )
        return AttemptOutcome("failed", message, retryable=False)
    if not given.network and level < 3:
        return AttemptOutcome(
            "failed", "This machine cannot block network access of scripts; that needs bubblewrap.", retryable=False
        )
    try:
        requirements = read_requirements(folder / "requirements.txt", anything=settings.SCRIPT_ANY_REQUIREMENT)
        place = prepare(requirements, told=context.log, stop=lambda: context.must_end)
    except RequirementsError as error:
        return AttemptOutcome("failed", str(error), retryable=False)
    except SetupFailed as error:
        if context.cancelled.is_set():
            return AttemptOutcome("cancelled", "cancelled while its virtual environment was built")
        if context.must_end:
            raise Stopped from error
        return AttemptOutcome("failed", f"its virtual environment cannot be built: {error}", retryable=error.passing)
    return _run(context, folder, place, given)


def _run(context: Context, folder: Path, place: Path, given: Given) -> AttemptOutcome:
    uid = process.take_user(settings.SCRIPT_UIDS)
    work, database = context.work, given.database
    try:
        _prepare(work, uid)
        if database is not None and uid is not None:
            _lend_database(context, database, uid)
        if process.isolation().level == 2:
            for path in (folder, place, work, *((database.parent,) if database is not None else ())):
                if path.is_relative_to(settings.DEX_HOME):
                    process.let_pass(path, Path(settings.DEX_HOME))
        box = process.Sandbox(
            readable=(*process.interpreter(), place, folder.parents[1]),
            writable=(work, *((database.parent,) if database is not None else ())),
            tmp=work / "tmp",
            uid=uid,
            network=given.network,
        )
        child = process.start(
            # The file, not its folder: children that multiprocessing spawns run it again, and skip that of a folder.
            [str(place / "bin" / "python"), str(folder / "__main__.py"), *(value for _, value in given.arguments)],
            env=_environment(context, place, given),
            cwd=folder,
            limits=_limits(),
            on_output=context.log,
            box=box,
        )
        context.started(child, uid)
        return _follow(context, child, work)
    finally:
        process.give_uid_back(uid)
        shutil.rmtree(work, ignore_errors=True)


def _follow(context: Context, child: process.Child, work: Path) -> AttemptOutcome:
    """Wait for the end of the script, or bring it about."""
    deadline = time.monotonic() + context.timeout
    late = False
    while child.wait(POLL_S) is None:
        late = time.monotonic() >= deadline
        if context.lost.is_set():
            child.kill()
        elif late or context.must_end:
            child.kill_tree(grace_int=settings.KILL_GRACE_S, grace_term=settings.KILL_GRACE_S / 2)
    code = child.wait(10)
    if context.stopping.is_set() and not context.cancelled.is_set() and code != 0:
        raise Stopped
    if context.cancelled.is_set():
        return AttemptOutcome("cancelled", "cancelled", exit_code=code)
    if late:
        return AttemptOutcome("failed", f"timeout after {context.timeout:g} s", exit_code=code)
    if code != 0:
        return AttemptOutcome("failed", _how(child, code), exit_code=code)
    if lost := _lost_children(work / CHILDREN):
        return AttemptOutcome("failed", lost, exit_code=code)
    try:
        output = read_output(work / "output.json")
    except ValueError as error:
        return AttemptOutcome("failed", f"DEX_OUTPUT {error}", exit_code=code)
    return AttemptOutcome("succeeded", result={"output": output} if output else {}, exit_code=code)


def read_output(path: Path) -> dict[str, Any]:
    """What a script wrote to DEX_OUTPUT; nothing where it wrote nothing. Raises ValueError, saying what is wrong."""
    value = read_json(path)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object, such as {"rows": 12}')
    return value


def read_json(path: Path) -> Any:
    """What a script left in a file of its own; None where it left nothing. Raises ValueError, saying what is wrong."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a file")
        data = file.read(LARGEST_OUTPUT + 1)
    if not data.strip():
        return None
    if len(data) > LARGEST_OUTPUT:
        raise ValueError(
            f"is larger than {LARGEST_OUTPUT // 1024} KiB; write large results elsewhere and their location here"
        )
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}"[:300]) from error


def _lost_children(path: Path) -> str:
    """What nodes.scripts.children wrote, in words; empty where no child failed unseen."""
    try:
        lost = read_json(path)
        names = [f"{str(name)[:60]} with {_code(int(code))}" for name, code in lost or []]
    except (ValueError, TypeError, OverflowError) as error:  # whatever is there, the script wrote it
        return f"its child processes cannot be told from {path.name}: {error}"[:300]
    if not names:
        return ""
    return (
        f"exit code 0, but child process {' and '.join(names[:3])}{' and others' if len(names) > 3 else ''} "
        "failed and the script did not look. Raise what fails, or read the exitcode of the process."
    )


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _environment(context: Context, place: Path, given: Given) -> dict[str, str]:
    work = context.work
    own = {
        "DEX_RUN_ID": str(context.run_id),
        "DEX_TASK_ID": str(context.task_run_id),
        "DEX_ATTEMPT": str(context.attempt),
        "DEX_FLOW": context.flow,
        "DEX_OUTPUT": str(work / "output.json"),
        "VIRTUAL_ENV": str(place),
        "PATH": f"{place / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(work / "home"),
        "TMPDIR": str(work / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        children.VARIABLE: str(work / CHILDREN),
    }
    parameters = {f"DEX_PARAM_{key.upper()}": value for key, value in given.arguments}
    clean = process.clean_environment(home=work / "home")
    return {**given.variables, **parameters, **given.warehouse, **clean, **own}


def _limits() -> process.Limits:
    return process.Limits(
        memory=settings.SCRIPT_MEMORY_MB * 1024**2 or None,
        processes=settings.SCRIPT_PROCESSES,
        open_files=settings.SCRIPT_OPEN_FILES,
        file_size=settings.SCRIPT_FILE_MB * 1024**2 or None,
        nice=10,
    )


def _prepare(work: Path, uid: int | None) -> None:
    """A folder of the attempt's own, for whoever runs it."""
    shutil.rmtree(work, ignore_errors=True)
    for path in (work, work / "home", work / "tmp"):
        path.mkdir(parents=True, mode=0o700)
        if uid is not None:
            os.chown(path, uid, uid)


def _lend_database(context: Context, database: Path, uid: int) -> None:
    """Let the script's user write the file of its environment's warehouse until the script has ended."""
    database = database.resolve()
    if not database.is_relative_to(Path(settings.DEX_HOME).resolve() / process.WAREHOUSES):
        context.log(
            f"dex: {database} is outside of dex's own folder; this script runs as user {uid}, "
            "which must be able to write it\n".encode()
        )
        return
    process.lend(database.parent, (database, database.with_name(f"{database.name}.wal")), uid)


def _how(child: process.Child, code: int | None) -> str:
    if child.signal == 9:
        return "killed by signal 9, probably because it used too much memory"
    return f"killed by signal {child.signal}" if child.signal else f"exit code {code}"
