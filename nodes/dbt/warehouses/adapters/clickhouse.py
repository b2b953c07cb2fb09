"""ClickHouse, over HTTP or its own protocol."""

from typing import Literal

from nodes.dbt.warehouses.base import Config, Loads, Problem, Warehouse, setting


class Settings(Config):
    """Where the server is, and how to log in."""

    host: str = setting(title="Host", example="abc.eu-central-1.aws.clickhouse.cloud")
    port: int = setting(8443, title="Port", help="Usually 8443 with TLS, 8123 without", ge=1, le=65535)
    driver: Literal["http", "native"] = setting(
        "http", title="Protocol", words={"http": "HTTP", "native": "Native (ports 9440 and 9000)"}
    )
    secure: bool = setting(True, title="TLS")
    user: str = setting("default", title="User")
    password: str = setting(title="Password", secret=True, example="{{ CLICKHOUSE_PASSWORD }}")
    schema_: str = setting("analytics", title="Database", alias="schema")
    verify: bool = setting(True, title="Verify the certificate", advanced=True)
    cluster: str | None = setting(
        None, title="Cluster", help="For ON CLUSTER; empty for ClickHouse Cloud and single servers", advanced=True
    )
    connect_timeout: int | None = setting(None, title="Connect timeout", help="In seconds", advanced=True, ge=1)
    send_receive_timeout: int | None = setting(
        None, title="Time limit of a query", help="In seconds", advanced=True, ge=1
    )


class ClickHouse(Warehouse):
    """ClickHouse."""

    type = "clickhouse"
    title = "ClickHouse"
    package = "dbt-clickhouse"
    Config = Settings
    loads = Loads(False, "clickhouse")
    tested = "no server: the adapter reads the profile and parses"
    problems = (
        Problem(
            r"AUTHENTICATION_FAILED|Authentication failed", "auth", "ClickHouse does not accept this user and password."
        ),
        Problem(
            r"UNKNOWN_DATABASE|Database \S+ (?:does not|doesn't) exist", "database", "There is no database {schema}."
        ),
        Problem(
            r"ACCESS_DENIED|Not enough privileges",
            "permission",
            "The user lacks a privilege: it must create databases and tables in {schema}.",
        ),
    )
