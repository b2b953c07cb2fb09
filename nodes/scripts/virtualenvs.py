"""The virtualenvs of scripts: one for each set of requirements, built once by uv, never half there.

A virtualenv is a folder under DEX_HOME/virtualenvs, named after a hash of what went into it. It is built beside its
place and renamed when it is whole; a lock makes everybody else wait for the first. Scripts cannot write to it.

One that is renewed stands beside the old one, which scripts may still be using, with the time in its name; the newest
counts. A renewal that fails leaves the old one in use, and a note why, so that not every script tries again.
"""

import hashlib
import json
import os
import shutil
import sysconfig
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.infra.whole_files import write_whole
from nodes.scripts import children
from nodes.virtualenvs import Index, Interpreter, Order, SetupFailed, alone, construction, installed
from nodes.virtualenvs.building import site_packages
from nodes.virtualenvs.interpreters import own
from nodes.virtualenvs.requirements import unpinned

KEPT_DAYS = 30
REPLACED_DAYS = 7  # after which one that was renewed is removed: no script that uses it is alive
RETRY_S = 3600.0  # after which a renewal that failed is tried again, unless somebody asks
MADE = "made.json"
_WATCHER = "_dex_children"  # nodes.scripts.children, as it is named in an environment


@dataclass(frozen=True)
class Made:
    """What a virtualenv consists of. `lock`: name==version of all that is installed, sorted."""

    lock: tuple[str, ...]
    built: float  # seconds since the epoch


@dataclass(frozen=True)
class Renewal:
    """When a virtualenv that is there is resolved anew.

    In: `asked`, when somebody asked for it (0: nobody); `age`, seconds after which versions that no requirement
    pins are looked up again (0: never). `failed` hears why a renewal failed.
    """

    asked: float = 0
    age: float = 0
    failed: Callable[[str], None] = lambda why: None


NEVER = Renewal()


def root(home: Path) -> Path:
    """The folder of all virtualenvs."""
    return home / "virtualenvs"


def key_of(requirements: Sequence[str], index: Index, python: Interpreter | None = None) -> str:
    """Names the virtualenv: the same for everything that cannot change it."""
    python = python or own()
    parts: list[object] = [sorted(set(requirements)), python.version, python.tag]
    parts += [sysconfig.get_platform(), python.prefix, index.url, index.find_links, index.build]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def find(requirements: Sequence[str], index: Index, home: Path, python: Interpreter | None = None) -> Path | None:
    """The newest virtualenv, if there is one already; it counts as used now."""
    key = key_of(requirements, index, python)
    for place in sorted(_generations(root(home), key), key=_generation, reverse=True):
        try:
            os.utime(place / MADE)
            _put_watcher(place)
        except OSError:  # without its mark it is what somebody broke by hand
            continue
        return place
    return None


def made_of(place: Path) -> Made:
    """What a virtualenv consists of; read from its folders where it was built before dex noted it."""
    try:
        note = json.loads((place / MADE).read_text())
        return Made(tuple(note["lock"]), float(note["built"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Made(installed(place), (place / "pyvenv.cfg").stat().st_mtime)


def _generations(folder: Path, key: str) -> list[Path]:
    return [folder / key, *folder.glob(f"{key}-*")]


def _generation(place: Path) -> int:
    number = place.name.partition("-")[2]
    return int(number) if number.isdecimal() else 0


def _is_due(place: Path, requirements: Sequence[str], renewal: Renewal, note: Path) -> bool:
    """Whether it is to be resolved anew: as often as somebody asks, by age now and then."""
    if not renewal.asked and not renewal.age:
        return False
    contents, failed = made_of(place), _last_failure(note)
    if renewal.asked > max(contents.built, failed):
        return True
    old = bool(renewal.age) and contents.built < time.time() - renewal.age
    return old and time.time() - failed > RETRY_S and bool(unpinned(contents.lock, requirements))


def _last_failure(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except OSError:
        return 0


def virtualenv_for(
    requirements: Sequence[str],
    index: Index,
    home: Path,
    *,
    log: Callable[[bytes], None],
    timeout: float,
    stop: Callable[[], bool] = lambda: False,
    uids: Sequence[int] = (),
    renewal: Renewal = NEVER,
    python: Interpreter | None = None,
) -> Path:
    """The virtualenv of these requirements, built now if need be; uv's words go to `log`.

    Whoever comes second waits. In: `stop`, asked several times a second, whether to give up; `python`, which makes it
    (default: dex's own). Raises SetupFailed where there is none; where there is one that cannot be renewed, that one is
    returned.
    """
    folder = root(home)
    python = python or own()
    key = key_of(requirements, index, python)
    note = folder / f"{key}.failed"
    existing = find(requirements, index, home, python)
    if existing and not _is_due(existing, requirements, renewal, note):
        return existing
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    with alone(folder / f"{key}.lock", log, stop):
        existing = find(requirements, index, home, python)
        if existing and not _is_due(existing, requirements, renewal, note):
            return existing
        _forget_old(folder)
        log(
            f"{'renewing the' if existing else 'building a'} virtual environment for "
            f"{_counted(requirements)}\n".encode()
        )
        began = time.monotonic()
        try:
            target = folder / (f"{key}-{time.time_ns()}" if existing else key)
            order = Order(index, home, log, timeout, stop, uids, python, fresh=bool(existing))
            _build(requirements, order, target)
        except SetupFailed as error:
            if not existing or stop():
                raise
            note.write_text(str(error))
            log(f"it cannot be renewed, and is used as it was: {error}\n".encode())
            renewal.failed(str(error))
            return existing
        note.unlink(missing_ok=True)
        log(f"the virtual environment is ready after {time.monotonic() - began:.1f} s\n".encode())
        return target


def _build(requirements: Sequence[str], order: Order, target: Path) -> None:
    began = time.time()
    with construction(order, target) as site:
        if requirements:
            wanted = site.file("requirements.txt", "".join(f"{line}\n" for line in requirements))
            site.uv("pip", "install", "--python", site.python, "--requirements", str(wanted))
        site.take_over()
        _put_watcher(site.place)
        note = {"requirements": list(requirements), "lock": installed(site.place), "built": began}
        (site.place / MADE).write_text(json.dumps(note))


def _put_watcher(place: Path) -> None:
    """Let Python in this virtualenv begin with nodes.scripts.children; also in one that was built before it."""
    folder = site_packages(place)
    files = {f"{_WATCHER}.py": Path(children.__file__).read_text(), f"{_WATCHER}.pth": f"import {_WATCHER}\n"}
    for name, text in files.items():
        path = folder / name
        with suppress(FileNotFoundError):
            if path.read_text() == text:
                continue
        write_whole(path, text.encode(), mode=0o644)


def _counted(requirements: Sequence[str]) -> str:
    number = len(requirements)
    return f"{number} requirement{'s' if number > 1 else ''}" if number else "scripts without requirements"


def _forget_old(folder: Path) -> None:
    """Remove what nobody used in a long time, and what a killed build left."""
    now = time.time()
    places = [place for place in folder.iterdir() if place.is_dir()]
    newest: dict[str, int] = {}
    for place in places:
        key = place.name.partition("-")[0]
        newest[key] = max(newest.get(key, 0), _generation(place))
    for place in places:
        mark, days = (place, 1) if place.name.startswith(".") else (place / MADE, KEPT_DAYS)
        if _generation(place) < newest[place.name.partition("-")[0]]:
            days = min(days, REPLACED_DAYS)
        with suppress(OSError):
            if place.is_dir() and mark.stat().st_mtime < now - days * 86400:
                shutil.rmtree(place, ignore_errors=True)
