"""Reads a local file of a known format, a piece at a time: columns in memory, or rows where lists are nested."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from nodes.connections.connectors import csv_files
from nodes.connections.connectors.base import setting
from nodes.connections.connectors.encodings import ENCODINGS
from nodes.connections.connectors.failures import SourceError, first_line
from nodes.connections.connectors.values.rows import exact_json

Format = Literal["csv", "jsonl", "parquet", "excel"]
FORMATS = {
    "auto": "From the file name",
    "csv": "CSV",
    "jsonl": "JSON lines",
    "parquet": "Parquet",
    "excel": "Excel",
}
ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip
ROWS = 50_000
SHOWN = 5  # cells of a sheet in a message
LONGEST_LINE = 16 * 1024 * 1024  # bytes of one line of JSON: longer ones are broken files
QUOTES = {'"': 'Double: "', "'": "Single: '", "none": "None (quotes are part of values)"}
HEADERS = {"auto": "Detect", "yes": "Yes", "no": "No"}
DECIMALS = {".": "A point: 1.5", ",": "A comma: 1,5"}
Encoding = Literal[
    "auto", "utf-8", "utf-16", "cp1252", "latin-1", "iso8859-15", "cp1250", "cp1251", "cp437", "cp850",
    "mac-roman", "shift_jis", "gb18030", "big5", "euc-kr",
]  # fmt: skip


class Reading(BaseModel):
    """How files are read; part of the settings of every connector that reads files."""

    delimiter: str | None = setting(
        None,
        title="Delimiter (CSV)",
        help="One character, or tab. Empty: detected",
        advanced=True,
        max_length=4,
    )
    quote: Literal['"', "'", "none"] = setting('"', title="Quote (CSV)", words=QUOTES, advanced=True)
    header: Literal["auto", "yes", "no"] = setting(
        "auto", title="First line has names (CSV)", words=HEADERS, advanced=True
    )
    encoding: Encoding = setting("auto", title="Encoding (CSV)", words=ENCODINGS, advanced=True)
    decimal_mark: Literal[".", ","] = setting(".", title="Decimal mark (CSV)", words=DECIMALS, advanced=True)
    null_words: list[str] = setting(
        [],
        title="Values that mean null (CSV)",
        help="One per line, such as NULL or NA. Empty fields are always null",
        advanced=True,
    )
    as_text: bool = setting(False, title="Read every column as text (CSV)", advanced=True)
    sheet: str | None = setting(None, title="Sheet (Excel)", help="Empty: the first", advanced=True, max_length=200)
    header_row: int = setting(
        1, title="Header line", help="Lines above it are skipped (Excel, CSV)", advanced=True, ge=1, le=1000
    )

    @field_validator("delimiter", mode="before")
    @classmethod
    def _one_character(cls, value: Any) -> Any:
        character = {"tab": "\t", "\\t": "\t", "": None}.get(value, value) if isinstance(value, str) else value
        if isinstance(character, str) and (len(character) != 1 or character in "\r\n"):
            raise ValueError("a delimiter is one character, or tab")
        return character


def format_of(name: str, chosen: str = "auto") -> Format:
    """The format of a file by its ending. Raises SourceError for one that dex does not read."""
    if chosen != "auto":
        return chosen  # type: ignore[return-value]
    stem = name.lower().removesuffix(".gz")
    for ending, file_format in ENDINGS.items():
        if stem.endswith(ending):
            return file_format
    raise SourceError("config", f"{name} has no known file extension; choose the format.")


def read(paths: Sequence[tuple[str, Path]], kind: Format, options: Reading) -> Iterator[Any]:
    """Everything in files of one format, as arrow tables, or as lists of dicts for JSON.

    In: (the name a person knows, the path). Raises SourceError naming file and place.
    """
    if kind == "csv":
        yield from csv_files.read(paths, options)
        return
    for name, path in paths:
        if kind == "jsonl":
            yield from _json(name, path)
        elif kind == "parquet":
            yield from _parquet(name, path)
        else:
            yield from _excel(name, path, options)


def columns_of(paths: Sequence[tuple[str, Path]], kind: Format, options: Reading) -> list[tuple[str, str]]:
    """(name, type) of the columns, from the first piece."""
    for piece in read(paths, kind, options):
        if isinstance(piece, list):
            names: dict[str, str] = {}
            for row in piece:
                names.update({key: type(value).__name__ for key, value in row.items() if value is not None})
            return list(names.items())
        return [(each.name, str(each.type)) for each in piece.schema]
    return []


def _json(name: str, path: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for number, row in _json_rows(name, path):
        if not isinstance(row, dict):
            raise SourceError("data", f"{name}, line {number}: this is not a JSON object.")
        rows.append(row)
        if len(rows) >= ROWS // 10:
            yield rows
            rows = []
    if rows:
        yield rows


def _json_rows(name: str, path: Path) -> Iterator[tuple[int, Any]]:
    """(line, value): one value a line, or one list in the whole file."""
    with _opened(path) as file:
        head = file.read(1)
        while head in (b" ", b"\n", b"\r", b"\t"):
            head = file.read(1)
        rest = head
        if head == b"[":
            try:
                whole = exact_json(head + file.read(LONGEST_LINE * 16))
            except ValueError as error:
                raise SourceError("data", f"{name}: this is not JSON: {error}.") from error
            yield from enumerate(whole, 1)
            return
        number = 0
        while line := rest + file.readline(LONGEST_LINE + 1):
            number, rest = number + 1, b""
            if len(line) > LONGEST_LINE:
                raise SourceError(
                    "data", f"{name}, line {number}: it is longer than {LONGEST_LINE // 1024 // 1024} MiB."
                )
            if not line.strip():
                continue
            try:
                value = exact_json(line)
            except ValueError as error:
                raise SourceError("data", f"{name}, line {number}: this is not JSON: {error}.") from error
            yield number, value


def _opened(path: Path) -> Any:
    import gzip

    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _parquet(name: str, path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if not file.metadata.num_rows:
                yield file.schema_arrow.empty_table()  # its columns have types: the table can be made
            for batch in file.iter_batches(ROWS):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            "data", f"{name}: this is not a Parquet file that can be read: {first_line(str(error))}"
        ) from error


def _excel(name: str, path: Path, options: Reading) -> Iterator[Any]:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        chosen = options.sheet or book.sheet_names[0]
        if chosen not in book.sheet_names:
            raise SourceError("config", f"{name} has no sheet {chosen}. It has: {', '.join(book.sheet_names)}.")
        rows = book.get_sheet_by_name(chosen).to_python(skip_empty_area=False)
    except calamine.CalamineError as error:
        raise SourceError("data", f"{name}: this workbook cannot be read.") from error
    if errors := _errors(path, book.sheet_names.index(chosen)):
        more = f", and {len(errors) - SHOWN:,} more" if len(errors) > SHOWN else ""
        print(f"{name}: cells that show an error are empty in the table: {', '.join(errors[:SHOWN])}{more}.")
    yield from tables_of(name, rows, options.header_row)


def _errors(path: Path, number: int) -> list[str]:
    """The cells of a sheet of an .xlsx that show an error, such as #N/A; calamine gives them as empty ones."""
    with suppress(zipfile.BadZipFile, KeyError, IndexError), zipfile.ZipFile(path) as book:
        sheet = _attributes(_SHEET.findall(book.read("xl/workbook.xml"))[number])
        relations = map(_attributes, _RELATION.findall(book.read("xl/_rels/workbook.xml.rels")))
        target = {each[b"Id"]: each[b"Target"].decode() for each in relations}[sheet[b"id"]]
        cells = book.read(target.lstrip("/") if target.startswith("/") else f"xl/{target}")
        cells_of_errors = (_attributes(each) for each in _CELL.findall(cells) if b'"e"' in each)
        return [each.get(b"r", b"?").decode() for each in cells_of_errors if each.get(b"t") == b"e"]
    return []


