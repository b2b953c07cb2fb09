"""Files of dex that a child with a user of its own may use while it runs, and how they are taken back.

A warehouse's folder gets the group of that user for as long as the child lives; nobody else is in the group. Whoever
takes the user next, or ends what a dead worker left, takes back what was lent to it, so that a grant never outlives
its child.
"""

import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

WAREHOUSES, WORK = "warehouses", "work"  # folders of DEX_HOME


def lend(folder: Path, files: Iterable[Path], uid: int) -> None:
    """Let a user create files in a folder and write these files of it, through its group.

    A file with a second name, or one that is not a regular file, is left as it is: a child could have put it there.
    Raises OSError.
    """
    _grant(folder, uid, 0o770, os.O_DIRECTORY)
    for path in files:
        with suppress(FileNotFoundError):
            _grant(path, uid, 0o660)


def _grant(path: Path, uid: int, mode: int, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
            os.fchown(descriptor, -1, uid)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def take_back(home: Path, uid: int) -> None:
    """Take back what a user without processes was lent: warehouses become dex's alone, its working folders go."""
    for folder in list(home.glob(f"{WAREHOUSES}/*")):
        if uid in _owners(folder):
            _own(folder)
            for place, folders, files in os.walk(folder):
                for name in (*folders, *files):
                    if uid in _owners(path := Path(place, name)):
                        _own(path)
    for folder in list(home.glob(f"{WORK}/*")):
        if uid in _owners(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _own(path: Path) -> None:
    os.chown(path, os.getuid(), os.getgid(), follow_symlinks=False)
    if not path.is_symlink():
        path.chmod(0o700 if path.is_dir() else 0o600)


def _owners(path: Path) -> tuple[int, int]:
    try:
        status = path.lstat()
    except OSError:
        return (-1, -1)
    return status.st_uid, status.st_gid


def let_pass(path: Path, home: Path) -> None:
    """Let other users pass through DEX_HOME to a path below it, without letting them list what is on the way."""
    for folder in (home, *reversed([p for p in path.parents if p.is_relative_to(home) and p != home])):
        mode = folder.stat().st_mode
        if mode & 0o011 != 0o011:
            folder.chmod(mode | 0o011)
