"""Databricks SQL, with a token or with a service principal."""

from typing import Any, Literal

from nodes.dbt.warehouses.base import Config, Given, Loads, Problem, Warehouse, setting

_PRINCIPAL = {"auth": ["service_principal"]}


class Settings(Config):
    """The SQL warehouse, how to log in, and where models are built."""

    host: str = setting(title="Host", example="dbc-a1b2c3d4-e5f6.cloud.databricks.com")
    http_path: str = setting(
        title="HTTP path",
        help="Of the SQL warehouse or cluster: Connection details in Databricks",
        example="/sql/1.0/warehouses/abc123",
    )
    auth: Literal["token", "service_principal"] = setting(
        "token",
        title="Log in with",
        words={"token": "Access token", "service_principal": "Service principal (OAuth)"},
    )
    token: str | None = setting(
        None,
        title="Token",
        secret=True,
        needed=True,
        when={"auth": ["token"]},
        example="{{ DATABRICKS_TOKEN }}",
    )
    client_id: str | None = setting(None, title="Client ID", needed=True, when=_PRINCIPAL)
    client_secret: str | None = setting(
        None,
        title="Client secret",
        secret=True,
        needed=True,
        when=_PRINCIPAL,
        example="{{ DATABRICKS_CLIENT_SECRET }}",
    )
    catalog: str | None = setting(None, title="Catalog", help="Empty: hive_metastore", example="main")
    schema_: str = setting("analytics", title="Schema", alias="schema")
    connect_retries: int | None = setting(None, title="Connect retries", advanced=True, ge=0, le=20)
    connect_timeout: int | None = setting(None, title="Connect timeout", help="In seconds", advanced=True, ge=1)


class Databricks(Warehouse):
    """Databricks."""

    type = "databricks"
    title = "Databricks"
    package = "dbt-databricks"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False, "databricks")
    tested = "no server: the adapter reads the profile and parses"
    problems = (
        Problem(
            r"Invalid access token|invalid_client|401|403.{0,40}token|Error during request to server.{0,80}credential",
            "auth",
            "Databricks does not accept the token or the service principal.",
        ),
        Problem(
            r"(?:ENDPOINT_NOT_FOUND|RESOURCE_DOES_NOT_EXIST|warehouse).{0,80}(?:not found|does not exist)",
            "warehouse",
            "There is no SQL warehouse at the path {http_path}.",
        ),
        Problem(
            r"NO_SUCH_CATALOG|Catalog '?(?P<name>[\w-]+)'? (?:was )?not found",
            "database",
            "There is no catalog {catalog}, or the account may not use it.",
        ),
        Problem(
            r"PERMISSION_DENIED|does not have .{0,60}(?:permission|privilege)|insufficient privileges",
            "permission",
            "The account lacks a permission: it needs CAN USE on the SQL warehouse and USE CATALOG on {catalog}.",
        ),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """A service principal is what the adapter calls OAuth."""
        output = given.all("auth")
        return {**output, "auth_type": "oauth"} if given.values["auth"] == "service_principal" else output
