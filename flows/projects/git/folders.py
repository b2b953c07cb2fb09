"""Local folders that are Git repositories, read from Git's own files: nothing is started."""

from contextlib import suppress
from pathlib import Path


def is_repository(folder: Path) -> bool:
    """Whether a local folder is a Git repository: one with a work tree, or a bare one."""
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def root_of(folder: Path) -> Path | None:
    """The top of the work tree that a folder is in; None where it is in none."""
    return next(
        (parent for parent in (folder.resolve(), *folder.resolve().parents) if (parent / ".git").exists()), None
    )


def head_of(folder: Path) -> str | None:
    """The commit that is checked out here, read from Git's own files; None where there is none."""
    for parent in (folder.resolve(), *folder.resolve().parents):
        git = parent / ".git"
        with suppress(OSError):
            if git.is_file():  # a worktree or a submodule
                git = (parent / git.read_text().partition("gitdir:")[2].strip()).resolve()
            if git.is_dir():
                return _head(git)
    return None


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head or None
    name = head.partition("ref:")[2].strip()
    places = [git]
    with suppress(OSError):
        places.append((git / (git / "commondir").read_text().strip()).resolve())
    for place in places:
        with suppress(OSError):
            return (place / name).read_text().strip()
        with suppress(OSError):
            for line in (place / "packed-refs").read_text().splitlines():
                if line.endswith(f" {name}"):
                    return line.split()[0]
    return None
