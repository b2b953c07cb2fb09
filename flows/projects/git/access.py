"""How a repository is reached without a secret in a URL, a command or an environment, and what Git's errors mean."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.infra.process import Finished
from flows.projects.git.trees import printable

_ASKER = """#!/bin/sh
case "$1" in
Username*) exec cat "{folder}/username";;
*) exec cat "{folder}/token";;
esac
"""


@dataclass(frozen=True)
class Access:
    """How a repository is reached: a user and a token (HTTPS), or a private key and known hosts (SSH)."""

    username: str = ""
    token: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    known_hosts: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)  # proxies and certificates


@contextmanager
def secrets_in_files(access: Access, parent: Path) -> Iterator[Path]:
    """A folder of files that Git's helpers read, as long as the block lasts."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix="access-", dir=parent))
    try:
        for name, text in (
            ("username", access.username or "git"),
            ("token", access.token),
            ("key", access.private_key.replace("\r\n", "\n").rstrip("\n") + "\n"),
            ("known_hosts", access.known_hosts.replace("\r\n", "\n") + "\n"),
            ("askpass", _ASKER.format(folder=folder)),
        ):
            (folder / name).touch(mode=0o700 if name == "askpass" else 0o600)
            (folder / name).write_text(text)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def helpers(secrets: Path) -> dict[str, str]:
    """What points Git to these files. The words of the SSH command are ours and hold no blanks: a shell reads them."""
    options = [
        *("BatchMode=yes", "IdentitiesOnly=yes", "ProxyCommand=none", "PermitLocalCommand=no", "ConnectTimeout=15"),
        *("ForwardAgent=no", f"UserKnownHostsFile={secrets / 'known_hosts'}", "GlobalKnownHostsFile=/dev/null"),
        *("StrictHostKeyChecking=yes", f"IdentityFile={secrets / 'key'}"),
    ]
    command = "ssh -F /dev/null " + " ".join(f"-o {option}" for option in options)
    asker = str(secrets / "askpass")
    return {"GIT_ASKPASS": asker, "SSH_ASKPASS": asker, "GIT_SSH_COMMAND": command}


def said(done: Finished, access: Access, home: Path, timeout: float) -> str:
    """What Git said, in a sentence of ours where it is known, without secrets and places of this machine."""
    if done.exit_code is None:
        return f"The repository did not answer within {timeout:g} seconds."
    text = done.errors[-LONGEST_SAID:].decode(errors="replace")
    for secret in (access.token, *access.private_key.splitlines()):
        if len(secret) >= 6:
            text = text.replace(secret, "[MASKED]")
    text = text.replace(str(home), "")
    for sign, words in _KNOWN:
        if sign.search(text):
            return words
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    return f"Git said: {printable(error)[:300]}" if error else f"Git ended with exit code {done.exit_code}."


LONGEST_SAID = 64 * 1024  # bytes of what Git and the host said; the end of it tells
# The host chooses what it says, so no pattern here looks further than a few hundred characters from where it begins.
_SAID = (
    (r"couldn't find remote ref|remote branch .{0,300}? not found", "The repository has no branch of this name."),
    (
        r"authentication failed|invalid username or (password|token)|could not read (username|password)"
        r"|HTTP 40[13]|error: 40[13]",
        "The repository rejected the user or the token. Check both, and check that the token can read the repository.",
    ),
    (
        r"permission denied \(|no supported authentication",
        "The repository rejected the SSH key. Add the public key to the repository.",
    ),
    (
        r"host key verification failed|no .{0,50}? host key is known",
        "The SSH key of the host is unknown. Add its known_hosts line (from ssh-keyscan) to the project.",
    ),
    (
        r"repository .{0,300}?not found|does not appear to be a git repository|HTTP 404|error: 404",
        "The repository does not exist or you have no access to it.",
    ),
    (r"could not resolve host", "The host of the repository was not found."),
    (r"SSL certificate|certificate verif", "This machine does not trust the certificate of the host."),
    (
        r"failed to connect|connection (refused|timed out|reset)|timed out|unreachable",
        "The host of the repository does not answer.",
    ),
    (r"dubious ownership", "The repository is owned by a different user than the one dex runs as."),
    (r"transport '[^']{0,50}' not allowed", "This protocol is not allowed; use https or ssh."),
    (r"file (size limit|too large)|File size limit exceeded", "The repository is too large."),
)
_KNOWN = tuple((re.compile(sign, re.IGNORECASE), words) for sign, words in _SAID)
