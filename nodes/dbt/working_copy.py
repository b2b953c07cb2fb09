"""A project folder as it is now: its fingerprint, its commit, and a copy that nobody edits any more."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

MOST_FILES = 50_000
MOST_BYTES = 1024**3

_NEVER = {".git", ".venv", "venv", "node_modules", "__pycache__", ".dex", ".idea", ".vscode"}
_NEVER_ON_TOP = {"target", "logs"}  # further down these may well be folders of models
_DATA = (".duckdb", ".duckdb.wal", ".duckdb.tmp", ".sqlite3", ".pyc")


class SnapshotError(Exception):
    """The folder cannot be taken as a project; the message says why."""


def fingerprint(folder: Path) -> str:
    """Changes when, and only when, something changes that dbt would read."""
    total, size = hashlib.sha256(), 0
    for relative, path in sorted(_files(folder)):
        size += path.stat().st_size
        if size > MOST_BYTES:
            raise SnapshotError(f"{folder} holds more than {MOST_BYTES // 1024**2} MiB besides its data")
        total.update(f"{relative}\0".encode(errors="surrogateescape"))
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def differs(folder: Path, blobs: Mapping[str, str]) -> bool:
    """Whether a folder holds anything else than these files, of all that dbt would read.

    In: path -> id of a Git blob. Other ends of lines are no difference: Git writes them as the machine has them.
    """
    left = {path for path in blobs if _is_taken(path)}
    for relative, path in _files(folder):
        if path.is_symlink():
            continue  # what it leads to is compared itself
        if relative not in left or not _is_blob(path.read_bytes(), blobs[relative]):
            return True
        left.remove(relative)
    return bool(left)


def _is_taken(path: str) -> bool:
    first, *_ = parts = path.split("/")
    below = set(parts[:-1])
    return not (below & _NEVER or (first in _NEVER_ON_TOP and len(parts) > 1) or path.endswith(_DATA))


def _is_blob(data: bytes, oid: str) -> bool:
    algorithm = "sha1" if len(oid) == 40 else "sha256"
    return any(
        hashlib.new(algorithm, f"blob {len(each)}\0".encode() + each, usedforsecurity=False).hexdigest() == oid
        for each in (data, data.replace(b"\r\n", b"\n"))
    )


def take(folder: Path, destination: Path) -> Path:
    """Copy the folder; the destination appears complete or not at all."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        size = 0
        for relative, path in _files(folder):
            size += path.stat().st_size
            if size > MOST_BYTES:
                raise SnapshotError(f"{folder} holds more than {MOST_BYTES // 1024**2} MiB besides its data")
            target = temporary / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        # Scripts are other users, who may read it; the folder that it is in lets nobody else in.
        for directory, _, names in os.walk(temporary):
            Path(directory).chmod(0o755)
            for name in names:
                (Path(directory) / name).chmod(0o644)
        temporary.rename(destination)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return destination


def outside_links(folder: Path) -> list[str]:
    """Links that lead out of the folder: what they lead to is not part of the project, so it is left out."""
    root = folder.resolve()
    links = []
    for directory, directories, names in os.walk(root):
        _leave_out(root, Path(directory), directories)
        for name in (*directories, *names):
            path = Path(directory) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                links.append(path.relative_to(root).as_posix())
    return sorted(links)


def _leave_out(root: Path, directory: Path, names: list[str]) -> None:
    unwanted = _NEVER | _NEVER_ON_TOP if directory == root else _NEVER
    names[:] = sorted(name for name in names if name not in unwanted)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    root = folder.resolve()
    if not root.is_dir():
        raise SnapshotError(f"{folder} is not a folder")
    count = 0
    for directory, directories, names in os.walk(root):
        _leave_out(root, Path(directory), directories)
        for name in [*directories, *names]:
            path = Path(directory) / name
            if path.is_symlink():
                linked = path.resolve()
                if not linked.is_relative_to(root) or linked.is_dir():
                    continue  # a linked folder inside the tree is there already under its own name
            elif name in directories:
                continue
            if name.endswith(_DATA) or not path.is_file():
                continue
            count += 1
            if count > MOST_FILES:
                raise SnapshotError(f"{folder} holds more than {MOST_FILES:,} files: is it a project?")
            yield path.relative_to(root).as_posix(), path
