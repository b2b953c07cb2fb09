"""Sheets of a Google spreadsheet, read with a service account."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import field_validator

from nodes.connections.connectors import base
from nodes.connections.connectors.base import Connector, Context, Cursor, Found, setting
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.readers import tables_of
from nodes.connections.connectors.streams import StreamSettings

SHEETS = "https://sheets.googleapis.com"
TOKENS = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"


class Settings(base.Config):
    """Which spreadsheet, and who reads it."""

    spreadsheet: str = setting(title="Spreadsheet", help="Its URL or ID", max_length=500)
    service_account: str = setting(
        title="Service account (JSON)", help="Share the spreadsheet with its email address", secret=True, textarea=True
    )
    sheets: list[str] = setting([], title="Sheets", help="Empty: all")
    header_row: int = setting(1, title="Header line", advanced=True, ge=1, le=1000)

    @field_validator("service_account")
    @classmethod
    def _is_key(cls, value: str) -> str:
        if "{{" in value and "private_key" not in value:
            return value
        try:
            key = json.loads(value)
        except ValueError as error:
            raise ValueError("this is not JSON; paste the whole key file.") from error
        if not isinstance(key, dict) or not {"client_email", "private_key"} <= set(key):
            raise ValueError("this is not the key of a service account: client_email or private_key is missing.")
        return value

    @property
    def identifier(self) -> str:
        """The ID within the address."""
        match = re.search(r"/d/([A-Za-z0-9_-]+)", self.spreadsheet)
        return match[1] if match else self.spreadsheet


class GoogleSheets(Connector):
    """Version 4 of the public API, one request a sheet."""

    key = "google_sheets"
    title = "Google Sheets"
    summary = "The sheets of a spreadsheet, with a service account"
    group = "Files"
    icon = "table"
    status = "Beta"
    Config = Settings

    def test(self, config: Settings, context: Context) -> str:
        """Ask for the names of the sheets."""
        with _session(config, context) as web:
            names = _names(config, web)
        return f"The spreadsheet has {len(names):,} sheets."

    def discover(self, config: Settings, context: Context) -> Sequence[Found]:
        """A stream for each sheet, with its columns."""
        streams: list[Found] = []
        with _session(config, context) as web:
            for name in _names(config, web):
                tables = tables_of(name, _values(config, web, name), config.header_row)
                streams += [Found(name, [(each.name, str(each.type)) for each in table.schema]) for table in tables]
        return streams

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """The rows of one sheet."""
        import dlt

        def rows() -> Iterator[Any]:
            with _session(config, context) as web:
                yield from tables_of(stream.name, _values(config, web, stream.name), config.header_row)

        return dlt.resource(rows, name=stream.name)


def _session(config: Settings, context: Context) -> Any:
    """A session with a fresh token. Raises SourceError for a key that Google does not accept."""
    from google.auth import exceptions
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account

    from flows.infra.network.session import Session
    from nodes.connections.connectors.web import Web

    # Where tokens are fetched is ours to say, not the key file's.
    key = {**json.loads(config.service_account), "token_uri": TOKENS}
    try:
        credentials = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
        credentials.refresh(Request(session=Session(context.guard)))
    except exceptions.RefreshError as error:
        raise SourceError("auth", "Google rejected this service account. Check that its key is still valid.") from error
    except ValueError as error:
        raise SourceError("config", "The private key of the service account cannot be read.") from error
    web = Web(context.guard, say=context.say, home=SHEETS)
    web.headers["Authorization"] = f"Bearer {credentials.token}"
    return web


def _names(config: Settings, web: Any) -> list[str]:
    answer = web.get(f"{SHEETS}/v4/spreadsheets/{quote(config.identifier, safe='')}?fields=sheets.properties").json()
    there = [
        each["properties"]["title"]
        for each in answer.get("sheets", ())
        if each["properties"].get("sheetType", "GRID") == "GRID"
    ]
    if missing := [name for name in config.sheets if name not in there]:
        raise SourceError("config", f"The spreadsheet has no sheet {missing[0]}. It has: {', '.join(there)}.")
    return config.sheets or there


def _values(config: Settings, web: Any, name: str) -> list[list[Any]]:
    """The cells of a sheet: numbers as numbers, days as text in the form that the sheet shows."""
    place = quote("'" + name.replace("'", "''") + "'", safe="")
    options = "valueRenderOption=UNFORMATTED_VALUE&dateTimeRenderOption=FORMATTED_STRING"
    answer = web.get(f"{SHEETS}/v4/spreadsheets/{quote(config.identifier, safe='')}/values/{place}?{options}").json()
    values: list[list[Any]] = answer.get("values", [])
    return values
