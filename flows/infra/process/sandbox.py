"""What a child may see and be that runs other people's code: levels 1 to 3, as far as this machine has them.

Level 3: a mount namespace with nothing in it but what is named, a PID namespace, and another user where dex runs as
root. Level 2: another user alone. Level 1: an environment from nothing and a process group. See docs/isolation.md.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flows.infra.process.configuration import current
from flows.infra.process.tools import passes, tool
from flows.infra.process.users import take_uid

#: Of the machine, what every program needs: libraries, certificates, names of hosts and users, zones.
_SYSTEM = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ssl", "/etc/ca-certificates", "/etc/pki"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols"),
    *(
        "/etc/localtime",
        "/etc/timezone",
        "/etc/passwd",
        "/etc/group",
        "/etc/alternatives",
        "/etc/fonts",
        "/etc/mime.types",
    ),
    *("/opt/venv",),
)
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_TMP = "/tmp"  # noqa: S108 - inside the sandbox, where it is the child's own
WORDS = {
    1: "its own process group and environment; it can read everything that dex can read",
    2: "another user; it cannot read the keys, database or processes of dex",
    3: "its own view of the file system and processes; everything it starts ends with it",
}


@dataclass(frozen=True)
class Sandbox:
    """What one child may see: folders to read, one of its own to write, and whether the network is there."""

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    tmp: Path | None = None  # becomes /tmp, unless what it may see lies there
    uid: int | None = None  # only where dex runs as root
    network: bool = True


@dataclass(frozen=True)
class Isolation:
    """What this machine can do; `missing` says why it is not more, in one sentence with a cure (empty at level 3)."""

    level: int
    other_user: bool
    missing: str = ""

    @property
    def words(self) -> str:
        """One sentence for the status page."""
        user = " under another user" if self.level == 3 and self.other_user else ""
        return f"A script runs in {WORDS[self.level]}{user}." if self.level != 2 else f"A script runs as {WORDS[2]}."


_TRIAL_USER = 61184
# Python found a library of the same version: as another user it would otherwise fall back to one that is not its own.
_TRIAL = (
    "import json, os, sys; own = os.path.realpath(sys.argv[1]); "
    "[os.stat(path) for path in sys.argv[2:]]; sys.exit(not os.path.realpath(json.__file__).startswith(own + os.sep))"
)


def configure(*, home: Path, bubblewrap: bool) -> None:
    """Say once, at the start of a process, where dex keeps its files and whether bubblewrap may be used."""
    current.home, current.bubblewrap = home, bubblewrap
    isolation.cache_clear()


def bubblewrap_program() -> str | None:
    """The path of bubblewrap, unless it is not installed or switched off (DEX_BUBBLEWRAP=0)."""
    return tool("bwrap") if current.bubblewrap else None


@cache
def isolation() -> Isolation:
    """The highest level that passes a trial on this machine, tried once in a process."""
    # A module of its library, which another user must be able to read; `pass` alone would run without.
    base = str(Path(sys.base_prefix).resolve())
    python = [str(Path(sys.executable).resolve()), "-I", "-c", _TRIAL, base]
    root = os.getuid() == 0
    trial = Sandbox(readable=interpreter(), uid=_TRIAL_USER if root else None, network=False)
    command = bubblewrap(trial)
    if command and passes([*command, *other_user(trial.uid), *python]):
        return Isolation(3, other_user=root)
    without = "bubblewrap does not work here" if command else "bubblewrap is not installed"
    if not current.bubblewrap:
        without = "DEX_BUBBLEWRAP is off"
    if not root:
        return Isolation(1, False, f"{without}, and only root can run scripts as another user. Install bubblewrap.")
    if not passes([*other_user(trial.uid), *python]):
        cure = "Install bubblewrap, or use a Python that every user can read, such as the system's."
        return Isolation(1, False, f"{without}, and other users cannot read the Python of dex at {base}. {cure}")
    if current.home is not None and not passes([*other_user(trial.uid), *python, str(current.home)]):
        cure = "Install bubblewrap, or set DEX_HOME to a folder such as /var/lib/dex."
        return Isolation(1, False, f"{without}, and other users cannot pass to DEX_HOME at {current.home}. {cure}")
    return Isolation(2, True, f"{without}. Install it for the highest level.")


def interpreter() -> tuple[Path, ...]:
    """The folders of the Python that dex runs on, for a child that runs on it too."""
    folders = {Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parent.parent}
    return tuple(sorted(path for path in folders if not path.is_relative_to("/usr")))


def bubblewrap(sandbox: Sandbox) -> list[str]:
    """The command in front that makes the sandbox; empty where bubblewrap is not installed."""
    program = bubblewrap_program()
    if program is None:
        return []
    command = [program, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session"]
    if sandbox.uid is None:
        command += ["--cap-drop", "ALL"]  # who stays root has no power beyond what it may see
    if not sandbox.network:
        command += ["--unshare-net"]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in _TOP:
        path = Path("/", name)
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    command += ["--perms", "0755", "--dir", "/etc"]  # bubblewrap would make it for root alone
    for name in _SYSTEM:
        command += ["--ro-bind-try", name, name]
    command += ["--dev", "/dev", "--proc", "/proc"]
    # Locks and queues of processes live here; bubblewrap makes it for root alone.
    command += ["--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108 - as above
    hidden = any(path.is_relative_to(_TMP) for path in (*sandbox.readable, *sandbox.writable))
    own = sandbox.tmp is not None and not hidden
    command += ["--bind", str(sandbox.tmp), _TMP] if own else ["--perms", "1777", "--tmpfs", _TMP]
    created: set[Path] = {Path(_TMP)}
    for path in (*sandbox.readable, *sandbox.writable):
        command += _ways(path, created)
    for path in sandbox.readable:
        command += ["--ro-bind", str(path), str(path)]
    for path in sandbox.writable:
        command += ["--bind", str(path), str(path)]
    return [*command, "--"]


def _ways(path: Path, created: set[Path]) -> list[str]:
    """Folders that lead to a path: bubblewrap makes them for root alone, and another user could not pass."""
    command: list[str] = []
    for parent in reversed(path.parents):
        if parent != Path("/") and parent not in created and not parent.is_relative_to("/usr"):
            created.add(parent)
            command += ["--perms", "0755", "--dir", str(parent)]
    return command


def other_user(uid: int | None) -> list[str]:
    """The command in front that gives up root for a user who has nothing; empty without one."""
    if uid is None:
        return []
    program = tool("setpriv") or "setpriv"
    return [
        *(program, "--bounding-set=-all", "--inh-caps=-all", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
        *("--no-new-privs", "--pdeathsig", "KILL"),
    ]


def take_user(uids: Sequence[int]) -> int | None:
    """A user of its own for one child; None where dex is not root. See flows.infra.process.users."""
    if os.getuid() != 0 or isolation().level < 2:
        return None
    return take_uid(uids)