_SHEET = re.compile(rb"<(?:\w+:)?sheet\s[^<>]*>")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s[^<>]*>")
_CELL = re.compile(rb"<(?:\w+:)?c\s[^<>]*>")
_ATTRIBUTE = re.compile(rb'(\w+)="([^"]*)"')


def _attributes(tag: bytes) -> dict[bytes, bytes]:
    return dict(_ATTRIBUTE.findall(tag))


def tables_of(name: str, rows: Sequence[Sequence[Any]], header_row: int) -> Iterator[Any]:
    """An arrow table from the cells of a sheet; a column gets the type that all its cells have, else text."""
    import pyarrow as pa

    if len(rows) < header_row:
        return
    names = [str(cell).strip() for cell in rows[header_row - 1]]
    used = [place for place, each in enumerate(names) if each]
    if not used:
        raise SourceError("data", f"{name}: line {header_row} has no column names.")
    if twice := sorted({names[place] for place in used if names.count(names[place]) > 1}):
        raise SourceError("data", f"{name}: several columns have the name {', '.join(twice)}.")
    body = [row for row in rows[header_row:] if any(cell not in ("", None) for cell in row)]
    if not body:
        return  # nobody knows of which types the columns are
    for place in sorted(set(range(max(map(len, body)))) - set(used)):
        if any(place < len(row) and row[place] not in ("", None) for row in body):
            raise SourceError(
                "data", f"{name}: column {place + 1} has values, and no name in line {header_row}. Name it."
            )
    columns = {names[place]: _column([row[place] if place < len(row) else None for row in body]) for place in used}
    yield pa.table(columns)


def _column(cells: list[Any]) -> Any:
    import pyarrow as pa

    values = [None if cell == "" else cell for cell in cells]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {float} and all(value is None or (value.is_integer() and abs(value) < 2**53) for value in values):
        return pa.array([None if value is None else int(value) for value in values], pa.int64())
    if kinds <= {int, float} and kinds:
        return pa.array(values, pa.int64() if kinds == {int} else pa.float64())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {datetime} or kinds == {date, datetime}:
        days = [datetime.combine(each, time()) if type(each) is date else each for each in values]
        return pa.array(days, pa.timestamp("us"))
    if kinds == {date}:
        return pa.array(values, pa.date32())
    return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)
