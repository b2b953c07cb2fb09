"""A file behind an address: CSV, JSON lines, Parquet or Excel."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import field_validator

from nodes.connections.connectors import base, readers
from nodes.connections.connectors.base import Connector, Context, Cursor, Found, setting
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import StreamSettings


class Settings(readers.Reading, base.Config):
    """Which file, and how to sign in."""

    url: str = setting(title="URL", help="https://…", max_length=2000)
    table: str = setting("file", title="Table", help="The name of the table", min_length=1, max_length=100)
    format: Literal["auto", "csv", "jsonl", "parquet", "excel"] = setting("auto", title="Format", words=readers.FORMATS)
    user: str | None = setting(None, title="User", help="For basic authentication", advanced=True, max_length=200)
    password: str | None = setting(None, title="Password", secret=True, advanced=True)
    token: str | None = setting(None, title="Bearer token", secret=True, advanced=True)
    headers: dict[str, str] = setting({}, title="Headers", help="As JSON", secret=True, advanced=True)
    attempts: int = setting(5, title="Attempts", advanced=True, ge=1, le=10)
    most_mib: int = setting(2048, title="Largest file, in MiB", advanced=True, ge=1, le=100_000)

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if "{{" not in value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("the URL must begin with https:// or http://.")
        return value


class HttpFile(Connector):
    """Downloads one file and reads it."""

    key = "http_file"
    title = "File over HTTP"
    summary = "A CSV, JSON, Parquet or Excel file at a URL"
    group = "Files"
    icon = "download"
    status = "Certified"
    Config = Settings

    def test(self, config: Settings, context: Context) -> str:
        """Ask for the file, and read no more than its head."""
        with _session(config, context) as web, web.get(config.url, stream=True, auth=_auth(config)) as answer:
            _refuse_page(answer, config)
            size = answer.headers.get("Content-Length")
        return f"The file was found{f', {int(size):,} bytes' if size and size.isdigit() else ''}."

    def discover(self, config: Settings, context: Context) -> Sequence[Found]:
        """The one stream, with its columns."""
        path, kind = _fetched(config, context)
        return [Found(config.table, readers.columns_of([(_name(config), path)], kind, config))]

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """The rows of the file."""
        import dlt

        if stream.name != config.table:
            raise SourceError("config", f"There is no stream {stream.name}; it is called {config.table}.")

        def rows() -> Iterator[Any]:
            path, kind = _fetched(config, context)
            yield from readers.read([(_name(config), path)], kind, config)

        return dlt.resource(rows, name=stream.name)


def _session(config: Settings, context: Context) -> Any:
    from nodes.connections.connectors.web import Web

    web = Web(
        context.guard, attempts=config.attempts, expects_json=False, secret_headers=config.headers, say=context.say
    )
    web.headers.update(config.headers)
    if config.token:
        web.headers["Authorization"] = f"Bearer {config.token}"
    return web


def _auth(config: Settings) -> tuple[str, str] | None:
    return (config.user, config.password or "") if config.user else None


def _name(config: Settings) -> str:
    return Path(urlsplit(config.url).path).name or config.table


def _fetched(config: Settings, context: Context) -> tuple[Path, readers.Format]:
    kind = readers.format_of(_name(config), config.format)
    path = context.scratch / f"download{''.join(Path(_name(config)).suffixes[-2:])}"
    with _session(config, context) as web:
        web.download(config.url, path, config.most_mib * 1024 * 1024, auth=_auth(config), look=_look(config))
    return path, kind


def _look(config: Settings) -> Callable[[Any], None]:
    return lambda answer: _refuse_page(answer, config)


def _refuse_page(answer: Any, config: Settings) -> None:
    if answer.status_code < 300 and answer.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError("http", f"{_name(config)} is a web page (HTML), not a data file. Check the URL.")
