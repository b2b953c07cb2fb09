"""Users of attempts: each child that runs other people's code is somebody of its own, on the whole machine.

Several workers of one host, and several installations, draw from one range of user ids. A user is reserved by a lock
that the kernel drops with its holder; what the file says names the child that has it, for whoever cleans up later.
"""

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from flows.infra.process import lending
from flows.infra.process.configuration import current
from flows.infra.process.table import PROC

_taken: dict[int, int] = {}  # uid -> descriptor of its lock
_lock = threading.Lock()


def take_uid(uids: Sequence[int]) -> int:
    """A user for one child, with no process alive, that nobody else on this machine takes until it is given back.

    Only root can become other users. Raises RuntimeError where all of them are taken.
    """
    with _lock:
        for uid in uids:
            if uid in _taken or (lock := _reserve(uid)) is None:
                continue
            if uid in {owner for _, owner in _owners()}:  # left by a worker that died, until it is taken back
                os.close(lock)
                continue
            _taken[uid] = lock
            _take_back(uid)  # of a worker that died with its machine, perhaps
            return uid
    raise RuntimeError(f"all {len(uids)} users for scripts are taken")


def name_child(uid: int | None, pid: int, pid_start: int) -> None:
    """Note which child has the user."""
    with _lock:
        lock = _taken.get(uid) if uid is not None else None
        if lock is not None:
            os.pwrite(lock, f"{pid} {pid_start}\n".encode().ljust(64), 0)


def give_uid_back(uid: int | None) -> None:
    """The child has ended, and with it whatever it started; nothing that was lent to it stays with it."""
    if uid is not None:
        _kill_all(uid)
        _take_back(uid)
        with _lock:
            if (lock := _taken.pop(uid, None)) is not None:
                os.close(lock)


def kill_leftover_of(uid: int, pid: int | None, pid_start: int | None) -> None:
    """End what a child with this user left, when its worker died or is frozen; nothing if another child has it now.

    What was lent to it is taken back.
    """
    lock = _reserve(uid)
    if lock is not None:  # nobody has it: whatever is alive was left behind
        try:
            _kill_all(uid)
            _take_back(uid)
        finally:
            os.close(lock)
    elif _named(uid) == [str(pid), str(pid_start)]:  # its worker still holds it, and does not move
        _kill_all(uid)
        _take_back(uid)


def _take_back(uid: int) -> None:
    if current.home is not None:
        lending.take_back(current.home, uid)


def _reserve(uid: int) -> int | None:
    """The descriptor of the user's lock; None where another has it, in this process or elsewhere."""
    lock = os.open(_folder() / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _named(uid: int) -> list[str]:
    with suppress(OSError):
        return (_folder() / str(uid)).read_text(errors="replace").split()
    return []


def _folder() -> Path:
    """Where the locks are: root's alone, or a script could take users away."""
    top = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
    folder = top / "dex-users"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise RuntimeError(f"{folder} must be a folder of the user that dex runs as, which nobody else may open")
    return folder


def _kill_all(uid: int) -> None:
    """End every process of a user, until there is none: what forks meanwhile is found in the next round."""
    for _ in range(20):
        left = [pid for pid, owner in _owners() if owner == uid]
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)


def _owners() -> Iterator[tuple[int, int]]:
    """(process id, user id) of all that is alive."""
    for entry in os.listdir(PROC):  # noqa: PTH208 - names are enough, and there may be many
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError, StopIteration):
                lines = (PROC / entry / "status").read_text(errors="replace").splitlines()
                if not any(line.startswith("State:") and "Z" in line.split()[1] for line in lines):
                    yield int(entry), int(next(line for line in lines if line.startswith("Uid:")).split()[1])
