"""PostgreSQL, and what speaks its protocol."""

from pydantic import field_validator

from nodes.dbt.warehouses.base import Config, Loads, Probe, Problem, Warehouse, setting

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: What PostgreSQL says, and Redshift in the same words.
PROBLEMS = (
    Problem(r"password authentication failed", "auth", "The server does not accept this user and password."),
    Problem(r'role "(?P<name>[^"]*)" does not exist', "auth", "There is no user {name} on the server."),
    Problem(
        r'database "(?P<name>[^"]*)" does not exist',
        "database",
        "There is no database {name} on the server. Check Database.",
    ),
    Problem(
        r'permission denied for database "?(?P<name>[^"\s]*)',
        "permission",
        "The user may not connect to the database {name}: grant CONNECT on it.",
    ),
    Problem(
        r"no pg_hba.conf entry|pg_hba.conf rejects",
        "permission",
        "The server does not let this user connect from this machine: see its pg_hba.conf.",
    ),
    Problem(r"server does not support SSL", "tls", "The server does not use TLS, which SSL mode asks for."),
    Problem(r"too many (clients|connections)", "busy", "The server has no free connection."),
)


class Settings(Config):
    """Where the database is, and how to log in."""

    host: str = setting("localhost", title="Host", max_length=255)
    port: int = setting(5432, title="Port", ge=1, le=65535)
    user: str = setting(title="User")
    password: str = setting(title="Password", secret=True, example="{{ WAREHOUSE_PASSWORD }}")
    dbname: str = setting(title="Database")
    schema_: str = setting("analytics", title="Schema", alias="schema")
    sslmode: str | None = setting(None, title="SSL mode", example="verify-full")
    role: str | None = setting(None, title="Role", help="Set after logging in, with SET ROLE", advanced=True)
    sslrootcert: str | None = setting(
        None, title="Root certificate", help="A file on the machines of the workers", advanced=True
    )
    connect_timeout: int | None = setting(None, title="Connect timeout", help="In seconds", advanced=True, ge=1)

    @field_validator("sslmode")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value and value not in SSL_MODES:
            raise ValueError(f"The SSL mode must be one of {', '.join(SSL_MODES)}.")
        return value


class Postgres(Warehouse):
    """PostgreSQL."""

    type = "postgres"
    title = "PostgreSQL"
    package = "dbt-postgres"
    Config = Settings
    cancels = "proven"
    ends_orphans = True
    loads = Loads(True, "postgres")
    tested = "PostgreSQL 15"
    problems = PROBLEMS
    probes = (
        Probe(
            "select case when exists (select from pg_namespace where nspname = {schema}) "
            "then has_schema_privilege({schema}, 'CREATE') "
            "else has_database_privilege(current_database(), 'CREATE') end",
            "permission",
            "The user can connect, but may not create tables in the schema {schema}: grant CREATE on the schema, or on "
            "the database where the schema is not there yet.",
        ),
    )
