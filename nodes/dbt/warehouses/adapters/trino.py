"""Trino, without login, with a password or with a token."""

from typing import Any, Literal

from nodes.dbt.warehouses.base import Config, Given, Loads, Problem, Warehouse, setting


class Settings(Config):
    """The coordinator, how to log in, and where models are built."""

    host: str = setting(title="Host", example="trino.example.com")
    port: int = setting(443, title="Port", ge=1, le=65535)
    method: Literal["ldap", "jwt", "none"] = setting(
        "ldap", title="Log in with", words={"ldap": "Password", "jwt": "Token (JWT)", "none": "User name alone"}
    )
    user: str | None = setting(None, title="User", needed=True, when={"method": ["ldap", "none"]})
    password: str | None = setting(
        None,
        title="Password",
        secret=True,
        needed=True,
        when={"method": ["ldap"]},
        example="{{ TRINO_PASSWORD }}",
    )
    jwt_token: str | None = setting(
        None, title="Token", secret=True, needed=True, when={"method": ["jwt"]}, example="{{ TRINO_TOKEN }}"
    )
    http_scheme: Literal["https", "http"] = setting(
        "https", title="Protocol", help="Without TLS there is no login", when={"method": ["none"]}
    )
    database: str = setting(title="Catalog", example="iceberg")
    schema_: str = setting("analytics", title="Schema", alias="schema")
    cert: str | None = setting(
        None, title="Root certificate", help="A file on the machines of the workers", advanced=True
    )
    roles: dict[str, str] | None = setting(
        None, title="Roles", help="As JSON, by catalog", advanced=True, example='{"system": "analyst"}'
    )
    session_properties: dict[str, str] | None = setting(
        None, title="Session properties", help="As JSON", advanced=True, example='{"query_max_run_time": "4h"}'
    )
    retries: int | None = setting(None, title="Retries", advanced=True, ge=0, le=100)
    timezone: str | None = setting(None, title="Time zone", advanced=True, example="Europe/Berlin")


class Trino(Warehouse):
    """Trino."""

    type = "trino"
    title = "Trino"
    package = "dbt-trino"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False)
    tested = "no server: the adapter reads the profile and parses"
    problems = (
        Problem(r"error 401|Unauthorized|Invalid credentials", "auth", "Trino does not accept this login."),
        Problem(
            r"CATALOG_NOT_FOUND|Catalog '?(?P<name>[\w-]+)'? (?:does not exist|not found)",
            "database",
            "There is no catalog {database}.",
        ),
        Problem(r"Access Denied|PERMISSION_DENIED|error 403", "permission", "Trino denies this user: Access Denied."),
        Problem(r"error 404", "host", "This address answers, but it is no Trino: check Host and Port."),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """Passwords and tokens go over TLS alone; the adapter wants to be told so."""
        output = given.all()
        return output if given.values["method"] == "none" else {**output, "http_scheme": "https"}
