"""A log by lines: windows of it, and where a text occurs. Files are read in blocks, never whole into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runs.logs import path_of

BLOCK = 1024 * 1024
WINDOW = 2000  # lines on a page
MOST_HITS = 500
LONGEST = 64 * 1024  # bytes of one line that are looked at


@dataclass(frozen=True)
class Line:
    """A line: its number, from 1, and its text without the newline."""

    number: int
    text: str


@dataclass(frozen=True)
class Window:
    """Lines of a log. `total` counts all lines so far; `end` is the byte after the last line of the window."""

    lines: list[Line]
    total: int
    size: int
    end: int

    @property
    def first(self) -> int:
        """The number of its first line; 0 for an empty window."""
        return self.lines[0].number if self.lines else 0

    @property
    def last(self) -> int:
        """The number of its last line; 0 for an empty window."""
        return self.lines[-1].number if self.lines else 0


@dataclass(frozen=True)
class Found:
    """Where a text occurs; `more`: there are hits beyond the MOST_HITS that are listed."""

    hits: list[Line]
    more: bool


def window(relative: str, first: int | None = None, count: int = WINDOW, *, whole: bool = False) -> Window:
    """Lines `first` to `first + count - 1`, from 1; without `first` the last `count` lines.

    In: `whole`, of a log that grows: a last line that has no newline yet is left for later.
    A log that does not exist is empty. Raises ValueError for a path that leads out of the folder of logs.
    """
    path = path_of(relative)
    if not path.is_file():
        return Window([], 0, 0, 0)
    total = _count(path)
    size = path.stat().st_size
    first = max(1, total - count + 1 if first is None else min(first, max(total, 1)))
    lines: list[Line] = []
    end = 0
    with path.open("rb") as file:
        end = _skip(file, first - 1)
        file.seek(end)
        for number in range(first, first + count):
            raw = file.readline()
            if not raw or (whole and not raw.endswith(b"\n")):
                break
            end += len(raw)
            lines.append(Line(number, raw[:LONGEST].decode(errors="replace").rstrip("\n")))
    return Window(lines, max(total, lines[-1].number if lines else 0), size, end)


def after(relative: str, byte: int, number: int) -> Window:
    """The whole lines that came after a byte, at which line `number` begins; for a log that grows."""
    path = path_of(relative)
    lines: list[Line] = []
    if not path.is_file():
        return Window([], 0, 0, 0)
    size = path.stat().st_size
    end = min(byte, size)
    with path.open("rb") as file:
        file.seek(end)
        while len(lines) < WINDOW:
            raw = file.readline()
            if not raw.endswith(b"\n"):
                break  # the rest of it has yet to come
            end += len(raw)
            lines.append(Line(number + len(lines), raw[:LONGEST].decode(errors="replace").rstrip("\n")))
    return Window(lines, number + len(lines) - 1, size, end)


def search(relative: str, text: str) -> Found:
    """The lines that contain a text, whatever its case, from the first on. Raises ValueError as `window` does."""
    hits: list[Line] = []
    wanted = text.casefold()
    for line in _lines(path_of(relative)):
        if wanted in line.text.casefold():
            if len(hits) == MOST_HITS:
                return Found(hits, True)
            hits.append(line)
    return Found(hits, False)


def _lines(path: Path) -> Iterator[Line]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            yield Line(number, raw[:LONGEST].decode(errors="replace").rstrip("\n"))


def _count(path: Path) -> int:
    """How many lines; a last one without a newline counts."""
    total, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total += block.count(b"\n")
            last = block[-1:]
    return total + (last != b"\n")


def _skip(file: BinaryIO, lines: int) -> int:
    """The byte at which the line after `lines` lines begins."""
    place, left = 0, lines
    while left > 0 and (block := file.read(BLOCK)):
        there = block.count(b"\n")
        if there < left:
            left -= there
            place += len(block)
            continue
        at = -1
        for _ in range(left):
            at = block.index(b"\n", at + 1)
        return place + at + 1
    return place
