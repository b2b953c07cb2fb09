"""Files in a folder: on this machine, in S3, Google Cloud Storage, Azure Blob Storage, or on an SFTP server."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from nodes.connections.connectors import readers
from nodes.connections.connectors.base import Connector, Context, Cursor, Found
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.file_settings import FILE, MODIFIED, File, Settings, Table
from nodes.connections.connectors.places import matches
from nodes.connections.connectors.streams import StreamSettings

MOST_TABLES = 500


class Files(Connector):
    """Reads the files of a folder, wherever it is."""

    key = "files"
    title = "Files"
    summary = "CSV, JSON, Parquet and Excel: local, S3, Google Cloud Storage, Azure, SFTP"
    group = "Files"
    icon = "folder"
    status = "Certified"
    Config = Settings

    def needs_network(self, config: Settings) -> bool:
        """Only a local folder does without."""
        return config.place != "local"

    def test(self, config: Settings, context: Context) -> str:
        """List the folder."""
        with store_of(config, context) as store:
            files = store.files()
        if not files:
            raise SourceError("config", f"There are no files in {config.folder}.")
        return f"There are {len(files):,} files; they make {len(tables_of(config, files)):,} tables."

    def discover(self, config: Settings, context: Context) -> Sequence[Found]:
        """A stream for each table, with the columns of its newest file."""
        streams = []
        with store_of(config, context) as store:
            for name, (files, options) in tables_of(config, store.files()).items():
                newest = max(files, key=lambda file: file.modified)
                kind = readers.format_of(newest.name, config.format)
                columns = readers.columns_of([(newest.name, store.fetch(newest))], kind, options)
                cursors = [column for column, kind_ in columns if kind_.startswith(("int", "timestamp", "date"))]
                if config.file_columns:
                    columns, cursors = [*columns, (FILE, "string"), (MODIFIED, "timestamp")], [*cursors, MODIFIED]
                streams.append(Found(name, columns, (), cursors))
        return streams

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """The rows of the files of one table; with the cursor on MODIFIED, only of files that changed since."""
        import dlt

        def rows() -> Iterator[Any]:
            with store_of(config, context) as store:
                tables = tables_of(config, store.files())
                if stream.name not in tables:
                    raise SourceError("config", f"The table {stream.name} has no files (any more).")
                files, options = tables[stream.name]
                if cursor and cursor.column == MODIFIED:
                    if not config.file_columns:
                        raise SourceError("config", f"Turn on “Add file columns” to use {MODIFIED}.")
                    files = [file for file in files if cursor.since is None or file.modified >= _moment(cursor.since)]
                yield from _read(store, files, config, options)

        return dlt.resource(rows, name=stream.name)


def _read(store: Any, files: list[File], config: Settings, options: readers.Reading) -> Iterator[Any]:
    """Piece by piece. Files of CSV are read together, so that a column has one type, unless rows say their file."""
    groups: list[list[File]] = [[file] for file in files]
    if not config.file_columns and files and {readers.format_of(file.name, config.format) for file in files} == {"csv"}:
        groups = [files]
    for group in groups:
        fetched = [(file.name, store.fetch(file)) for file in group]
        kind = readers.format_of(group[0].name, config.format)
        for piece in readers.read(fetched, kind, options):
            yield _with_place(piece, group[0]) if config.file_columns else piece
        for _, path in fetched:
            store.forget(path)


def _with_place(piece: Any, file: File) -> Any:
    if isinstance(piece, list):
        return [{**row, FILE: file.name, MODIFIED: file.modified} for row in piece]
    import pyarrow as pa

    count = len(piece)
    piece = piece.append_column(FILE, pa.array([file.name] * count, pa.string()))
    return piece.append_column(MODIFIED, pa.array([file.modified] * count, pa.timestamp("us", "UTC")))


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def tables_of(config: Settings, files: list[File]) -> dict[str, tuple[list[File], readers.Reading]]:
    """Name of a table -> its files, sorted, and how they are read. Raises SourceError for two of one name."""
    tables: dict[str, tuple[list[File], readers.Reading]] = {}
    if config.tables:
        for table in config.tables:
            chosen = [file for file in files if matches(file.name, table.pattern)]
            if chosen:
                tables[table.name] = (chosen, _reading(config, table))
        return tables
    for file in files:
        place = PurePosixPath(file.name)
        try:
            readers.format_of(file.name, config.format)
        except SourceError:
            continue  # a README among the data
        name = place.name.split(".")[0] if len(place.parts) == 1 else "_".join(place.parts[:-1])
        tables.setdefault(name, ([], config))[0].append(file)
    if len(tables) > MOST_TABLES:
        raise SourceError("config", f"The folder would make {len(tables):,} tables. Group files under Tables.")
    return tables


def _reading(config: Settings, table: Table) -> readers.Reading:
    own = {"sheet": table.sheet} if table.sheet else {}
    return config.model_copy(
        update={**own, **{name: getattr(table.reading, name) for name in table.reading.model_fields_set}}
    )


def store_of(config: Settings, context: Context) -> Any:
    """Where the files are, to be listed and fetched."""
    from nodes.connections.connectors import stores

    return stores.PLACES[config.place](config, context)
