"""Processes of this machine as tests look for them: in /proc, since `pgrep` is not on every machine."""

from contextlib import suppress
from pathlib import Path


def with_command(*arguments: str) -> list[int]:
    """The living processes that run exactly this command."""
    wanted = b"".join(argument.encode() + b"\0" for argument in arguments)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
    return found
