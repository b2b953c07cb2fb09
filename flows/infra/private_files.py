"""What lies on the disk is dex's alone: others neither read nor list it. Pure; the settings use it.

Scripts run as other users where dex is root and bubblewrap is not there, so this is part of their isolation; see
docs/isolation.md.
"""

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: Folders of DEX_HOME that hold what a script, as another user, runs from. Others may pass through them to a path they
#: know, never list them; what is private inside has a folder of its own that is closed.
PASSABLE = frozenset({"dbt", "virtualenvs", "warehouses", "work"})
_SQLITE_FILES = ("", "-wal", "-shm")


def close_to_others(home: Path, database: Path | None = None) -> None:
    """From now on nobody else reads what this process writes; what lies in DEX_HOME already is closed, too.

    In: DEX_HOME, and the file of the SQLite database where it is one. Files that belong to somebody else stay as they
    are; `exposed` names them.
    """
    os.umask(0o077)
    for path in (
        home,
        *home.glob("*"),
        *home.glob("keys/*"),
        *(_database_files(database) if database is not None else ()),
    ):
        with suppress(OSError):
            mode = path.lstat().st_mode
            may = 0o711 if path == home or path.name in PASSABLE else 0o700
            if not stat.S_ISLNK(mode) and mode & 0o077 & ~may:
                path.chmod(stat.S_IMODE(mode) & (0o7700 | may))


def exposed(home: Path, database: Path | None = None) -> list[Path]:
    """What of dex's private files another user of this machine could read, list or write; nothing, if all is well.

    Looked up each time: DEX_HOME itself, all in it but what PASSABLE names, the keys, and the database.
    """
    private = [
        home,
        *(path for path in sorted(home.glob("*")) if path.name not in PASSABLE),
        *sorted(home.glob("keys/*")),
    ]
    private += _database_files(database) if database is not None else ()
    return [path for path in private if _is_open_to_others(path)]


def _database_files(database: Path) -> list[Path]:
    return [database.with_name(database.name + ending) for ending in _SQLITE_FILES]


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o066)
    except OSError:  # it is gone, or a link that leads nowhere
        return False


def new_key() -> str:
    """A random text of 67 characters."""
    return secrets.token_urlsafe(50)


def key_file(path: Path, make: Callable[[], str] = new_key) -> str:
    """The secret key kept at `path`, made at first use (mode 0600), once even by several processes at once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(make())
        # link() fails when another process was first; then its key is the key.
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()
