"""From requirements to a lock, and from a lock to the virtualenv that it means: the same one every time.

A virtualenv is a folder under DEX_HOME/runtimes, named after its lock and the Python that runs it. It is put there when
it is whole and dbt's contract has been checked in it. Knows no database.
"""

import errno
import hashlib
import json
import os
import re
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from flows.infra import process
from nodes.dbt.lines import LINES, NEWEST, SPOKEN, SUPPORTED, line_of, pythons_of
from nodes.dbt.runtime import CODE, Runtime, runtime_at
from nodes.runtimes.wanted import RuntimeProblem, Wanted
from nodes.virtualenvs import Interpreter, Order, SetupFailed, Site, alone, construction, installed, workshop
from nodes.virtualenvs.interpreters import choose, lines_here

MADE = "made.json"
PARSER = "dbt-core-experimental-parser"
WITHOUT_PARSER = (
    f"{PARSER} is left out, because the index has no release of it that can be installed for this dbt. Only dbt's "
    "option --use-v2-parser needs it."
)
_OVERRIDE = f'{PARSER} ; python_version < "3"\n'
_CHECK_S = 180.0  # that the contract check may take; importing a large adapter takes 10 s
_WHEELS = re.compile(r"Wheels are required for `([A-Za-z0-9._-]{1,100})` because building from source is disabled")
_CORE = re.compile(r"^dbt-core==([0-9][0-9A-Za-z.+]*)", re.M)


@dataclass(frozen=True)
class Lock:
    """A resolved runtime: uv's text with hashes, the line of Python that it was resolved for, and remarks."""

    text: str
    python: str
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names it."""
        return hashlib.sha256(json.dumps([self.text, self.python]).encode()).hexdigest()


@dataclass(frozen=True)
class Built:
    """A virtualenv that dbt runs in."""

    place: Path
    runtime: Runtime
    packages: tuple[str, ...]
    size: int  # bytes
    no_session: str = ""  # why sessions cannot run on it


def root(home: Path) -> Path:
    """The folder of all runtimes."""
    return home / "runtimes"


def prepare_folder(home: Path) -> Path:
    """The folder of all runtimes, which is there afterwards. Raises RuntimeProblem where it cannot be."""
    folder = root(home)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RuntimeProblem(of_the_disk(error, home)) from error
    return folder


def make(wanted: Wanted, order: Order, folders: str = "") -> tuple[Lock, Built]:
    """Resolve requirements now and build what comes of it. Raises RuntimeProblem.

    In: `order`, whose Python is replaced by one that fits; `folders` where Pythons are looked for, beside the usual.
    """
    try:
        lock, python = _resolved(wanted, order, folders)
        try:
            return lock, _built(lock, replace(order, python=python))
        except SetupFailed as error:
            if PARSER not in error.output or lock.notes or order.stop():
                raise
            lock, python = _without_parser(wanted, order, folders)
            return lock, _built(lock, replace(order, python=python))
    except (SetupFailed, OSError) as error:
        raise problem_of(error, order) from error


def build(lock: Lock, order: Order, folders: str = "") -> Built:
    """The virtualenv of a lock on this machine, built now if it is not there. Raises RuntimeProblem."""
    python = choose([lock.python], folders)
    if python is None:
        raise RuntimeProblem(
            f"This dbt runtime was locked for Python {lock.python}, which this machine does not have. Install it, or "
            "press Rebuild on the page of the dbt runtime, so that it is locked for another."
        )
    try:
        return _built(lock, replace(order, python=python))
    except (SetupFailed, OSError) as error:
        raise problem_of(error, order) from error


def key_of(text: str, python: Interpreter) -> str:
    """Names the folder of a lock: the same for everything that cannot change it."""
    parts = [text, python.version, python.tag, sysconfig.get_platform(), python.prefix]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def problem_of(error: SetupFailed | OSError, order: Order) -> RuntimeProblem:
    """What went wrong, in a sentence that says what to do."""
    if isinstance(error, OSError):
        return RuntimeProblem(of_the_disk(error, order.home))
    if order.stop():
        return RuntimeProblem("The worker ended while it built the dbt runtime.", passing=True, stopped=True)
    if "No space left on device" in error.output or "os error 28" in error.output:
        return RuntimeProblem(_FULL.format(home=order.home))
    if "Disk quota exceeded" in error.output:
        return RuntimeProblem(_FULL.format(home=order.home))
    if str(error).startswith("took over"):
        return RuntimeProblem(
            f"Building took longer than {order.timeout:g} seconds (DEX_SCRIPT_SETUP_TIMEOUT_S). See the log, and press "
            "Rebuild, or raise the limit."
        )
    if error.passing:
        return RuntimeProblem(
            "The package index does not answer. Check the network and DEX_SCRIPT_INDEX_URL, then press Rebuild. "
            f"{_said(error)}",
            passing=True,
        )
    if order.index.offline and "network was disabled" in error.output:
        return RuntimeProblem(
            f"dex is set to work offline (DEX_SCRIPT_OFFLINE), and not all packages are on this machine. {_said(error)}"
        )
    if found := _WHEELS.search(error.output):
        return RuntimeProblem(
            f"The package {found[1]} is published as source only, and dex builds no packages from source. Choose "
            "another version of dbt or of the adapter, or let an administrator allow it (DEX_SCRIPT_BUILD)."
        )
    if "No solution found" in error.output:
        return RuntimeProblem(f"The requirements cannot be met together. Change them. {_said(error)}")
    return RuntimeProblem(f"uv could not build it. {_said(error)}")


def _said(error: SetupFailed) -> str:
    """uv's reason, as a sentence."""
    text = str(error).partition(" hint: ")[0].removeprefix("error: ").replace(" cause: ", ": ")
    return text.removeprefix("No solution found when resolving dependencies: ")


