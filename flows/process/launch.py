"""How a child is started: by which thread, behind which wrappers, with which environment and limits."""

import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flows.process.table import ignored_signals

_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_BUBBLEWRAP = ("--unshare-pid", "--die-with-parent", "--dev-bind", "/", "/", "--proc", "/proc", "--")


@dataclass(frozen=True)
class Limits:
    """What a child may use; None means no limit of its own. Core dumps are always off: they hold secrets."""

    memory: int | None = None  # bytes of address space
    cpu_seconds: int | None = None
    file_size: int | None = None  # bytes of any one file
    open_files: int | None = None

    def settings(self) -> list[tuple[str, int, int]]:
        """(option of prlimit, number of the limit, value) for everything that is set."""
        wanted = (
            ("--core", resource.RLIMIT_CORE, 0),
            ("--as", resource.RLIMIT_AS, self.memory),
            ("--cpu", resource.RLIMIT_CPU, self.cpu_seconds),
            ("--fsize", resource.RLIMIT_FSIZE, self.file_size),
            ("--nofile", resource.RLIMIT_NOFILE, self.open_files),
        )
        return [(option, number, value) for option, number, value in wanted if value is not None]


class _Spawner(threading.Thread):
    """The one thread that starts children.

    A child that wants to die with its parent really dies with the thread that started it, so that thread
    must live as long as the process. A daemon thread does; a thread of a pool does not.
    """

    def __init__(self) -> None:
        super().__init__(name="dex-spawner", daemon=True)
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def run(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # children inherit the mask
        while True:
            order, answer = self._orders.get()
            try:
                answer.set_result(order())
            except BaseException as error:
                answer.set_exception(error)
            del order, answer  # keeps nothing of the last child alive while it waits for the next

    def do(self, order: Callable[[], Any]) -> Any:
        answer: Future[Any] = Future()
        self._orders.put((order, answer))
        return answer.result()


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def _forget_spawner() -> None:
    global _spawner, _spawner_lock
    _spawner, _spawner_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_spawner)  # threads do not survive a fork (Celery's prefork)


def popen(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """subprocess.Popen in the thread that lives as long as dex, in a session of its own."""
    global _spawner
    with _spawner_lock:
        if _spawner is None:
            _spawner = _Spawner()
            _spawner.start()
        spawner = _spawner
    made: subprocess.Popen[bytes] = spawner.do(
        lambda: subprocess.Popen(argv, bufsize=0, start_new_session=True, **options)
    )
    return made


@cache
def _tool(name: str, *trial: str) -> str | None:
    """The path of a program that exists and passes a trial on this machine, tried once."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        return None
    nothing = subprocess.DEVNULL
    tried = popen([path, *trial], env={"PATH": _PATH}, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        return path if tried.wait(timeout=10) == 0 else None
    except subprocess.TimeoutExpired:
        tried.kill()
        tried.wait()
        return None


def _bubblewrap() -> str | None:
    return _tool("bwrap", *_BUBBLEWRAP, "true")


def isolation_level() -> str:
    """What keeps a child's own children together on this machine: "namespace" or "group"."""
    return "namespace" if _bubblewrap() else "group"


def clean_environment(extra: Mapping[str, str] | None = None, *, home: Path | None = None) -> dict[str, str]:
    """An environment made from nothing: what dex itself was started with does not reach a child."""
    if home is None:
        home = Path(tempfile.gettempdir()) / f"dex-{os.getuid()}" / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    base = {"PATH": _PATH, "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONUNBUFFERED": "1"}
    return {**base, **(extra or {})}


def wrap(argv: Sequence[str], limits: Limits, isolate: bool) -> tuple[list[str], bool]:
    """The command with isolation, default signals and limits in front, and whether it got a namespace."""
    command: list[str] = []
    bubblewrap = _bubblewrap() if isolate else None
    if bubblewrap:
        command += [bubblewrap, *_BUBBLEWRAP]
    elif setpriv := _tool("setpriv", "--pdeathsig", "KILL", "true"):
        command += [setpriv, "--pdeathsig", "KILL"]
    # Celery's prefork workers ignore SIGINT; a child that inherits that could not be interrupted.
    deaf = ignored_signals() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
    if deaf and (env := _tool("env", "--default-signal=INT", "true")):
        names = ",".join(signal.Signals(number).name.removeprefix("SIG") for number in sorted(deaf))
        command += [env, f"--default-signal={names}"]
    # Before the command, not after: what is set from outside comes too late for a child of the wrapper.
    if prlimit := _tool("prlimit", "--core=0", "true"):
        command += [prlimit, *(f"{option}={value}" for option, _, value in limits.settings())]
    return [*command, *argv], bubblewrap is not None


def limit(pid: int, limits: Limits) -> None:
    """Limits from outside, for a machine without prlimit(1)."""
    if _tool("prlimit", "--core=0", "true") is None:
        for _, number, value in limits.settings():
            resource.prlimit(pid, number, (value, value))
