"""SQL Server and Azure SQL, and Microsoft Fabric, through ODBC."""

from typing import Any, Literal

from nodes.dbt.warehouses.base import Config, Given, Loads, Problem, Warehouse, setting

_PRINCIPAL = {"auth": ["service_principal"]}
_ENTRA = "ActiveDirectoryServicePrincipal"
_PROBLEMS = (
    Problem(r"Login failed for user", "auth", "The server does not accept this login."),
    Problem(
        r"AADSTS\d+|ClientAuthenticationError|invalid_client",
        "auth",
        "Microsoft Entra does not accept the service principal: check tenant, client ID and client secret.",
    ),
    Problem(
        r"Cannot open database",
        "database",
        "There is no database {database}, or this login may not use it.",
    ),
    Problem(
        r"Can't open lib|Data source name not found|file not found.{0,40}(?:driver|lib)",
        "adapter",
        "The machine of the worker has no ODBC driver named {driver}. Install it, or enter another.",
    ),
    Problem(
        r"libodbc|No module named 'pyodbc'",
        "adapter",
        "The machine of the worker has no ODBC (unixODBC), or the project's dbt has no pyodbc.",
    ),
    Problem(r"certificate verify failed|SSL Provider", "tls", "The certificate of the server is not trusted."),
    Problem(r"permission was denied", "permission", "This login lacks a permission in the database {database}."),
    Problem(r"Login timeout expired", "port", "The server {host} does not answer. Check host, port and firewall."),
)


def _principal(*, name: str) -> Any:
    secret = name == "client_secret"
    title = {"tenant_id": "Tenant ID", "client_id": "Client ID", "client_secret": "Client secret"}[name]
    example = "{{ AZURE_CLIENT_SECRET }}" if secret else ""
    return setting(None, title=title, secret=secret, needed=True, when=_PRINCIPAL, example=example)


class SqlServerSettings(Config):
    """The server, how to log in, and where models are built."""

    host: str = setting(title="Host", example="sql.example.com")
    port: int = setting(1433, title="Port", ge=1, le=65535)
    auth: Literal["sql", "service_principal"] = setting(
        "sql",
        title="Log in with",
        words={"sql": "User and password", "service_principal": "Service principal of Microsoft Entra"},
    )
    user: str | None = setting(None, title="User", needed=True, when={"auth": ["sql"]})
    password: str | None = setting(
        None, title="Password", secret=True, needed=True, when={"auth": ["sql"]}, example="{{ SQLSERVER_PASSWORD }}"
    )
    tenant_id: str | None = _principal(name="tenant_id")
    client_id: str | None = _principal(name="client_id")
    client_secret: str | None = _principal(name="client_secret")
    database: str = setting(title="Database")
    schema_: str = setting("analytics", title="Schema", alias="schema")
    driver: str = setting("ODBC Driver 18 for SQL Server", title="ODBC driver", advanced=True)
    encrypt: bool = setting(True, title="Encrypt", advanced=True)
    trust_cert: bool = setting(False, title="Trust any certificate", advanced=True)
    retries: int | None = setting(None, title="Retries", advanced=True, ge=0, le=20)
    login_timeout: int | None = setting(None, title="Login timeout", help="In seconds", advanced=True, ge=1)


class FabricSettings(Config):
    """The SQL endpoint, how to log in, and where models are built."""

    host: str = setting(title="SQL connection string", example="abc.datawarehouse.fabric.microsoft.com")
    tenant_id: str = setting(title="Tenant ID")
    client_id: str = setting(title="Client ID", help="Of a service principal of Microsoft Entra")
    client_secret: str = setting(title="Client secret", secret=True, example="{{ AZURE_CLIENT_SECRET }}")
    database: str = setting(title="Warehouse", help="Its name in Fabric")
    schema_: str = setting("dbo", title="Schema", alias="schema")
    driver: str = setting("ODBC Driver 18 for SQL Server", title="ODBC driver", advanced=True)
    retries: int | None = setting(None, title="Retries", advanced=True, ge=0, le=20)
    login_timeout: int | None = setting(None, title="Login timeout", help="In seconds", advanced=True, ge=1)


class SqlServer(Warehouse):
    """SQL Server and Azure SQL."""

    type = "sqlserver"
    title = "SQL Server"
    package = "dbt-sqlserver"
    Config = SqlServerSettings
    cancels = "adapter"
    loads = Loads(False, "mssql")
    tested = "no server: the adapter reads the profile and parses"
    problems = _PROBLEMS

    def output(self, given: Given) -> dict[str, Any]:
        """The ways to log in by the adapter's names."""
        method = {"sql": "sql", "service_principal": _ENTRA}[given.values["auth"]]
        return {**given.all("auth"), "authentication": method}


class Fabric(Warehouse):
    """The warehouse of Microsoft Fabric."""

    type = "fabric"
    title = "Microsoft Fabric"
    package = "dbt-fabric"
    Config = FabricSettings
    loads = Loads(False, "fabric")
    tested = "no server: the adapter reads the profile and parses"
    problems = _PROBLEMS

    def output(self, given: Given) -> dict[str, Any]:
        """Fabric knows no password."""
        return {**given.all(), "authentication": _ENTRA}
