"""CSV as arrow tables, with every line accounted for: what cannot be read exactly is refused with its line.

How a file is written (delimiter, header, encoding) is decided once, from its head or by the settings, and every record
must fit. Types of columns are in csv_types, encodings in encodings; docs/connectors.md has the rules.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nodes.connections.connectors.csv_types import SHAPES, Column, cast, look_like_values
from nodes.connections.connectors.encodings import encoding_of, undecodable
from nodes.connections.connectors.failures import SourceError

DELIMITERS = (",", ";", "\t", "|")
LONGEST_LINE = 16 * 1024 * 1024  # characters of one record: longer ones are broken files
HEAD = 64 * 1024  # characters that say how a file is written
ROWS = 50_000
MOST_SHOWN = 80  # characters of a line in a message


class Writing(Protocol):
    """The settings that say how CSV is written; `nodes.connections.connectors.readers.Reading` has them."""

    @property
    def delimiter(self) -> str | None:
        """What separates values; None: found in the file."""

    @property
    def quote(self) -> str:
        """What stands around values."""

    @property
    def header(self) -> str:
        """Whether the file has names of columns."""

    @property
    def header_row(self) -> int:
        """The line of the names, from 1."""

    @property
    def encoding(self) -> str:
        """The encoding of the file."""

    @property
    def decimal_mark(self) -> str:
        """What stands before decimals."""

    @property
    def null_words(self) -> list[str]:
        """Texts that mean no value."""

    @property
    def as_text(self) -> bool:
        """Whether all values stay text."""


@dataclass
class _File:
    """One file: how it is written, and its records."""

    name: str
    path: Path
    writing: Writing
    encoding: str = ""
    delimiter: str = ","
    names: list[str] = field(default_factory=list)
    has_header: bool = False
    rows: int = 0  # that were read

    def at(self, line: int) -> str:
        return f"{self.name}, line {line}"


def read(paths: Sequence[tuple[str, Path]], writing: Writing) -> Iterator[Any]:
    """All files at once, as arrow tables, so that a column has one type in all of them.

    In: (the name a person knows, the path). Raises SourceError with file, line and text for what does not fit. A column
    that some file has not is null there. Files are read twice: the first time each line is checked and types are found.
    """
    import pyarrow as pa

    files = [_File(name, path, writing) for name, path in paths if path.stat().st_size]
    columns: dict[str, Column] = {}
    for file in files:
        try:
            _find_types(file, columns)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError("data", f"{file.name}: the compressed file is incomplete or damaged.") from error
    counted = sum(file.rows for file in files)  # by the first reading
    if not counted:
        return
    rows = 0
    for file in files:
        file.rows = 0
        for chunk in _chunks(file):
            given = dict(zip(file.names, chunk, strict=True))
            count = len(chunk[0])
            rows += count
            yield pa.table(
                {
                    name: cast(given.get(name, pa.nulls(count, pa.string())), column.kind, writing.decimal_mark)
                    for name, column in columns.items()
                }
            )
    if rows != counted:
        raise SourceError("data", f"{files[0].name}: the file changed while dex read it; load it again.")


def _find_types(file: _File, columns: dict[str, Column]) -> None:
    """Read a file to its end, and note what its columns can be. Raises SourceError for what cannot be read."""
    _look_at(file)
    for name in file.names:
        columns.setdefault(name, Column(possible=[] if file.writing.as_text else list(SHAPES)))
    for chunk in _chunks(file):
        for name, values in zip(file.names, chunk, strict=True):
            columns[name].look(values, file.writing.decimal_mark)


# --- how a file is written ------------------------------------------------------------------------------------------
def _look_at(file: _File) -> None:
    """Decide encoding, delimiter and names, once. Raises SourceError."""
    with _bytes(file.path) as data:
        file.encoding = encoding_of(file.name, data.read(4096), file.writing.encoding)
    head = _head(file)
    file.delimiter = file.writing.delimiter or _delimiter(head, file.writing)
    first = next(_records(file), (0, []))[1]
    if not first:
        return
    file.has_header = _has_header(first, file.writing)
    if file.has_header:
        file.names = _checked(file, [each.strip() for each in first])
    else:
        file.names = [f"column{number}" for number in range(len(first))]


def _head(file: _File) -> str:
    try:
        with _text(file) as text:
            return text.read(HEAD)
    except UnicodeError as error:
        raise _undecodable(file) from error


def _delimiter(head: str, writing: Writing) -> str:
    """The delimiter by which the head has most records of one length, and most columns where that is even."""
    whole = head if len(head) < HEAD else head[: head.rfind("\n") + 1]

    def score(delimiter: str) -> tuple[float, int]:
        reader = csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter, **_quoting(writing))
        lengths: list[int] = []
        with suppress(csv.Error):
            lengths.extend(len(record) for record in reader if record)
        usual = max(set(lengths), key=lengths.count) if lengths else 1
        return (lengths.count(usual) / len(lengths), usual) if usual > 1 else (0.0, 1)

    return max(DELIMITERS, key=score)


def _has_header(first: Sequence[str], writing: Writing) -> bool:
    """Whether the first record names the columns: by the settings, or where none of its fields looks like a value."""
    if writing.header != "auto":
        return writing.header == "yes"
    return any(first) and not look_like_values(first)


def _checked(file: _File, names: list[str]) -> list[str]:
    """The names of the columns. Raises SourceError for those that are empty or there twice, all of them."""
    line = file.writing.header_row
    if empty := [str(place) for place, name in enumerate(names, 1) if not name]:
        columns = f"column {empty[0]} has" if len(empty) == 1 else f"columns {', '.join(empty)} have"
        raise SourceError(
            "data", f"{file.at(line)}: {columns} no name. Name them, or set “First line has names” to No."
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(
            "data", f"{file.at(line)}: several columns have the name {', '.join(twice)}. Rename them in the file."
        )
    return names


def _quoting(writing: Writing) -> dict[str, Any]:
    return {"quoting": csv.QUOTE_NONE} if writing.quote == "none" else {"quotechar": writing.quote}


# --- records ----------------------------------------------------------------------------------------------------------
def _records(file: _File) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, fields) of every record, the header too; blank lines between them fall away.

    Raises SourceError. The lines that the parser used must be those that were read from the file: a record is never
    dropped in between.
    """
    writing = file.writing
    try:
        with _text(file) as text:
            for _ in range(writing.header_row - 1):
                text.readline(LONGEST_LINE)
            source = _Lines(file, text)
            csv.field_size_limit(LONGEST_LINE)
            reader = csv.reader(source, delimiter=file.delimiter, strict=True, **_quoting(writing))
            before, first = 0, writing.header_row
            while True:
                try:
                    record = next(reader)
                except StopIteration:
                    break
                except csv.Error as error:
                    raise _broken(file, before + first, source, str(error)) from error
                if record or source.is_one_column:
                    yield before + first, record or [""]
                before = reader.line_num
            if reader.line_num != source.number:
                raise SourceError("data", f"{file.name}: {source.number:,} lines were read, {reader.line_num:,} used.")
    except UnicodeError as error:
        raise _undecodable(file) from error


