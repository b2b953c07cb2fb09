"""What a commit holds of a local folder, so that one that holds something else is not called by the commit's name."""

import shutil
from functools import lru_cache
from pathlib import Path

from flows.infra import process
from flows.projects.git.folders import root_of

TIMEOUT_S = 60
MOST_LISTED = 64 * 1024 * 1024
_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "safe.directory=*")


def files_of_commit(folder: Path, sha: str, home: Path) -> dict[str, str] | None:
    """path -> id of the blob of each file that a commit has in a folder of its work tree.

    Links and submodules are not among them. None where nobody can say: Git is not installed, or the commit is not
    there. Reads objects alone: nothing that the repository's settings name is started.
    """
    root = root_of(folder)
    program = shutil.which("git")
    if root is None or program is None:
        return None
    below = folder.resolve().relative_to(root).as_posix()
    try:
        return _listed(program, str(root), sha, "" if below == "." else below, str(home))
    except _UnknownError:
        return None


class _UnknownError(Exception):
    """Git could not say; not kept, because the next time it may."""


@lru_cache(maxsize=32)  # a commit never changes, and every run of the environment asks
def _listed(program: str, root: str, sha: str, below: str, home: str) -> dict[str, str]:
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    command = [program, *options, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", f"{sha}:{below}"]
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    try:
        done = process.run(
            command,
            env=process.clean_environment(environment, home=Path(home) / "git" / "home"),
            cwd=root,
            timeout=TIMEOUT_S,
            most=MOST_LISTED,
        )
    except OSError as error:
        raise _UnknownError from error
    if not done.ok or len(done.output) >= MOST_LISTED:
        raise _UnknownError
    files = {}
    for entry in done.output.split(b"\0"):
        meta, _, raw = entry.partition(b"\t")
        if meta.startswith(b"100"):
            files[raw.decode("utf-8", "surrogateescape")] = meta.split()[2].decode()
    return files