_FULL = "The disk is full. Free some space below {home}, then press Rebuild."


def of_the_disk(error: OSError, home: Path) -> str:
    """The sentence about a disk that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL.format(home=home)
    return f"dex cannot write below {home}: {error.strerror or error}. Correct that, then press Rebuild."


def _resolved(wanted: Wanted, order: Order, folders: str) -> tuple[Lock, Interpreter]:
    """The lock: the honest one, unless only an older dbt can be had with its experimental parser, or none."""
    try:
        text, python = _resolve(wanted, order, folders, parser=True)
    except SetupFailed as error:
        if PARSER not in error.output or order.stop():
            raise
        return _without_parser(wanted, order, folders)
    honest = Lock(text, python.line)
    if f"{PARSER}==" not in text:
        return honest, python
    other, its_python = _without_parser(wanted, order, folders)
    if _version_of(other.text) > _version_of(text):
        order.log(f"{WITHOUT_PARSER}\n".encode())
        return other, its_python
    return honest, python


def _without_parser(wanted: Wanted, order: Order, folders: str) -> tuple[Lock, Interpreter]:
    text, python = _resolve(wanted, order, folders, parser=False)
    return Lock(text, python.line, (WITHOUT_PARSER,)), python


def _version_of(text: str) -> Version:
    """Of dbt Core in a lock; 0 where there is none."""
    found = _CORE.search(text)
    return Version(found[1]) if found else Version("0")


def _resolve(wanted: Wanted, order: Order, folders: str, *, parser: bool) -> tuple[str, Interpreter]:
    """The lock's text, and a Python that its dbt runs on: which dbt it is, is known when it has been resolved."""
    line = wanted.lines[0]
    for _ in LINES:
        python = _python_for(line, folders)
        text = _compiled(wanted, replace(order, python=python), parser=parser)
        resolved = line_of(str(_version_of(text)))
        if resolved not in LINES:
            raise RuntimeProblem(f"These requirements lead to dbt {resolved}; dex runs {SPOKEN}.")
        if python.line in pythons_of(resolved):
            return text, python
        line = resolved
    raise RuntimeProblem(f"No Python fits these requirements. Name one version of dbt, such as dbt-core~={NEWEST}.0.")


def _python_for(line: str, folders: str) -> Interpreter:
    wanted = pythons_of(line)
    python = choose(wanted, folders)
    if python is None:
        here = lines_here(folders)
        raise RuntimeProblem(
            f"dbt {line} needs Python {wanted[-1]} to {wanted[0]}; this machine has "
            f"{'only ' if len(here) == 1 else ''}{', '.join(here)}. Install one of them, name its folder in "
            "DEX_PYTHON_PATH, or choose another version of dbt."
        )
    return python


