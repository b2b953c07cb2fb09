"""Commits of Git repositories as read-only folders. Nothing that a repository holds is executed, or followed.

A bare repository per project is fetched into, one branch and one commit deep. A commit becomes a folder by reading its
tree and writing its files ourselves, so that no hook, filter, submodule, attribute or link of it has any effect.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from flows.infra import process
from flows.projects.git.access import Access, helpers, said, secrets_in_files
from flows.projects.git.checks import GitError, check_branch, check_url
from flows.projects.git.trees import entries, inside, printable, remove, write

MOST_FILES = 50_000
MOST_BYTES = 1024**3  # of one commit's files
LARGEST_PACK = 4 * 1024**3
KEPT = 3  # checkouts of a project; a parsed revision has a copy of its own
NOTES = "notes.json"
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SETTINGS = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=false", "core.attributesFile=/dev/null"),
    *("credential.helper=", "gc.auto=0", "maintenance.auto=false", "fetch.recurseSubmodules=false"),
    *("fetch.fsckObjects=true", "transfer.fsckObjects=true", "http.lowSpeedLimit=500", "http.lowSpeedTime=30"),
    *("fetch.fsck.zeroPaddedFilemode=ignore", "fetch.fsck.missingSpaceBeforeDate=ignore", "protocol.version=2"),
)


def _ref_of(branch: str) -> str:
    """Where a branch is kept here. Not by its name: `feat` and `feat/x` exclude each other."""
    return f"refs/dex/{hashlib.sha256(branch.encode()).hexdigest()[:40]}"


@dataclass(frozen=True)
class Commit:
    """One commit: what it is called and who made it."""

    sha: str
    subject: str
    author: str
    at: str  # ISO 8601


@dataclass(frozen=True)
class Checkout:
    """A commit's files in a folder that nobody writes to; `notes` says what was left out, and why."""

    folder: Path
    notes: tuple[str, ...] = ()