class _Lines:
    """The lines of a text, none longer than a record may be, and the number of the last one."""

    def __init__(self, file: _File, text: io.TextIOBase) -> None:
        self._file, self._text = file, text
        self.number, self.latest = 0, ""
        self.is_one_column = len(file.names) == 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number, self.latest = self.number + 1, line
        if len(line) > LONGEST_LINE:
            place = self._file.at(self.number + self._file.writing.header_row - 1)
            raise SourceError(
                "data", f"{place}: it is longer than {LONGEST_LINE // 1024 // 1024} MiB; is a quote missing?"
            )
        if "\0" in line:
            raise SourceError("data", f"{self._file.name}: this is not UTF-8 text. Is it a binary file?")
        return line


def _chunks(file: _File) -> Iterator[list[Any]]:
    """The rows, as one array of text a column, null where a field is empty or one of the null words.

    Raises SourceError for a record that has not as many fields as there are columns.
    """
    if not file.names:
        return
    width, rows = len(file.names), []
    records = _records(file)
    if file.has_header:
        next(records, None)
    for line, record in records:
        if len(record) != width:
            raise SourceError(
                "data",
                f"{file.at(line)}: it has {len(record)} value{'' if len(record) == 1 else 's'}, and there are {width} "
                f"columns. The line: {_shown(file.delimiter.join(record))}",
            )
        rows.append(record)
        if len(rows) >= ROWS:
            yield _arrays(file, rows)
            rows = []
    if rows:
        yield _arrays(file, rows)


def _arrays(file: _File, rows: list[list[str]]) -> list[Any]:
    import pyarrow as pa

    file.rows += len(rows)
    nothing = {"", *file.writing.null_words}
    return [
        pa.array([None if each in nothing else each for each in column], pa.string())
        for column in zip(*rows, strict=True)
    ]


# --- bytes and messages -----------------------------------------------------------------------------------------------
def _bytes(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _text(file: _File) -> io.TextIOWrapper:
    return io.TextIOWrapper(_bytes(file.path), encoding=file.encoding, newline="")


def _undecodable(file: _File) -> SourceError:
    with _bytes(file.path) as data:  # by bytes: the text of a broken file has no lines
        return undecodable(file.name, iter(lambda: data.readline(LONGEST_LINE), b""), file.encoding)


def _broken(file: _File, line: int, source: _Lines, reason: str) -> SourceError:
    if "field larger" in reason:
        size = LONGEST_LINE // 1024 // 1024
        return SourceError("data", f"{file.at(line)}: a value is longer than {size} MiB; is a quote missing?")
    if "unexpected end" in reason:
        return SourceError("data", f"{file.at(line)}: a quote is opened here and never closed.")
    now = source.number + file.writing.header_row - 1
    return SourceError(
        "data", f"{file.at(now)}: there is text behind a closing quote. The line: {_shown(source.latest)}"
    )


def _shown(line: str) -> str:
    text = "".join(each if each.isprintable() else " " for each in line.strip())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
