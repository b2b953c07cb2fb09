"""The settings of the connector of files, and a file as it was listed: what the connector and its stores share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nodes.connections.connectors import base, readers
from nodes.connections.connectors.base import Misfit, setting

PLACES = {
    "local": "A folder on this machine",
    "s3": "S3",
    "gcs": "Google Cloud Storage",
    "azure": "Azure Blob Storage",
    "sftp": "SFTP",
}
FILE, MODIFIED = "_file", "_file_modified"  # columns about where a row comes from


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
        help="A path for local files and SFTP; otherwise the bucket or container and a path: my-bucket/exports",
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
        title="Add file columns",
        help=f"Adds {FILE} and {MODIFIED}; with {MODIFIED} as the cursor, only changed files are loaded",
        advanced=True,
    )
    key_id: str | None = setting(None, title="Access key", when={"place": ["s3"]}, max_length=200)
    key_secret: str | None = setting(None, title="Secret key", secret=True, when={"place": ["s3"]})
    region: str | None = setting(None, title="Region", when={"place": ["s3"]}, max_length=50)
    endpoint: str | None = setting(
        None, title="Endpoint", help="For other S3-compatible storage", advanced=True, when={"place": ["s3"]}
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
        help="SHA256:… as `ssh-keygen -lf` prints it. Empty: any server is trusted",
        when={"place": ["sftp"]},
        max_length=100,
    )
    most_mib: int = setting(2048, title="Largest file, in MiB", advanced=True, ge=1, le=100_000)

    @model_validator(mode="after")
    def _fits(self) -> "Settings":
        needed = {"azure": ("account",), "sftp": ("host", "user"), "gcs": ("service_account",)}
        for name in needed.get(self.place, ()):
            if not getattr(self, name):
                raise Misfit(name, f"{type(self).model_fields[name].title} is required for {self.place}.")
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
