"""Builds a virtualenv with uv, beside its place, and puts it there when it is whole. Somebody who waits can stop it."""

import fcntl
import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from flows.infra import process
from nodes.virtualenvs.interpreters import Interpreter, own, uv_program

WORKING_MEMORY = 8 * 1024**3  # bytes of address space that uv may take
_CROSS, _BRANCHES = "\u00d7", "\u2570\u2500\u25b6\u2502 "  # signs that uv draws its errors with
_POLL_S = 0.1
_NETWORK = (  # signs of a network that failed
    *("error sending request", "connection refused", "connection reset", "connect error", "(connect)", "timed out"),
    *("dns error", "failed to lookup", "tls handshake", "server error (50"),
)


class SetupFailed(Exception):
    """The virtualenv cannot be built; `passing` where the network failed, so that another try may succeed.

    `output` is the end of what uv said.
    """

    def __init__(self, message: str, *, passing: bool = False, output: str = "") -> None:
        super().__init__(message)
        self.passing, self.output = passing, output


@dataclass(frozen=True)
class Index:
    """Where packages come from, and what is allowed to happen on the way."""

    url: str = ""
    find_links: str = ""
    offline: bool = False
    build: bool = False  # whether source distributions may be built: that runs their code
    environment: Mapping[str, str] = field(default_factory=dict)  # proxies and certificates

    @classmethod
    def of(cls, settings: Any) -> "Index":
        """As the settings for packages of scripts say, which hold for dbt too."""
        return cls(
            url=settings.SCRIPT_INDEX_URL,
            find_links=settings.SCRIPT_FIND_LINKS,
            offline=settings.SCRIPT_OFFLINE,
            build=settings.SCRIPT_BUILD,
            environment=settings.SCRIPT_INDEX_ENVIRONMENT,
        )


@dataclass(frozen=True)
class Order:
    """What every build needs: where packages come from, who hears uv, how long it may take, and who may stop it."""

    index: Index
    home: Path
    log: Callable[[bytes], None]
    timeout: float  # seconds, of each command of uv
    stop: Callable[[], bool] = lambda: False
    uids: Sequence[int] = ()
    python: Interpreter = field(default_factory=own)
    fresh: bool = False  # asks the index again, whatever was kept of it


class Site:
    """A folder in which a virtualenv is being built."""

    def __init__(self, order: Order, folder: Path, uid: int | None) -> None:
        self._order, self._folder, self._uid = order, folder, uid
        self.place = folder / "venv"

    @property
    def python(self) -> str:
        """The Python of the virtualenv."""
        return str(self.place / "bin" / "python")

    def file(self, name: str, text: str = "") -> Path:
        """Write a file for uv, or for uv to write to."""
        path = self._folder / name
        path.write_text(text)
        if self._uid is not None:
            os.chown(path, self._uid, self._uid)
        return path

    def uv(self, *command: str) -> None:
        """Run uv to its end. Raises SetupFailed with its last words."""
        order, output = self._order, bytearray()

        def hear(data: bytes) -> None:
            output.extend(data)
            del output[:-20_000]
            order.log(data)

        child = process.start(
            [self._program(), *command, *self._options(command[0])],
            env=process.clean_environment(self._environment(), home=self._folder / "tmp"),
            cwd=self._folder,
            limits=process.Limits(memory=WORKING_MEMORY, nice=10, processes=256),
            on_output=hear,
            box=self._box(),
        )
        deadline = time.monotonic() + order.timeout
        while (code := child.wait(_POLL_S)) is None:
            if order.stop() or time.monotonic() > deadline:
                child.kill_tree(grace_int=1, grace_term=1)
                raise SetupFailed("stopped while it was built" if order.stop() else f"took over {order.timeout:g} s")
        if code != 0:
            text = output.decode(errors="replace")
            message = reason(text) or f"uv ended with exit code {code}"
            raise SetupFailed(message, passing=is_passing(text), output=text)

    def take_over(self) -> None:
        """Make the files dex's own, readable for everybody and writable for nobody else: scripts are other users."""
        for path in (self.place, *self.place.rglob("*")):
            os.chown(path, os.getuid(), os.getgid(), follow_symlinks=False)
            if not path.is_symlink():
                mode = path.stat().st_mode & 0o755
                path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))

    def _program(self) -> str:
        """uv, where whoever runs it can reach it: dex's own environment may lie in a closed folder."""
        if self._uid is None or process.isolation().level == 3:
            return uv_program()
        program = self._folder / "uv"
        if not program.exists():
            try:
                program.hardlink_to(uv_program())
            except OSError:  # on another disk
                shutil.copy2(uv_program(), program)
        return str(program)

    def _options(self, command: str) -> list[str]:
        index = self._order.index
        options = ["--no-progress", "--color", "never", "--no-config", "--system-certs"]
        if index.offline:
            options.append("--offline")
        if command == "venv":
            return options
        if self._order.fresh and not index.offline:
            options.append("--refresh")
        if index.url:
            options += ["--default-index", index.url]
        if index.find_links:
            options += ["--find-links", index.find_links]
        return options if index.build else [*options, "--only-binary", ":all:"]

    def _environment(self) -> dict[str, str]:
        # What is built may run code: it must not write to a cache that others take from.
        index = self._order.index
        cache = self._folder / "tmp" / "cache" if index.build else self._order.home / "uv-cache"
        return {**index.environment, "UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never"}

    def _box(self) -> process.Sandbox | None:
        index = self._order.index
        if not index.build:
            return None
        readable = [*process.interpreter(), *self._order.python.folders, Path(uv_program()).resolve().parent]
        if index.find_links.startswith("/"):
            readable.append(Path(index.find_links))
        return process.Sandbox(readable=tuple(dict.fromkeys(readable)), writable=(self._folder,), uid=self._uid)


