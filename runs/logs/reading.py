"""A log by lines: windows of it, and where a text occurs. Files are read in blocks, never whole into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runs.logs.lines import last_state
from runs.logs.store import path_of

BLOCK = 1024 * 1024
WINDOW = 2000  # lines on a page
MOST_HITS = 500
LONGEST = 64 * 1024  # bytes of one line that are given to a page


@dataclass(frozen=True)
class Line:
    """A line: its number, from 1, and the text of its last state (runs.logs.lines); `beyond` bytes of it were cut."""

    number: int
    text: str
    beyond: int = 0


@dataclass(frozen=True)
class Window:
    """Lines of a log. `total` counts all lines so far; `end` is the byte after the last line of the window.

    `unfinished` is the line that a log that grows ends with, as it is now: it has no newline yet, and may change.
    """

    lines: list[Line]
    total: int
    size: int
    end: int
    unfinished: Line | None = None

    @property
    def first(self) -> int:
        """The number of its first line; 0 for an empty window."""
        return self.lines[0].number if self.lines else 0

    @property
    def last(self) -> int:
        """The number of its last line; 0 for an empty window."""
        return self.lines[-1].number if self.lines else 0

    @property
    def next(self) -> int:
        """The number of the first line that is not among its whole ones."""
        return self.unfinished.number if self.unfinished else self.last + 1


@dataclass(frozen=True)
class Found:
    """Where a text occurs; `more`: there are hits beyond the MOST_HITS that are listed."""

    hits: list[Line]
    more: bool


def window(relative: str, first: int | None = None, count: int = WINDOW, *, whole: bool = False) -> Window:
    """Lines `first` to `first + count - 1`, from 1; without `first` the last `count` lines.

    In: `whole`, of a log that grows: a last line that has no newline yet is the `unfinished` one.
    A log that does not exist is empty. Raises ValueError for a path that leads out of the folder of logs.
    """
    path = path_of(relative)
    if not path.is_file():
        return Window([], 0, 0, 0)
    total = _count(path)
    size = path.stat().st_size
    first = max(1, total - count + 1 if first is None else min(first, max(total, 1)))
    lines: list[Line] = []
    unfinished = None
    with path.open("rb") as file:
        end = _skip(file, first - 1)
        file.seek(end)
        for number in range(first, first + count):
            raw = file.readline()
            if not raw:
                break
            if whole and not raw.endswith(b"\n"):
                unfinished = _line(number, raw)
                break
            end += len(raw)
            lines.append(_line(number, raw))
    last = unfinished.number if unfinished else lines[-1].number if lines else 0
    return Window(lines, max(total, last), size, end, unfinished)


def after(relative: str, byte: int, number: int) -> Window:
    """The whole lines that came after a byte, at which line `number` begins, and the unfinished one after them."""
    path = path_of(relative)
    lines: list[Line] = []
    unfinished = None
    if not path.is_file():
        return Window([], 0, 0, 0)
    size = path.stat().st_size
    end = min(byte, size)
    with path.open("rb") as file:
        file.seek(end)
        while len(lines) < WINDOW:
            raw = file.readline()
            if not raw.endswith(b"\n"):  # the rest of it has yet to come
                unfinished = _line(number + len(lines), raw) if raw else None
                break
            end += len(raw)
            lines.append(_line(number + len(lines), raw))
    return Window(lines, number + len(lines) - (0 if unfinished else 1), size, end, unfinished)


def search(relative: str, text: str) -> Found:
    """The lines whose last state contains a text, whatever its case and however long they are, from the first on.

    Raises ValueError as `window` does.
    """
    path = path_of(relative)
    hits: list[Line] = []
    needle = text.casefold()
    if not path.is_file():
        return Found(hits, False)
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if needle in _state(raw).decode(errors="replace").casefold():
                if len(hits) == MOST_HITS:
                    return Found(hits, True)
                hits.append(_line(number, raw))
    return Found(hits, False)


def texts(file: BinaryIO) -> Iterator[bytes]:
    """A whole log in blocks, each line in its last state; closes the file."""
    with file:
        block = bytearray()
        for raw in file:
            block += _state(raw) + (b"\n" if raw.endswith(b"\n") else b"")
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
        yield bytes(block)


def _line(number: int, raw: bytes) -> Line:
    state = _state(raw)
    return Line(number, state[:LONGEST].decode(errors="replace"), max(0, len(state) - LONGEST))


def _state(raw: bytes) -> bytes:
    return last_state(raw.removesuffix(b"\n"))


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
