"""Endpoints of an HTTP API that answers in JSON, a page at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nodes.connections.connectors import base
from nodes.connections.connectors.base import Connector, Context, Cursor, Found, Misfit, setting
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.streams import StreamSettings

AUTH = {
    "bearer": ("token",),
    "api_key": ("api_key", "api_key_name"),
    "basic": ("user", "password"),
    "oauth2": ("client_id", "client_secret", "token_url"),
}
SIGNS_IN = {
    "none": "None",
    "bearer": "Bearer token",
    "api_key": "API key",
    "basic": "User and password",
    "oauth2": "OAuth 2 client credentials",
}
KEY_IN = {"header": "In a header", "query": "In the URL"}
PAGES = {
    "none": "Single response",
    "auto": "Detect from the first response",
    "page_number": "Page numbers",
    "offset": "Offset and limit",
    "cursor": "A cursor in the response",
    "header_link": "A link in the headers",
    "json_link": "A link in the response",
}
_PAGES = ["page_number", "offset"]


class Endpoint(BaseModel):
    """One endpoint: it becomes one stream."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    path: str = Field(max_length=1000)  # below the base URL
    params: dict[str, str | int | float | bool] = {}
    data_selector: str | None = None  # JSONPath of the list of rows; None: found out
    primary_key: list[str] = []
    cursor: str | None = None  # the field that grows, offered for incremental loads
    cursor_param: str | None = None  # the parameter that asks for rows since a value of the cursor

    @field_validator("path")
    @classmethod
    def _below(cls, value: str) -> str:
        if "://" in value or value.startswith("//"):
            raise ValueError("the path is below the base URL, without a host.")
        return value.lstrip("/")


