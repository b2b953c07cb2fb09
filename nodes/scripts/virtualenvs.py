"""The virtualenvs of scripts: one for each set of requirements, built once by uv, never half there.

A virtualenv is a folder under DEX_HOME/virtualenvs, named after a hash of what went into it. It is built beside its
place and renamed when it is whole; a lock makes everybody else wait for the first. Scripts cannot write to it.

One that is renewed stands beside the old one, which scripts may still be using, with the time in its name; the newest
counts. A renewal that fails leaves the old one in use, and a note why, so that not every script tries again.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from flows.infra import process
from nodes.scripts import children
from nodes.scripts.requirements import unpinned

KEPT_DAYS = 30
REPLACED_DAYS = 7  # after which one that was renewed is removed: no script that uses it is alive
RETRY_S = 3600.0  # after which a renewal that failed is tried again, unless somebody asks
WORKING_MEMORY = 8 * 1024**3  # bytes of address space that uv may take
MADE = "made.json"
_WATCHER = "_dex_children"  # nodes.scripts.children, as it is named in an environment
_CROSS, _BRANCHES = "\u00d7", "\u2570\u2500\u25b6\u2502 "  # signs that uv draws its errors with


class SetupFailed(Exception):
    """The virtualenv cannot be built; `passing` where the network failed, so that another try may succeed."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Index:
    """Where packages come from, and what is allowed to happen on the way."""

    url: str = ""
    find_links: str = ""
    offline: bool = False
    build: bool = False  # whether source distributions may be built: that runs their code
    environment: Mapping[str, str] = field(default_factory=dict)  # proxies and certificates


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


def key_of(requirements: Sequence[str], index: Index) -> str:
    """Names the virtualenv: the same for everything that cannot change it."""
    parts: list[object] = [sorted(set(requirements)), platform.python_version(), sys.implementation.cache_tag]
    parts += [sysconfig.get_platform(), str(Path(sys.base_prefix).resolve()), index.url, index.find_links, index.build]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def find(requirements: Sequence[str], index: Index, home: Path) -> Path | None:
    """The newest virtualenv, if there is one already; it counts as used now."""
    key = key_of(requirements, index)
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
        return Made(_installed(place), (place / "pyvenv.cfg").stat().st_mtime)


def _generations(folder: Path, key: str) -> list[Path]:
    return [folder / key, *folder.glob(f"{key}-*")]


def _generation(place: Path) -> int:
    number = place.name.partition("-")[2]
    return int(number) if number.isdecimal() else 0


def _site_packages(place: Path) -> Path:
    return place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _installed(place: Path) -> tuple[str, ...]:
    distributions = importlib.metadata.distributions(path=[str(_site_packages(place))])
    return tuple(sorted({f"{canonicalize_name(each.name)}=={each.version}" for each in distributions if each.name}))


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
) -> Path:
    """The virtualenv of these requirements, built now if need be; uv's words go to `log`.

    Whoever comes second waits. In: `stop`, asked several times a second, whether to give up. Raises SetupFailed where
    there is none; where there is one that cannot be renewed, that one is returned.
    """
    folder = root(home)
    key = key_of(requirements, index)
    note = folder / f"{key}.failed"
    existing = find(requirements, index, home)
    if existing and not _is_due(existing, requirements, renewal, note):
        return existing
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    with _alone(folder / f"{key}.lock", log, stop):
        existing = find(requirements, index, home)
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
            built = _build(requirements, index, home, target, log, timeout, stop, uids, fresh=bool(existing))
        except SetupFailed as error:
            if not existing or stop():
                raise
            note.write_text(str(error))
            log(f"it cannot be renewed, and is used as it was: {error}\n".encode())
            renewal.failed(str(error))
            return existing
        note.unlink(missing_ok=True)
        log(f"the virtual environment is ready after {time.monotonic() - began:.1f} s\n".encode())
        return built


def _build(
    requirements: Sequence[str],
    index: Index,
    home: Path,
    target: Path,
    log: Callable[[bytes], None],
    timeout: float,
    stop: Callable[[], bool],
    uids: Sequence[int],
    *,
    fresh: bool,
) -> Path:
    began = time.time()
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    uid = process.take_user(uids) if index.build and uids else None
    try:
        building.chmod(0o755)
        place = building / "venv"
        requirements_file = building / "requirements.txt"
        requirements_file.write_text("".join(f"{line}\n" for line in requirements))
        (building / "tmp").mkdir()
        if uid is not None:
            for path in (building, requirements_file, building / "tmp"):
                os.chown(path, uid, uid)
            process.let_pass(building, home)
        uv = _Uv(index, home, building, uid, log, timeout, stop, fresh)
        uv.run("venv", "--relocatable", "--no-project", "--python", str(Path(sys.executable).resolve()), str(place))
        if requirements:
            uv.run(
                "pip", "install", "--python", str(place / "bin" / "python"), "--requirements", str(requirements_file)
            )
        _take_over(place)
        _put_watcher(place)
        note = {"requirements": list(requirements), "lock": _installed(place), "built": began}
        (place / MADE).write_text(json.dumps(note))
        with suppress(FileNotFoundError):  # without its mark it is what somebody broke by hand
            shutil.rmtree(target)
        place.rename(target)
        return target
    finally:
        process.give_uid_back(uid)
        shutil.rmtree(building, ignore_errors=True)


