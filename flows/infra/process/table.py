"""What the kernel knows about processes: read from /proc, nothing is started here."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

PROC = Path("/proc")


@cache
def boot_id() -> str:
    """Changes with every boot: a process id of an earlier boot means nothing."""
    with suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on: the name before it may hold blanks and brackets."""
    return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def start_time(pid: int) -> int | None:
    """When the process started, in ticks since boot; with its id it names one process for good."""
    try:
        return int(_fields(pid)[19])
    except (OSError, IndexError, ValueError):
        return None


def descendants(pid: int) -> list[int]:
    """Everything below a process, parents first, however it regrouped itself."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(PROC):  # noqa: PTH208 - names are enough, and there may be many
        if entry.isdigit():
            with suppress(OSError, IndexError, ValueError):
                children.setdefault(int(_fields(int(entry))[1]), []).append(int(entry))
    below = list(children.get(pid, ()))
    for child in below:  # grows while we walk it
        below += children.get(child, ())
    return below


def ignored_signals() -> frozenset[int]:
    """The signals that this process ignores: its children would inherit that."""
    with suppress(OSError, ValueError):
        for line in (PROC / "self/status").read_text().splitlines():
            if line.startswith("SigIgn:"):
                mask = int(line.split()[1], 16)
                return frozenset(number for number in range(1, 32) if mask >> (number - 1) & 1)
    return frozenset()


def cpu_seconds(pid: int) -> float:
    """User and system time of a living process and of its ended children; 0 when it is gone."""
    try:
        return sum(int(ticks) for ticks in _fields(pid)[11:15]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