class Settings(base.Config):
    """Where the API is, how to sign in, how it pages, and what there is to load."""

    base_url: str = setting(title="Base URL", help="https://api.example.com/v1/", max_length=2000)
    auth: Literal["none", "bearer", "api_key", "basic", "oauth2"] = setting(
        "none", title="Authentication", words=SIGNS_IN
    )
    token: str | None = setting(None, title="Token", secret=True, when={"auth": ["bearer"]})
    api_key: str | None = setting(None, title="API key", secret=True, when={"auth": ["api_key"]})
    api_key_name: str | None = setting("X-API-Key", title="Key name", when={"auth": ["api_key"]}, max_length=100)
    api_key_in: Literal["header", "query"] = setting(
        "header", title="Key location", words=KEY_IN, when={"auth": ["api_key"]}
    )
    user: str | None = setting(None, title="User", when={"auth": ["basic"]}, max_length=200)
    password: str | None = setting(None, title="Password", secret=True, when={"auth": ["basic"]})
    client_id: str | None = setting(None, title="Client ID", when={"auth": ["oauth2"]}, max_length=500)
    client_secret: str | None = setting(None, title="Client secret", secret=True, when={"auth": ["oauth2"]})
    token_url: str | None = setting(None, title="Token URL", when={"auth": ["oauth2"]}, max_length=2000)
    scope: str | None = setting(None, title="Scope", when={"auth": ["oauth2"]}, max_length=1000)
    pagination: Literal["none", "auto", "page_number", "offset", "cursor", "header_link", "json_link"] = setting(
        "auto", title="Pagination", words=PAGES
    )
    page_param: str | None = setting(
        None, title="Page parameter", help="Default: page, offset or cursor",
        when={"pagination": [*_PAGES, "cursor"]}, max_length=100,
    )  # fmt: skip
    first_page: int = setting(1, title="First page number", when={"pagination": ["page_number"]}, ge=0)
    size_param: str | None = setting(None, title="Page size parameter", when={"pagination": _PAGES}, max_length=100)
    page_size: int = setting(100, title="Rows per page", when={"pagination": _PAGES}, ge=1, le=100_000)
    total_path: str | None = setting(
        None,
        title="Path of the total in the response",
        help="Empty: until a page has no rows",
        when={"pagination": _PAGES},
    )
    next_path: str | None = setting(
        None, title="Path of the next page in the response", help="such as meta.next",
        when={"pagination": ["cursor", "json_link"]},
    )  # fmt: skip
    endpoints: list[Endpoint] = setting(
        title="Endpoints", help='As JSON: [{"name": "orders", "path": "orders", "primary_key": ["id"]}]', min_length=1
    )
    headers: dict[str, str] = setting({}, title="Headers", help="As JSON", secret=True, advanced=True)
    attempts: int = setting(5, title="Attempts per request", advanced=True, ge=1, le=10)
    most_pages: int = setting(10_000, title="Maximum pages per endpoint", advanced=True, ge=1, le=10_000_000)
    nesting: int = setting(3, title="Levels of nested lists that become separate tables", advanced=True, ge=0, le=10)

    @field_validator("base_url", "token_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value and "{{" not in value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("the URL must begin with https:// or http://.")
        if value and urlsplit(value).username:
            raise ValueError("the URL must not contain a user name or password.")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Settings":
        for name in AUTH.get(self.auth, ()):
            if not getattr(self, name):
                raise Misfit(name, f"{type(self).model_fields[name].title} is required for this authentication.")
        if self.pagination in ("cursor", "json_link") and not self.next_path:
            raise Misfit("next_path", "Enter the path of the next page in the response.")
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) != len(names):
            raise Misfit("endpoints", "Two endpoints have the same name.")
        return self


class RestApi(Connector):
    """dlt's rest_api with a session that is patient, bounded and guarded."""

    key = "rest_api"
    title = "REST API"
    summary = "JSON endpoints, with authentication and pagination"
    group = "APIs"
    icon = "network"
    status = "Certified"
    Config = Settings
    pushes = frozenset({"cursor"})

    def test(self, config: Settings, context: Context) -> str:
        """Ask the first endpoint for its first page."""
        rows = _first_page(config, config.endpoints[0], context)
        return f"{config.endpoints[0].name} answered with {len(rows):,} rows on its first page."

    def discover(self, config: Settings, context: Context) -> Sequence[Found]:
        """The endpoints, with the fields of their first page."""
        streams = []
        for endpoint in config.endpoints:
            kinds: dict[str, str] = {}
            for row in _first_page(config, endpoint, context):
                if isinstance(row, dict):
                    kinds.update({name: type(value).__name__ for name, value in row.items() if value is not None})
            cursors = (
                [endpoint.cursor]
                if endpoint.cursor
                else [
                    name
                    for name in kinds
                    if name.endswith(("_at", "_on", "_time")) or name in ("id", "updated", "modified")
                ]
            )
            streams.append(Found(endpoint.name, list(kinds.items()), endpoint.primary_key, cursors))
        return streams

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """One endpoint; what is older than the cursor is not asked for where the API can leave it out."""
        resource = _resource(config, _endpoint(config, stream.name), context, cursor)
        resource.max_table_nesting = config.nesting
        return resource


def _endpoint(config: Settings, name: str) -> Endpoint:
    for endpoint in config.endpoints:
        if endpoint.name == name:
            return endpoint
    raise SourceError("config", f"The connection has no endpoint {name} (any more).")


def _first_page(config: Settings, endpoint: Endpoint, context: Context) -> list[Any]:
    pages: Iterator[Any] = iter(_resource(config, endpoint, context, None).add_limit(1))
    return list(pages)


def _resource(config: Settings, endpoint: Endpoint, context: Context, cursor: Cursor | None) -> Any:
    from dlt.sources.rest_api import rest_api_resources

    params = dict(endpoint.params)
    since: dict[str, Any] = {}
    if cursor:
        since["incremental"] = {
            "cursor_path": cursor.column,
            "on_cursor_value_missing": cursor.incremental.on_cursor_value_missing,
            "primary_key": list(cursor.incremental.primary_key),
            **({"lag": cursor.incremental.lag} if cursor.incremental.lag else {}),
            **({"start_param": endpoint.cursor_param} if endpoint.cursor_param else {}),
        }
    if config.pagination == "page_number" and config.size_param:
        params[config.size_param] = config.page_size
    resource: Any = {
        "client": {
            "base_url": config.base_url if config.base_url.endswith("/") else f"{config.base_url}/",
            "headers": dict(config.headers),
            "session": _session(config, context),
            **({"auth": _auth(config, context)} if config.auth != "none" else {}),
            "paginator": _paginator(config),
        },
        "resources": [
            {
                "name": endpoint.name,
                "endpoint": {
                    "path": endpoint.path,
                    "params": params,
                    **since,
                    **({"data_selector": endpoint.data_selector} if endpoint.data_selector else {}),
                },
            }
        ],
    }
    return rest_api_resources(resource)[0]


def _session(config: Settings, context: Context, *, token: bool = False) -> Any:
    from nodes.connections.connectors.web import Web

    return Web(
        context.guard,
        attempts=config.attempts,
        most_pages=config.most_pages,
        secret_headers=[*config.headers, config.api_key_name or "", "Authorization"],
        home="" if token else config.base_url,
        say=context.say,
    )


def _auth(config: Settings, context: Context) -> dict[str, Any]:
    match config.auth:
        case "bearer":
            return {"type": "bearer", "token": config.token}
        case "basic":
            return {"type": "http_basic", "username": config.user, "password": config.password}
        case "api_key":
            return {
                "type": "api_key",
                "name": config.api_key_name,
                "api_key": config.api_key,
                "location": config.api_key_in,
            }
        case _:
            return {
                "type": "oauth2_client_credentials",
                "access_token_url": config.token_url,
                "client_id": config.client_id,
                "client_secret": config.client_secret,
                "access_token_request_data": {"scope": config.scope} if config.scope else {},
                "session": _session(config, context, token=True),
            }


def _paginator(config: Settings) -> Any:
    total = {"total_path": config.total_path, "stop_after_empty_page": True}
    match config.pagination:
        case "none":
            return "single_page"
        case "page_number":
            return {
                "type": "page_number",
                "base_page": config.first_page,
                "page_param": config.page_param or "page",
                **total,
            }
        case "offset":
            return {
                "type": "offset",
                "limit": config.page_size,
                "offset_param": config.page_param or "offset",
                "limit_param": config.size_param or "limit",
                **total,
            }
        case "cursor":
            return {"type": "cursor", "cursor_path": config.next_path, "cursor_param": config.page_param or "cursor"}
        case "json_link":
            return {"type": "json_link", "next_url_path": config.next_path}
        case kind:
            return kind
