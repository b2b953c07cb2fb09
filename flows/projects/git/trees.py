"""The files of a commit, written by ourselves: names that lead elsewhere, links and submodules have no effect."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path


def entries(listed: bytes) -> tuple[dict[str, tuple[str, str, int]], dict[str, str], list[str]]:
    """path -> (mode, object, size) of files, path -> object of links, and what is left out."""
    files: dict[str, tuple[str, str, int]] = {}
    links: dict[str, str] = {}
    notes: list[str] = []
    for entry in listed.split(b"\0"):
        if not entry:
            continue
        meta, _, raw = entry.partition(b"\t")
        mode, kind, oid, size = meta.decode().split()
        path = raw.decode("utf-8", "surrogateescape")
        if not _is_safe(path):
            notes.append(f"{printable(path)[:200]} has a name that is not allowed; it is left out")
        elif kind == "commit":
            notes.append(f"{path} is a submodule; it is left out. Use packages.yml instead")
        elif mode == "120000":
            links[path] = oid
        else:
            files[path] = (mode, oid, int(size))
    return files, links, notes


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    wrong = {"", ".", "..", ".git", "git~1"}
    return not any(part.lower() in wrong or "\\" in part or any(ord(c) < 32 for c in part) for part in parts) and all(
        len(part.encode(errors="surrogateescape")) <= 255 for part in parts
    )


def inside(link: str, target: bytes) -> str | None:
    """Where in the repository a link leads; None for outside."""
    text = target.decode("utf-8", "surrogateescape")
    if not text or text.startswith("/") or "\0" in text or len(text) > 4096:
        return None
    path = os.path.normpath(os.path.join(os.path.dirname(link), text))  # noqa: PTH118, PTH120 - no file is asked
    return None if path.startswith("..") or path == "." or not _is_safe(path) else path


def write(folder: Path, path: str, data: bytes, *, executable: bool) -> None:
    """Write a new file below a folder in which there are no links, so that no name can lead out of it."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH | (0o111 if executable else 0)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode | stat.S_IWUSR)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)


def remove(folder: Path) -> None:
    """Remove a folder of files that may not be written, as far as it is there."""
    for directory, _, _ in os.walk(folder):
        with suppress(OSError):
            Path(directory).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def printable(text: str) -> str:
    """The text with a question mark for whatever cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in text)