class Repository:
    """The copy of a project's repository under DEX_HOME. Not harmed by several processes at once."""

    def __init__(
        self, home: Path, name: str, source: str, access: Access | None = None, *, timeout: float = 300
    ) -> None:
        """In: `name`, of the copy's own; `source`, a URL that `check_url` gave, or the path of a local repository."""
        self.home, self.name = home, name
        self.access = access or Access()
        self.timeout = timeout
        self.is_local = source.startswith("/")
        self.source = f"file://{source}" if self.is_local else check_url(source)
        self.folder = home / "git" / f"{name}.git"

    def fetch(self, branch: str, *, keep: Collection[str] | None = None) -> Commit:
        """Bring the newest commit of a branch, and forget all but `keep` if that is given. Raises GitError.

        Whoever comes second waits: Git refuses two shallow fetches into one repository at the same time.
        """
        check_branch(branch)
        self._make()
        ref = _ref_of(branch)
        with self.folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._git(
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1", "--no-recurse-submodules"),
                *("--force", "--", self.source, f"+refs/heads/{branch}:{ref}"),
                network=True,
            )
            if keep is not None:
                self._forget_branches({_ref_of(each) for each in (branch, *keep)})
            return self.commit(ref)

    def _forget_branches(self, kept: Collection[str]) -> None:
        there = self._git("for-each-ref", "--format=%(refname)", "refs/dex/").decode(errors="replace").split()
        for ref in there:
            if ref not in kept:
                self._git("update-ref", "-d", "--", ref)

    def commit(self, revision: str) -> Commit:
        """What a commit is called. In: a full hash or a ref of this copy. Raises GitError."""
        if not _SHA.fullmatch(revision) and not revision.startswith("refs/dex/"):
            raise GitError("This is not a commit.")
        fields = self._git("log", "-1", "--format=%H%x00%an%x00%aI%x00%s", "--end-of-options", revision, "--")
        sha, author, at, subject = fields.decode(errors="replace").rstrip("\n").split("\0", 3)
        return Commit(sha, printable(subject)[:200], printable(author)[:200], at)

    def checkout(self, sha: str) -> Checkout:
        """The files of a commit in a folder of its own; made once, whole or not at all. Raises GitError."""
        if not _SHA.fullmatch(sha):
            raise GitError("This is not a commit.")
        place = self.home / "checkouts" / self.name / sha
        if not (place / NOTES).is_file():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
            building = Path(tempfile.mkdtemp(prefix=f".{sha[:12]}-", dir=place.parent))
            try:
                building.chmod(0o755)
                notes = self._write_tree(sha, building / "tree")
                (building / NOTES).write_text(json.dumps(notes))
                with suppress(OSError):  # another was first, and made the same
                    building.rename(place)
            finally:
                remove(building)
            self._forget_old(place)
        with suppress(OSError):
            os.utime(place)
        return Checkout(place / "tree", tuple(json.loads((place / NOTES).read_text())))

    # --- the tree of a commit ---------------------------------------------------------------------------------
    def _write_tree(self, sha: str, folder: Path) -> list[str]:
        files, links, notes = entries(self._git("ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", sha))
        if len(files) + len(links) > MOST_FILES:
            raise GitError(f"The commit holds more than {MOST_FILES:,} files.")
        if sum(size for _, _, size in files.values()) > MOST_BYTES:
            raise GitError(f"The files of the commit are larger than {MOST_BYTES // 1024**2:,} MiB.")
        folder.mkdir()
        contents = self._blobs([*(oid for _, oid, _ in files.values()), *links.values()])
        for path, (mode, _, _) in files.items():
            write(folder, path, next(contents), executable=mode == "100755")
        for path in links:
            target = inside(path, next(contents))
            if target is None or not (folder / target).is_file():
                notes.append(f"{path} links to something outside the repository; it is left out")
                continue
            if not (folder / path).exists():
                write(folder, path, (folder / target).read_bytes(), executable=False)
        for directory, _, _ in os.walk(folder, topdown=False):
            Path(directory).chmod(0o555)
        return notes

    def _blobs(self, oids: list[str]) -> Iterator[bytes]:
        """The contents of objects, in order, read from one process."""
        child = process.start(
            self._command("cat-file", "--batch", "--buffer"),
            env=self._environment(None),
            cwd=self.home,
            stdin=process.PIPE,
            stdout=process.PIPE,
            on_output=lambda data: None,
        )

        def ask() -> None:
            assert child.stdin is not None
            with suppress(OSError), child.stdin as pipe:
                pipe.write("".join(f"{oid}\n" for oid in oids).encode())

        threading.Thread(target=ask, daemon=True).start()
        assert child.stdout is not None
        reader = os.fdopen(os.dup(child.stdout.fileno()), "rb", buffering=1024 * 1024)
        try:
            for _ in oids:
                head = reader.readline().split()
                if len(head) != 3 or head[1] != b"blob":
                    raise GitError("A file of the commit is missing in the copy of the repository; sync again.")
                data = reader.read(int(head[2]))
                if len(data) != int(head[2]):
                    raise GitError("The copy of the repository could not be read completely.")
                reader.read(1)
                yield data
        finally:
            reader.close()
            child.stdout.close()
            child.kill()

    def _forget_old(self, newest: Path) -> None:
        others = [path for path in newest.parent.iterdir() if path != newest and not path.name.startswith(".")]
        for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
            remove(old)

    # --- running git --------------------------------------------------------------------------------------------
    def _make(self) -> None:
        if (self.folder / "HEAD").is_file():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._git("init", "--quiet", "--bare", "--template=", "--", str(self.folder), inside=False)

    def _command(self, *command: str, inside: bool = True) -> list[str]:
        program = shutil.which("git") or "git"
        options = [word for setting in _SETTINGS for word in ("-c", setting)]
        return [program, *options, *(("--git-dir", str(self.folder)) if inside else ()), *command]

    def _git(self, *command: str, network: bool = False, inside: bool = True) -> bytes:
        with secrets_in_files(self.access, self.home / "git") if network else nullcontext() as folder:
            try:
                done = process.run(
                    self._command(*command, inside=inside),
                    env=self._environment(folder),
                    cwd=self.home,
                    timeout=self.timeout,
                    limits=process.Limits(file_size=LARGEST_PACK),
                    most=64 * 1024 * 1024,
                )
            except OSError as error:
                raise GitError(f"Git cannot be started ({error.strerror}): install git on this machine.") from error
        if not done.ok:
            raise GitError(said(done, self.access, self.home, self.timeout))
        return done.output

    def _environment(self, secrets: Path | None) -> dict[str, str]:
        own = {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file" if self.is_local else "https:ssh",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
        if secrets is not None:
            own |= helpers(secrets)
        return process.clean_environment({**self.access.environment, **own}, home=self.home / "git" / "home")
