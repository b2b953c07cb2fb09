"""Files in a folder: on this machine, in S3, Google Cloud Storage, Azure Blob Storage, or on an SFTP server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nodes.connectors import base, readers
from nodes.connectors.base import Connector, Context, Cursor, Found, Misfit, setting
from nodes.connectors.failures import SourceError
from nodes.connectors.places import matches
from nodes.connectors.streams import StreamSettings

PLACES = {
    "local": "A folder of this machine",
    "s3": "S3",
    "gcs": "Google Cloud Storage",
    "azure": "Azure Blob Storage",
    "sftp": "SFTP",
}
FILE, MODIFIED = "_file", "_file_modified"  # columns about where a row comes from
MOST_TABLES = 500


class TableReading(readers.Reading):
    """How the files of one table are read, where that differs from the connection."""

    model_config = ConfigDict(extra="forbid")


class Table(BaseModel):
    """Which files become one table."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    pattern: str = Field(min_length=1, max_length=500)  # orders-*.csv, **/orders/*.parquet
    sheet: str | None = None
    reading: TableReading = Field(
        default_factory=lambda: TableReading()
    )  # {"delimiter": ";"}: what differs from the rest


class Settings(readers.Reading, base.Config):
    """Where the files are, and which of them become which table."""

    place: Literal["local", "s3", "gcs", "azure", "sftp"] = setting("local", title="Place", words=PLACES)
    folder: str = setting(
        title="Folder",
        help="On this machine and by SFTP a path; elsewhere the bucket or container, and a path: my-bucket/exports",
        max_length=1000,
    )
    format: Literal["auto", "csv", "jsonl", "parquet", "excel"] = setting("auto", title="Format", words=readers.FORMATS)
    tables: list[Table] = setting(
        [],
        title="Tables",
        help='As JSON: [{"name": "orders", "pattern": "orders-*.csv"}], and how they are read where that differs: '
        '"reading": {"delimiter": ";", "encoding": "cp1252"}. '
        "Empty: every file becomes a table, and every folder of files becomes one",
    )
    file_columns: bool = setting(
        False,
        title="Say where rows come from",
        help=f"Adds {FILE} and {MODIFIED}; with {MODIFIED} as cursor only files that changed are loaded",
        advanced=True,
    )
    key_id: str | None = setting(None, title="Access key", when={"place": ["s3"]}, max_length=200)
    key_secret: str | None = setting(None, title="Secret key", secret=True, when={"place": ["s3"]})
    region: str | None = setting(None, title="Region", when={"place": ["s3"]}, max_length=50)
    endpoint: str | None = setting(
        None, title="Endpoint", help="For storage that speaks S3 elsewhere", advanced=True, when={"place": ["s3"]}
    )
    service_account: str | None = setting(
        None, title="Service account (JSON)", secret=True, textarea=True, when={"place": ["gcs"]}
    )
    account: str | None = setting(None, title="Storage account", when={"place": ["azure"]}, max_length=100)
    account_key: str | None = setting(None, title="Account key", secret=True, when={"place": ["azure"]})
    sas_token: str | None = setting(None, title="SAS token", secret=True, when={"place": ["azure"]})
    host: str | None = setting(None, title="Host", when={"place": ["sftp"]}, max_length=255)
    port: int = setting(22, title="Port", when={"place": ["sftp"]}, ge=1, le=65535)
    user: str | None = setting(None, title="User", when={"place": ["sftp"]}, max_length=200)
    password: str | None = setting(None, title="Password", secret=True, when={"place": ["sftp"]})
    private_key: str | None = setting(None, title="Private key", secret=True, textarea=True, when={"place": ["sftp"]})
    host_key: str | None = setting(
        None,
        title="Fingerprint of the host key",
        help="SHA256:… as `ssh-keygen -lf` prints it. Empty: any server is believed to be the right one",
        when={"place": ["sftp"]},
        max_length=100,
    )
    most_mib: int = setting(2048, title="Largest file, in MiB", advanced=True, ge=1, le=100_000)

    @model_validator(mode="after")
    def _fits(self) -> "Settings":
        needed = {"azure": ("account",), "sftp": ("host", "user"), "gcs": ("service_account",)}
        for name in needed.get(self.place, ()):
            if not getattr(self, name):
                raise Misfit(name, f"{type(self).model_fields[name].title} is needed for {self.place}.")
        names = [table.name for table in self.tables]
        if len(set(names)) != len(names):
            raise Misfit("tables", "Two tables have the same name.")
        return self


@dataclass(frozen=True)
class File:
    """A file that was listed: its path below the folder, and what fetches it."""

    name: str
    handle: Any
    size: int
    modified: datetime


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
        found = []
        with store_of(config, context) as store:
            for name, (files, options) in tables_of(config, store.files()).items():
                newest = max(files, key=lambda file: file.modified)
                kind = readers.format_of(newest.name, config.format)
                columns = readers.columns_of([(newest.name, store.fetch(newest))], kind, options)
                cursors = [column for column, kind_ in columns if kind_.startswith(("int", "timestamp", "date"))]
                if config.file_columns:
                    columns, cursors = [*columns, (FILE, "string"), (MODIFIED, "timestamp")], [*cursors, MODIFIED]
                found.append(Found(name, columns, (), cursors))
        return found

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """The rows of the files of one table; with the cursor on MODIFIED, only of files that changed since."""
        import dlt

        def rows() -> Iterator[Any]:
            with store_of(config, context) as store:
                tables = tables_of(config, store.files())
                if stream.name not in tables:
                    raise SourceError("config", f"There are no files (any more) for the table {stream.name}.")
                files, options = tables[stream.name]
                if cursor and cursor.column == MODIFIED:
                    if not config.file_columns:
                        raise SourceError("config", f"Switch “Say where rows come from” on to use {MODIFIED}.")
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
    made: dict[str, tuple[list[File], readers.Reading]] = {}
    if config.tables:
        for table in config.tables:
            chosen = [file for file in files if matches(file.name, table.pattern)]
            if chosen:
                made[table.name] = (chosen, _reading(config, table))
        return made
    for file in files:
        place = PurePosixPath(file.name)
        try:
            readers.format_of(file.name, config.format)
        except SourceError:
            continue  # a README among the data
        name = place.name.split(".")[0] if len(place.parts) == 1 else "_".join(place.parts[:-1])
        made.setdefault(name, ([], config))[0].append(file)
    if len(made) > MOST_TABLES:
        raise SourceError(
            "config", f"The folder would make {len(made):,} tables; say under Tables which files belong together."
        )
    return made


def _reading(config: Settings, table: Table) -> readers.Reading:
    own = {"sheet": table.sheet} if table.sheet else {}
    return config.model_copy(
        update={**own, **{name: getattr(table.reading, name) for name in table.reading.model_fields_set}}
    )


def store_of(config: Settings, context: Context) -> Any:
    """Where the files are, to be listed and fetched."""
    from nodes.connectors import stores

    return stores.PLACES[config.place](config, context)
