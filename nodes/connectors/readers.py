"""Reads a local file of a known format, a piece at a time: columns in memory, or rows where lists are nested."""

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from nodes.connectors.base import setting
from nodes.connectors.failures import SourceError, first_line

Format = Literal["csv", "jsonl", "parquet", "excel"]
FORMATS = {
    "auto": "By the name of each file",
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
DELIMITERS = (",", ";", "\t", "|")
LONGEST_LINE = 16 * 1024 * 1024  # bytes of one line of CSV or JSON: longer ones are broken files


class Reading(BaseModel):
    """How files are read; part of the settings of every connector that reads files."""

    delimiter: str | None = setting(None, title="Delimiter (CSV)", help="Empty: found out", advanced=True, max_length=4)
    header: Literal["auto", "yes", "no"] = setting("auto", title="First line has names (CSV)", advanced=True)
    as_text: bool = setting(False, title="Read every column as text (CSV)", advanced=True)
    sheet: str | None = setting(None, title="Sheet (Excel)", help="Empty: the first", advanced=True, max_length=200)
    header_row: int = setting(1, title="Line with names (Excel)", advanced=True, ge=1, le=1000)


def format_of(name: str, chosen: str = "auto") -> Format:
    """The format of a file by its ending. Raises SourceError for one that dex does not read."""
    if chosen != "auto":
        return chosen  # type: ignore[return-value]
    stem = name.lower().removesuffix(".gz")
    for ending, found in ENDINGS.items():
        if stem.endswith(ending):
            return found
    raise SourceError("config", f"{name} has no ending that says what it is; choose the format.")


def read(paths: Sequence[tuple[str, Path]], kind: Format, options: Reading) -> Iterator[Any]:
    """Everything in files of one format, as arrow tables, or as lists of dicts for JSON.

    In: (the name a person knows, the path). Raises SourceError naming file and place.
    """
    if kind == "csv":
        yield from _csv(paths, options)
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


def _csv(paths: Sequence[tuple[str, Path]], options: Reading) -> Iterator[Any]:
    """All files at once, so that a column has one type in all of them; DuckDB looks at every line first.

    The delimiter is that of the first line: left to guess from all lines, one bad line would make it one column.
    """
    import duckdb
    import pyarrow as pa

    shown = {str(path): name for name, path in paths}
    filled = [str(path) for _, path in paths if path.stat().st_size]
    if not filled:
        return
    first, *_ = [_looked_at(name, path) for name, path in paths if path.stat().st_size]
    more = {
        "delimiter": options.delimiter or max(DELIMITERS, key=first.count),
        "header": {"yes": True, "no": False}.get(options.header),
    }
    arguments = {name: value for name, value in more.items() if value is not None}
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    try:
        connection.execute(f"SET allowed_paths = {filled!r}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        rows = connection.read_csv(
            filled,
            union_by_name=True,
            sample_size=-1,
            all_varchar=options.as_text,
            max_line_size=LONGEST_LINE,
            buffer_size=2 * LONGEST_LINE,
            **arguments,
        )
        for batch in rows.to_arrow_reader(ROWS):
            yield pa.Table.from_batches([batch])
    except (duckdb.Error, OSError) as error:
        raise SourceError("data", _csv_error(str(error), shown)) from error
    finally:
        connection.close()


def _looked_at(name: str, path: Path) -> str:
    """The first line of a text. Raises SourceError for a file that is none, or has a line without end."""
    first, number, length = b"", 1, 0
    with _opened(path) as file:
        while block := file.read(1024 * 1024):
            first = first or block.split(b"\n", 1)[0]
            if b"\0" in block:
                raise SourceError("data", f"{name}: this is not text in UTF-8; is it a binary file?")
            ends = block.count(b"\n")
            length = len(block) - block.rfind(b"\n") if ends else length + len(block)
            number += ends
            if length > LONGEST_LINE:
                size = LONGEST_LINE // 1024 // 1024
                raise SourceError("data", f"{name}, line {number}: it is longer than {size} MiB; is a quote missing?")
    try:
        return first.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError("data", f"{name}, line 1: this is not text in UTF-8.") from error


def _csv_error(text: str, shown: dict[str, str]) -> str:
    import re

    name = next((name for path, name in shown.items() if path in text), next(iter(shown.values())))
    line = re.search(r"[Ll]ine:? (\d+)", text)
    place = f"{name}, line {line[1]}" if line else name
    if re.search("invalid unicode|not utf-8|encoded|byte sequence", text, re.I):
        return f"{place}: this is not text in UTF-8; is it a binary file, or has it another encoding?"
    if re.search("maximum line size|buffer size", text, re.I):
        return f"{place}: a line is longer than {LONGEST_LINE // 1024 // 1024} MiB; is a quote missing?"
    if re.search("expected number of columns", text, re.I):
        return f"{place}: it has not as many values as there are columns."
    if re.search("sniff|dialect", text, re.I):
        return f"{place}: this does not look like CSV; is it a binary file? Name the delimiter if it is not."
    return f"{place}: {first_line(text)}"


def _json(name: str, path: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for number, row in _json_rows(name, path):
        if not isinstance(row, dict):
            raise SourceError("data", f"{name}, line {number}: this is not an object in braces.")
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
                whole = json.loads(head + file.read(LONGEST_LINE * 16))
            except ValueError as error:
                raise SourceError("data", f"{name}: this is not JSON: {error}.") from error
            yield from ((1, row) for row in whole)
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
                value = json.loads(line)
            except ValueError as error:
                raise SourceError("data", f"{name}, line {number}: this is not JSON.") from error
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
        raise SourceError("data", f"{name}: this is not a workbook that can be read.") from error
    yield from tables_of(name, rows, options.header_row)


def tables_of(name: str, rows: Sequence[Sequence[Any]], header_row: int) -> Iterator[Any]:
    """An arrow table from the cells of a sheet; a column gets the type that all its cells have, else text."""
    import pyarrow as pa

    if len(rows) < header_row:
        return
    names = [str(cell).strip() for cell in rows[header_row - 1]]
    used = [place for place, each in enumerate(names) if each]
    if not used:
        raise SourceError("data", f"{name}: line {header_row} has no names of columns.")
    if twice := next((names[place] for place in used if names.count(names[place]) > 1), None):
        raise SourceError("data", f"{name}: two columns are called {twice}.")
    body = [row for row in rows[header_row:] if any(cell not in ("", None) for cell in row)]
    if not body:
        return  # nobody knows of which types the columns are
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
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)