@contextmanager
def workshop(order: Order, folder: Path, name: str) -> Iterator[Site]:
    """A working folder for uv below `folder`, as whoever may build; it is gone when the block ends."""
    building = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    uid = process.take_user(order.uids) if order.index.build and order.uids else None
    try:
        building.chmod(0o755)
        (building / "tmp").mkdir()
        if uid is not None:
            for path in (building, building / "tmp"):
                os.chown(path, uid, uid)
            process.let_pass(building, order.home)
        yield Site(order, building, uid)
    finally:
        process.give_uid_back(uid)
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def construction(order: Order, target: Path) -> Iterator[Site]:
    """A fresh virtualenv, which stands at `target` once the block ends without an error; nothing is left of it else.

    Raises SetupFailed.
    """
    with workshop(order, target.parent, target.name) as site:
        site.uv("venv", "--relocatable", "--no-project", "--python", order.python.path, str(site.place))
        yield site
        with suppress(FileNotFoundError):  # without its mark it is what somebody broke by hand
            shutil.rmtree(target)
        site.place.rename(target)


def site_packages(place: Path) -> Path:
    """Where the packages of a virtualenv are. Raises OSError where it is none."""
    found = next((place / "lib").glob("python3.*/site-packages"), None)
    if found is None:
        raise FileNotFoundError(f"{place} has no site-packages")
    return found


def installed(place: Path) -> tuple[str, ...]:
    """name==version of all that is installed in a virtualenv, sorted."""
    distributions = importlib.metadata.distributions(path=[str(site_packages(place))])
    return tuple(sorted({f"{canonicalize_name(each.name)}=={each.version}" for each in distributions if each.name}))


def reason(text: str) -> str:
    """What uv says went wrong, in one line: from its sign of an error on."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = next((n for n, line in enumerate(lines) if line.startswith((_CROSS, "error:", "Caused by"))), None)
    lines_of_error = lines[first:] if first is not None else lines[-3:]
    return " ".join(line.lstrip(_CROSS + _BRANCHES).strip() for line in lines_of_error)[:900]


def is_passing(text: str) -> bool:
    """Whether the network failed: that may pass by itself. Names of packages, such as a connector's, say nothing."""
    said = reason(text).lower()
    return any(sign in said for sign in _NETWORK)


@contextmanager
def alone(path: Path, log: Callable[[bytes], None], stop: Callable[[], bool]) -> Iterator[None]:
    """Of all that need the same virtualenv one builds it, and the others wait. Raises SetupFailed when stopped."""
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
                time.sleep(_POLL_S)
        yield