@dataclass(frozen=True)
class _Uv:
    index: Index
    home: Path
    building: Path
    uid: int | None
    log: Callable[[bytes], None]
    timeout: float
    stop: Callable[[], bool]
    fresh: bool = False  # asks the index again, whatever was kept of it

    def run(self, *command: str) -> None:
        """Run uv to its end. Raises SetupFailed with its last words."""
        output = bytearray()

        def hear(data: bytes) -> None:
            output.extend(data)
            del output[:-20_000]
            self.log(data)

        child = process.start(
            [self._program(), *command, *self._options(command[0])],
            env=process.clean_environment(self._environment(), home=self.building / "tmp"),
            cwd=self.building,
            limits=process.Limits(memory=WORKING_MEMORY, nice=10, processes=256),
            on_output=hear,
            box=self._box(),
        )
        deadline = time.monotonic() + self.timeout
        while (code := child.wait(0.1)) is None:
            if self.stop() or time.monotonic() > deadline:
                child.kill_tree(grace_int=1, grace_term=1)
                raise SetupFailed("stopped while it was built" if self.stop() else f"took over {self.timeout:g} s")
        if code != 0:
            text = output.decode(errors="replace")
            raise SetupFailed(_reason(text) or f"uv ended with exit code {code}", passing=_is_passing(text))

    def _program(self) -> str:
        """uv, where whoever runs it can reach it: dex's own environment may lie in a closed folder."""
        if self.uid is None or process.isolation().level == 3:
            return _uv()
        program = self.building / "uv"
        if not program.exists():
            try:
                program.hardlink_to(_uv())
            except OSError:  # on another disk
                shutil.copy2(_uv(), program)
        return str(program)

    def _options(self, command: str) -> list[str]:
        options = ["--no-progress", "--color", "never", "--no-config", "--system-certs"]
        if self.index.offline:
            options.append("--offline")
        if command == "venv":
            return options
        if self.fresh and not self.index.offline:
            options.append("--refresh")
        if self.index.url:
            options += ["--default-index", self.index.url]
        if self.index.find_links:
            options += ["--find-links", self.index.find_links]
        return options if self.index.build else [*options, "--only-binary", ":all:"]

    def _environment(self) -> dict[str, str]:
        # What is built may run code: it must not write to a cache that others take from.
        cache = self.building / "tmp" / "cache" if self.index.build else self.home / "uv-cache"
        return {**self.index.environment, "UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never"}

    def _box(self) -> process.Sandbox | None:
        if not self.index.build:
            return None
        readable = [*process.interpreter(), Path(_uv()).resolve().parent]
        if self.index.find_links.startswith("/"):
            readable.append(Path(self.index.find_links))
        return process.Sandbox(readable=tuple(readable), writable=(self.building,), uid=self.uid)


def _uv() -> str:
    import uv

    return uv.find_uv_bin()


def _take_over(place: Path) -> None:
    """Make the files dex's own, readable for everybody and writable for nobody else: scripts are other users."""
    for path in (place, *place.rglob("*")):
        os.chown(path, os.getuid(), os.getgid(), follow_symlinks=False)
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o755
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))


def _put_watcher(place: Path) -> None:
    """Let Python in this virtualenv begin with nodes.scripts.children; also in one that was built before it."""
    folder = _site_packages(place)
    files = {f"{_WATCHER}.py": Path(children.__file__).read_text(), f"{_WATCHER}.pth": f"import {_WATCHER}\n"}
    for name, text in files.items():
        path = folder / name
        with suppress(FileNotFoundError):
            if path.read_text() == text:
                continue
        written = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
        written.write_text(text)
        written.chmod(0o644)
        written.replace(path)


def _reason(text: str) -> str:
    """What uv says went wrong, in one line: from its sign of an error on."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = next((n for n, line in enumerate(lines) if line.startswith((_CROSS, "error:", "Caused by"))), None)
    lines_of_error = lines[first:] if first is not None else lines[-3:]
    return " ".join(line.lstrip(_CROSS + _BRANCHES).strip() for line in lines_of_error)[:900]


def _is_passing(text: str) -> bool:
    """Whether the network failed: that may pass by itself."""
    signs = ("error sending request", "connect", "timed out", "dns error", "502", "503", "504", "tls handshake")
    return any(sign in text.lower() for sign in signs)


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


@contextmanager
def _alone(path: Path, log: Callable[[bytes], None], stop: Callable[[], bool]) -> Iterator[None]:
    """Of all that need the same virtualenv one builds it, and the others wait."""
    with path.open("w") as file:
        announced = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not announced:
                    log(b"waiting for the same virtual environment, which another task is building\n")
                    announced = True
                if stop():
                    raise SetupFailed("stopped while it waited for its virtual environment") from None
                time.sleep(0.1)
        yield
