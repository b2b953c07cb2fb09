"""How a child is started: by which thread, behind which wrappers, with which environment and limits."""

import os
import resource
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.infra.process import sandbox
from flows.infra.process.sandbox import Sandbox
from flows.infra.process.table import ignored_signals
from flows.infra.process.tools import PATH, tool

_BUBBLEWRAP = ("--unshare-pid", "--die-with-parent", "--dev-bind", "/", "/", "--proc", "/proc", "--")


@dataclass(frozen=True)
class Limits:
    """What a child may use; None means no limit of its own. Core dumps are always off: they hold secrets."""

    memory: int | None = None  # bytes of address space
    cpu_seconds: int | None = None
    file_size: int | None = None  # bytes of any one file
    open_files: int | None = None
    processes: int | None = None  # of its user; root is not held to it
    nice: int = 0  # how much it gives way to others

    def settings(self) -> list[tuple[str, int, int]]:
        """(option of prlimit, number of the limit, value) for everything that is set."""
        wanted = (
            ("--core", resource.RLIMIT_CORE, 0),
            ("--as", resource.RLIMIT_AS, self.memory),
            ("--cpu", resource.RLIMIT_CPU, self.cpu_seconds),
            ("--fsize", resource.RLIMIT_FSIZE, self.file_size),
            ("--nofile", resource.RLIMIT_NOFILE, self.open_files),
            ("--nproc", resource.RLIMIT_NPROC, self.processes),
        )
        return [(option, number, value) for option, number, value in wanted if value is not None]


def _bubblewrap() -> str | None:
    return tool("bwrap", *_BUBBLEWRAP, "true") if sandbox.bubblewrap_program() else None


def isolation_level() -> str:
    """What keeps a child's own children together on this machine: "namespace" or "group"."""
    return "namespace" if _bubblewrap() else "group"


def clean_environment(extra: Mapping[str, str] | None = None, *, home: Path | None = None) -> dict[str, str]:
    """An environment made from nothing: what dex itself was started with does not reach a child."""
    if home is None:
        home = Path(tempfile.gettempdir()) / f"dex-{os.getuid()}" / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    base = {"PATH": PATH, "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONUNBUFFERED": "1"}
    return {**base, **(extra or {})}


def wrap(argv: Sequence[str], limits: Limits, isolate: bool, box: Sandbox | None = None) -> tuple[list[str], bool]:
    """The command with isolation, default signals and limits in front, and whether it got a namespace."""
    command: list[str] = []
    bubblewrap: list[str] = []
    if box is not None and sandbox.isolation().level == 3:
        bubblewrap = sandbox.bubblewrap(box)
    elif box is None and isolate and (program := _bubblewrap()):
        bubblewrap = [program, *_BUBBLEWRAP]
    if bubblewrap:
        command += bubblewrap
    elif setpriv := tool("setpriv", "--pdeathsig", "KILL", "true"):
        command += [setpriv, "--pdeathsig", "KILL"]
    # Celery's prefork workers ignore SIGINT; a child that inherits that could not be interrupted.
    deaf = ignored_signals() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
    if deaf and (env := tool("env", "--default-signal=INT", "true")):
        names = ",".join(signal.Signals(number).name.removeprefix("SIG") for number in sorted(deaf))
        command += [env, f"--default-signal={names}"]
    if limits.nice and (nice := tool("nice", "-n", "1", "true")):
        command += [nice, "-n", str(limits.nice)]
    # Before the command, not after: what is set from outside comes too late for a child of the wrapper.
    if prlimit := tool("prlimit", "--core=0", "true"):
        command += [prlimit, *(f"{option}={value}" for option, _, value in limits.settings())]
    if box is not None:
        command += sandbox.other_user(box.uid)
    return [*command, *argv], bool(bubblewrap)


def limit(pid: int, limits: Limits) -> None:
    """Limits from outside, for a machine without prlimit(1)."""
    if tool("prlimit", "--core=0", "true") is None:
        for _, number, value in limits.settings():
            resource.prlimit(pid, number, (value, value))
