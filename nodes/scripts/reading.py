"""What a script's code reads, as far as its text says so: parameters by place, variables by name. Nothing is
run, and the text is read in a process of its own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nodes.dbt import reader

LARGEST = 256 * 1024  # bytes of a file that is looked at
MOST_AT_ONCE = 20  # scripts that one process reads


@dataclass(frozen=True)
class Reads:
    """Places of sys.argv, and names asked of os.getenv and os.environ, each once, sorted."""

    places: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


def reads_of_all(paths: Sequence[Path]) -> list[Reads]:
    """What the code at each of the paths reads; nothing for what is no Python, or takes too long to be understood.

    All are read by one process, unless one of them keeps it from that.
    """
    texts = [_text(path) for path in paths]
    reads: list[Reads] = []
    for start in range(0, len(texts), MOST_AT_ONCE):
        some = texts[start : start + MOST_AT_ONCE]
        together = _asked(some)
        reads += together or [(_asked([text]) or [Reads()])[0] for text in some]
    return reads


def _text(path: Path) -> str:
    try:
        return "" if path.is_symlink() else reader.read_file(path, LARGEST).decode()
    except (OSError, UnicodeDecodeError, reader.ReadError):
        return ""


def _asked(texts: Sequence[str]) -> list[Reads]:
    """What they read; an empty list where that cannot be told."""
    if not any(texts):
        return [Reads()] * len(texts)
    try:
        answer = reader.ask("scripts", "__main__.py", json.dumps(texts).encode())
    except reader.ReadError:
        return []
    return [
        Reads(tuple(each["places"]), tuple(name for name in each["names"] if not name.startswith("DEX_")))
        for each in answer["reads"]
    ]