def _compiled(wanted: Wanted, order: Order, *, parser: bool) -> str:
    """What uv resolves the requirements to, with hashes."""
    order.log(f"resolving {', '.join(wanted.install)} for Python {order.python.version}\n".encode())
    with workshop(order, prepare_folder(order.home), "lock") as site:
        requirements = site.file("requirements.in", _lines(wanted.install))
        constraints = site.file("constraints.txt", _lines([SUPPORTED, *wanted.constraints]))
        lock = site.file("lock.txt")
        options = ["--output-file", str(lock), "--python", order.python.path, "--generate-hashes", "--quiet"]
        options += ["--no-header", "--no-annotate", "--constraints", str(constraints)]
        if not parser:
            options += ["--overrides", str(site.file("overrides.txt", _OVERRIDE))]
        site.uv("pip", "compile", str(requirements), *options)
        return lock.read_text()


def _built(lock: Lock, order: Order) -> Built:
    folder = prepare_folder(order.home)
    target = folder / key_of(lock.text, order.python)
    if (existing := _existing(target, lock)) is not None:
        return existing
    with alone(folder / f"{target.name}.lock", order.log, order.stop):
        if (existing := _existing(target, lock)) is not None:
            return existing
        began = time.monotonic()
        order.log(f"building a virtual environment on Python {order.python.version}\n".encode())
        with construction(order, target) as site:
            wanted = site.file("lock.txt", lock.text)
            site.uv("pip", "sync", "--python", site.python, "--require-hashes", str(wanted))
            site.take_over()
            no_session = _check(site, order)
            note = {"digest": lock.digest, "packages": installed(site.place), "size": _size(site.place)}
            note["no_session"] = no_session
            (site.place / MADE).write_text(json.dumps(note))
        order.log(f"the dbt runtime is ready after {time.monotonic() - began:.1f} s\n".encode())
    built = _existing(target, lock)
    if built is None:
        raise RuntimeProblem(f"{target} was removed while it was built. Press Rebuild.")
    return built


def _existing(place: Path, lock: Lock) -> Built | None:
    """What stands there, if it is whole; it counts as used now."""
    try:
        note = json.loads((place / MADE).read_text())
        os.utime(place / MADE)
        runtime, size = runtime_at(place, lock.digest), int(note["size"])
        return Built(place, runtime, tuple(note["packages"]), size, str(note.get("no_session") or ""))
    except (OSError, ValueError, KeyError, TypeError):  # without its mark it is what somebody broke by hand
        return None


def _check(site: Site, order: Order) -> str:
    """Why dbt sessions cannot run there; "" when they can. Raises RuntimeProblem if dex cannot use this dbt at all."""
    adapters = runtime_at(site.place).adapters
    if not adapters:
        raise RuntimeProblem(
            "None of the packages is an adapter. Add the one for your warehouse, such as dbt-snowflake."
        )
    order.log(b"checking that dbt sessions can run on it\n")
    done = process.run(
        [site.python, "-m", "nodes.dbt.contract", *adapters],
        env=process.clean_environment({"PYTHONPATH": str(CODE)}, home=site.place.parent / "tmp"),
        cwd=site.place.parent,
        timeout=_CHECK_S,
    )
    try:
        answer = json.loads(done.output.decode(errors="replace").strip().splitlines()[-1])
        problem, no_session = str(answer["problem"]), str(answer["no_session"])
    except (ValueError, IndexError, KeyError, TypeError):
        order.log(done.errors[-4000:])
        last = done.errors.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.exit_code}"]
        problem, no_session = f"the check ended with: {last[0][:300]}", ""
    if problem:
        raise RuntimeProblem(f"dex cannot run this dbt: {problem}. Choose another version of dbt or of the adapter.")
    if no_session:
        order.log(f"sessions cannot run on it, so it is run by dbt commands: {no_session}\n".encode())
    return no_session


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def _lines(entries: Sequence[str]) -> str:
    return "".join(f"{each}\n" for each in entries)
