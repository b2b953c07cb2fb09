"""Logs of attempts: files that grow while a task runs, masked and capped, read by byte range."""

import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from django.conf import settings

from flows.infra.redaction import Redactor
from runs.logs.lines import last_state, settle

log = logging.getLogger("dex.logs")
READ_LIMIT = 1024 * 1024


def root() -> Path:
    """The folder of all logs; paths of attempts are relative to it."""
    return Path(settings.DEX_HOME) / "logs"


class LogWriter:
    """Appends to one attempt's log. Every byte passes the redactor before it reaches the disk.

    Of a line that is drawn again and again (runs.logs.lines) the file holds the latest state alone, at once, so that a
    progress bar can be watched and takes the room of one line however long it goes on. In: `exact`, for what is no
    output of a program: every byte of it is kept.

    The first LOG_HEAD_BYTES are written at once; of what follows the last LOG_TAIL_BYTES are kept and written at the
    end, after a line that says how much was left out. A full disk never fails the task: what cannot be
    written is counted as dropped. Not for two threads at once, except `append`.
    Raises ValueError for a path that leads out of the folder of logs.
    """

    def __init__(self, relative: str, redactor: Redactor, *, exact: bool = False) -> None:
        self.path = path_of(relative)
        self.redactor = redactor
        self.dropped = 0
        self._exact = exact
        self._returned = False  # a carriage return was the last that came
        self._open_head, self._open_tail = 0, 0  # bytes of the line that has no newline yet, in the head and after it
        self._size = self._line_at = 0  # of the file; and where in it that line begins
        self._written = 0
        self._tail: deque[memoryview] = deque()
        self._tail_size = 0
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = FileIO(self.path, "ab")
            self._size = self._line_at = self._file.seek(0, 2)
        except OSError as error:
            log.error("no log at %s: %s", self.path, error)

    def append(self, data: bytes) -> None:
        """Mask and write `data`; the end of it may wait for more when it could begin a secret."""
        with self._lock:
            self._store(self.redactor.feed(data))

    def line(self, text: str) -> None:
        """Write one whole line at once: nothing of it waits."""
        with self._lock:
            self._store(self.redactor.feed(text.encode(errors="replace") + b"\n") + self.redactor.flush())

    def close(self) -> int:
        """Write what waited and the tail; the number of bytes left out."""
        with self._lock:
            self._store(self.redactor.flush())
            if self._tail:
                left_out = self.dropped
                if left_out:
                    self._write(f"\n--- {left_out} bytes left out ---\n".encode())
                for piece in self._tail:
                    self._write(piece)
                self._tail.clear()
            if self._file is not None:
                self._file.close()
        return self.dropped

    def _store(self, data: bytes) -> None:
        if self._exact or not (self._returned or b"\r" in data):
            self._keep(data)
            return
        first, *rest = data.split(b"\n")
        settled = settle(first, returned=self._returned)
        if settled.restarts:
            self._forget_line()
        kept = [settled.text]
        for piece in rest:
            settled = settle(piece, returned=False)
            kept.append(settled.text)
        self._returned = settled.returned
        self._keep(b"\n".join(kept))

    def _forget_line(self) -> None:
        """Take back what was stored of the line that has no newline yet: it is drawn anew."""
        if self._open_head:
            with suppress(OSError):
                if self._file is not None:
                    self._size = self._file.truncate(min(self._line_at, self._size))
            self._written -= self._open_head
        # Of the tail the oldest goes first: what is gone of this line was counted as dropped, and nobody misses it.
        there = min(self._open_tail, self._tail_size)
        self.dropped -= self._open_tail - there
        self._tail_size -= there
        while there > 0:
            last = self._tail.pop()
            if len(last) > there:
                self._tail.append(last[:-there])
            there -= len(last)
        self._open_head = self._open_tail = 0

    def _keep(self, data: bytes) -> None:
        room = settings.LOG_HEAD_BYTES - self._written
        if room > 0:
            head, data = data[:room], data[room:]
            if head:
                began = self._size
                self._write(head)
                self._written += len(head)
                after = len(head) - head.rfind(b"\n") - 1
                if after < len(head):
                    self._open_head = 0
                    self._line_at = min(began + len(head) - after, self._size)  # a full disk took less
                self._open_head += after
        if data:
            self._tail.append(memoryview(data))
            self._tail_size += len(data)
            after = len(data) - data.rfind(b"\n") - 1
            if after < len(data):
                self._open_head = self._open_tail = 0
            self._open_tail += after
            self._shorten_tail()

    def _shorten_tail(self) -> None:
        """Keep exactly the last LOG_TAIL_BYTES, and count the rest."""
        while (surplus := self._tail_size - settings.LOG_TAIL_BYTES) > 0:
            first = self._tail.popleft()
            if len(first) > surplus:
                self._tail.appendleft(first[surplus:])
            gone = min(surplus, len(first))
            self._tail_size -= gone
            self.dropped += gone

    def _write(self, data: bytes | memoryview) -> None:
        """Write all of it: a disk that is nearly full takes a part, and says nothing."""
        view = memoryview(data)
        try:
            while view and self._file is not None:
                view = view[self._file.write(view) or 0 :]
        except OSError:
            pass
        self._size += len(data) - len(view)
        self.dropped += len(view)


@dataclass(frozen=True)
class Piece:
    """A range of a log: raw bytes, where it starts, where the next begins, and the size of the whole so far."""

    data: bytes
    start: int
    end: int
    size: int

    @property
    def text(self) -> str:
        """The lines as text for a page: invalid UTF-8 replaced, control characters but tab, newline and ESC gone."""
        return _shown("\n".join(map(last_state, self.data.decode(errors="replace").split("\n"))))

    @property
    def code(self) -> str:
        """The bytes as text for a page that shows a file of code: a carriage return ends a line as a newline does."""
        return _shown(self.data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n"))


def _shown(text: str) -> str:
    return "".join(c for c in text if c in "\n\t\x1b" or (c >= " " and c != "\x7f"))


def read(relative: str, start: int = 0, length: int = READ_LIMIT) -> Piece:
    """Read at most `length` bytes (and at most 1 MiB) of a log from byte `start`; negative counts from the end.

    In: the path an Attempt row carries. A log that does not exist (yet, or any more) is empty. A piece that ends
    within the log ends with a whole character, so that pieces can be put together again as text.
    Raises ValueError for a path that leads out of the folder of logs.
    """
    path = path_of(relative)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(size + start, 0) if start < 0 else min(start, size)
            file.seek(start)
            data = file.read(max(0, min(length, READ_LIMIT)))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return Piece(b"", 0, 0, 0)
    if start + len(data) < size:
        data = data[: _whole_characters(data)]
    return Piece(data, start, start + len(data), size)


def path_of(relative: str) -> Path:
    """The file of a log. Raises ValueError for a path that leads out of the folder of logs."""
    base = root().resolve()
    path = (base / relative).resolve()
    if not path.is_relative_to(base):
        raise ValueError("this path leads out of the folder of logs")
    return path


def _whole_characters(data: bytes) -> int:
    """How many bytes come before a UTF-8 character that was cut at the end; all of them if none was."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue  # the inside of a character
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if back < needed and back < len(data) else len(data)
    return len(data)
