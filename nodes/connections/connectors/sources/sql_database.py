"""Tables of PostgreSQL, MySQL and MariaDB, SQLite and SQL Server."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import model_validator

from nodes.connections.connectors import base
from nodes.connections.connectors.base import Connector, Context, Cursor, Found, Misfit, setting
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.places import allowed
from nodes.connections.connectors.streams import Filter, StreamSettings
from nodes.connections.connectors.values import sql as sql_values

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SERVERS = {"system": list(PORTS)}
# Driver parameterss that a person may set. Never one that reads files, runs statements or changes the host.
PARAMETERS = {
    "postgresql": {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
                   "target_session_attrs", "channel_binding", "gssencmode", "client_encoding"},
    "mysql": {"charset", "read_timeout", "write_timeout"},
    "mssql": {"charset", "tds_version", "timeout"},
    "sqlite": set(),
}  # fmt: skip
WORDS = {"postgresql": "PostgreSQL", "mysql": "MySQL or MariaDB", "sqlite": "SQLite", "mssql": "Microsoft SQL Server"}
TLS = {
    "prefer": "If the server supports it",
    "disable": "Never",
    "require": "Always",
    "verify-full": "Always, and verify the certificate",
}
MOST_TABLES = 2000
_GROWING = ("INTEGER", "BIGINT", "SMALLINT", "DATE", "DATETIME", "TIMESTAMP", "NUMERIC", "DECIMAL")


class Settings(base.Config):
    """Where the database is, and how to sign in."""

    system: Literal["postgresql", "mysql", "sqlite", "mssql"] = setting(
        "postgresql", title="Database system", words=WORDS
    )
    host: str | None = setting(None, title="Host", when=_SERVERS, max_length=255)
    port: int | None = setting(None, title="Port", help="Empty: the default port", when=_SERVERS, ge=1, le=65535)
    database: str | None = setting(None, title="Database", when=_SERVERS, max_length=200)
    user: str | None = setting(None, title="User", help="Use a read-only user", when=_SERVERS, max_length=200)
    password: str | None = setting(None, title="Password", secret=True, when=_SERVERS)
    path: str | None = setting(
        None, title="File", help="Relative to the project, or in an allowed folder", when={"system": ["sqlite"]}
    )
    db_schema: str | None = setting(
        None, title="Schema", help="Empty: the default schema of the user", when=_SERVERS, max_length=200
    )
    tls: Literal["prefer", "disable", "require", "verify-full"] = setting(
        "prefer",
        title="Encryption",
        words=TLS,
        advanced=True,
        when={"system": ["postgresql", "mysql"]},
    )
    ca: str | None = setting(
        None, title="Certificate authority (PEM)", textarea=True, advanced=True, when={"tls": ["verify-full"]}
    )
    views: bool = setting(False, title="Include views", advanced=True)
    chunk_size: int = setting(50_000, title="Rows per batch", advanced=True, ge=100, le=1_000_000)
    connect_timeout: int = setting(10, title="Timeout in seconds", advanced=True, ge=1, le=120)
    parameters: dict[str, str | int] = setting({}, title="Driver parameters", help="As JSON", advanced=True)

    @model_validator(mode="after")
    def _fits(self) -> "Settings":
        for name in ("path",) if self.system == "sqlite" else ("host", "database", "user"):
            if not getattr(self, name):
                raise Misfit(name, f"{type(self).model_fields[name].title} is required for {WORDS[self.system]}.")
        if unknown := sorted(set(self.parameters) - PARAMETERS[self.system]):
            names = ", ".join(sorted(PARAMETERS[self.system])) or "none"
            raise Misfit("parameters", f"{unknown[0]} is not allowed. Allowed for {WORDS[self.system]}: {names}.")
        return self


class SqlDatabase(Connector):
    """Any database that SQLAlchemy speaks to, through dlt's sql_database with columns in memory."""

    key = "sql_database"
    title = "SQL database"
    summary = "Tables of PostgreSQL, MySQL, MariaDB, SQLite and SQL Server"
    group = "Databases"
    icon = "database"
    status = "Certified"
    Config = Settings
    pushes = frozenset({"columns", "row_filter", "cursor"})
    knows_types = True

    def needs_network(self, config: Settings) -> bool:
        """A file needs none."""
        return config.system != "sqlite"

    def test(self, config: Settings, context: Context) -> str:
        """Sign in and ask for nothing."""
        import sqlalchemy as sa

        engine = engine_of(config, context)
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
            count = len(sa.inspect(connection).get_table_names(schema=config.db_schema))
        return f"Connected; the schema has {count:,} tables."

    def discover(self, config: Settings, context: Context) -> Sequence[Found]:
        """Every table of the schema, with its columns and its key."""
        import sqlalchemy as sa
        from sqlalchemy.engine.reflection import ObjectKind

        with engine_of(config, context).connect() as connection:
            inspector = sa.inspect(connection)
            names = inspector.get_table_names(schema=config.db_schema)
            if config.views:
                names += inspector.get_view_names(schema=config.db_schema)
            if len(names) > MOST_TABLES:
                raise SourceError(
                    "config", f"The schema has {len(names):,} tables; dex offers at most {MOST_TABLES:,}."
                )
            kind = ObjectKind.ANY if config.views else ObjectKind.TABLE
            columns = inspector.get_multi_columns(schema=config.db_schema, kind=kind)
            keys = inspector.get_multi_pk_constraint(schema=config.db_schema, kind=kind)
            estimates = _estimates(connection, config)
        place = config.db_schema or None
        return [
            _found(name, columns.get((place, name), ()), keys.get((place, name)), estimates.get(name))
            for name in sorted(names)
        ]

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """dlt's sql_table: reflected types, the cursor and the filters in the statement."""
        import sqlalchemy as sa
        from dlt.sources.sql_database import sql_table

        engine = engine_of(config, context)
        there = sa.Table(
            stream.name, sa.MetaData(schema=config.db_schema or None), autoload_with=engine, resolve_fks=False
        )
        wanted = stream.columns if stream.columns is not None else [column.name for column in there.columns]
        for name in (*wanted, *stream.primary_key, *([stream.cursor] if stream.cursor else ())):
            if name not in there.c:
                raise SourceError("schema", f"The table {stream.name} has no column {name} (any more).")
        # Without its key: a person says what the key is, and that of the database would change what append means.
        metadata = sa.MetaData(schema=config.db_schema or None)
        sa.Table(
            stream.name, metadata, *sql_values.columns_of(there, wanted, stream.types, engine.dialect, context.say)
        )
        return sql_table(
            credentials=engine,
            table=stream.name,
            schema=config.db_schema or None,
            metadata=metadata,
            incremental=cursor.incremental if cursor else None,
            chunk_size=config.chunk_size,
            backend="pyarrow",
            reflection_level="full",
            query_adapter_callback=_filtered(stream, there, context),
            type_adapter_callback=sql_values.as_dlt_knows,
            table_loader_class=sql_values.loader_of(
                stream.name, stream.primary_key or [column.name for column in there.primary_key]
            ),
        )


def engine_of(config: Settings, context: Context) -> Any:
    """An engine that reads only, on the address that was checked. Raises SourceError for what may not be reached."""
    import sqlalchemy as sa

    if config.system == "sqlite":
        path = allowed(config.path or "", context)
        if not path.is_file():
            raise SourceError("config", f"{config.path} is not a file.")
        with path.open("rb") as file:
            head = file.read(16)
        if head and head != b"SQLite format 3\0":
            raise SourceError("data", f"{config.path} is not an SQLite database.")
        url = sa.URL.create("sqlite", database=f"file:{_quoted(str(path))}", query={"mode": "ro", "uri": "true"})
        engine = sa.create_engine(url, connect_args={"timeout": config.connect_timeout})
        sa.event.listen(engine, "connect", lambda connection, _: sql_values.checked_sqlite(connection))
        return engine
    host, address = config.host or "", context.guard.resolve(config.host or "")
    driver, arguments = _DRIVERS[config.system](config, host, address, context)
    url = sa.URL.create(
        driver,
        username=config.user,
        password=config.password or "",
        host=host if config.system == "postgresql" else address,
        port=config.port or PORTS[config.system],
        database=config.database,
    )
    engine = sa.create_engine(url, connect_args={**config.parameters, **arguments}, pool_pre_ping=False)
    if check := {"postgresql": sql_values.checked_postgresql, "mysql": sql_values.in_utc}.get(config.system):
        sa.event.listen(engine, "connect", lambda connection, _: check(connection))
    return engine


def _postgresql(config: Settings, host: str, address: str, context: Context) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {
        "hostaddr": address,  # libpq looks nothing up; the name is still what a certificate must be for
        "sslmode": config.tls,
        "connect_timeout": config.connect_timeout,
        "application_name": "dex ingestion",
        "options": "-c default_transaction_read_only=on",
    }
    if config.ca:
        arguments["sslrootcert"] = str(_written(config.ca, context))
    return "postgresql+psycopg2", arguments


def _mysql(config: Settings, host: str, address: str, context: Context) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {
        "connect_timeout": config.connect_timeout,
        "local_infile": False,
        "charset": "utf8mb4",
        "init_command": "SET SESSION TRANSACTION READ ONLY",
        "conv": sql_values.checked_mysql(),
        **config.parameters,
    }
    if config.tls in ("require", "verify-full"):
        import ssl

        trust = ssl.create_default_context(cadata=config.ca or None)
        trust.check_hostname = False  # it would compare with the address
        if config.tls == "require":
            trust.verify_mode = ssl.CERT_NONE
        else:
            trust.check_hostname = True
        arguments["ssl"] = _NamedContext(trust, host) if config.tls == "verify-full" else trust
    return "mysql+pymysql", arguments


def _mssql(config: Settings, host: str, address: str, context: Context) -> tuple[str, dict[str, Any]]:
    return "mssql+pymssql", {"login_timeout": config.connect_timeout, "appname": "dex ingestion"}


_DRIVERS: dict[str, Callable[..., tuple[str, dict[str, Any]]]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mssql": _mssql,
}


class _NamedContext:
    """A TLS context that checks the certificate against the host's name although we connect to its address."""

    def __init__(self, context: Any, host: str) -> None:
        self._context, self._host = context, host

    def wrap_socket(self, sock: Any, server_hostname: str | None = None, **options: Any) -> Any:
        """As ssl.SSLContext.wrap_socket."""
        return self._context.wrap_socket(sock, server_hostname=self._host, **options)


def _written(text: str, context: Context) -> Any:
    path = context.scratch / "ca.pem"
    path.write_text(text)
    return path


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _found(name: str, columns: Any, key: Any, estimate: int | None) -> Found:
    kinds = [(str(column["name"]), str(column["type"])) for column in columns]
    growing = [column for column, kind in kinds if kind.upper().startswith(_GROWING)]
    return Found(name, kinds, tuple((key or {}).get("constrained_columns") or ()), tuple(growing), estimate)


def _estimates(connection: Any, config: Settings) -> dict[str, int]:
    """How many rows the server believes its tables to have; nothing is counted."""
    import sqlalchemy as sa

    statement = {
        "postgresql": "SELECT c.relname, c.reltuples::bigint "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = coalesce(:place, current_schema()) AND c.reltuples >= 0",
        "mysql": "SELECT table_name, table_rows FROM information_schema.tables "
        "WHERE table_schema = coalesce(:place, database()) AND table_rows IS NOT NULL",
    }.get(config.system)
    if statement is None:
        return {}
    rows = connection.execute(sa.text(statement), {"place": config.db_schema or None})
    return {str(name): int(count) for name, count in rows}


def _filtered(stream: StreamSettings, there: Any, context: Context) -> Any:
    """The statement with the conditions of a person, values bound and never spliced in."""
    import sqlalchemy as sa

    conditions = []
    for each in stream.row_filter:
        if each.column not in there.c:
            raise SourceError("config", f"The filter's column {each.column} is not in {stream.name}.")
        conditions.append(condition(sa.column(each.column, there.c[each.column].type), each))

    def adapt(query: Any, table: Any, incremental: Any, engine: Any) -> Any:
        if incremental is not None and engine.dialect.name == "sqlite":
            query = _text_cursor(query, table, incremental)
        query = sql_values.selected(query, table, there, stream.types, engine.dialect.name)
        if conditions:
            query = query.where(*conditions)
        return query.limit(context.most_rows) if context.most_rows else query

    return adapt


def _text_cursor(query: Any, table: Any, incremental: Any) -> Any:
    """SQLite keeps moments as text, in whatever form: compare days, and let dlt compare the moments exactly.

    "2025-01-01 00:00:00" is less than "2025-01-01 00:00:00.000000", which SQLAlchemy would compare it with.
    """
    import sqlalchemy as sa

    column, last = table.c[incremental.cursor_path], incremental.last_value
    if not isinstance(last, date):  # a datetime is one
        return query
    newer = sa.type_coerce(column, sa.String) >= last.strftime("%Y-%m-%d")
    return table.select().where(
        sa.or_(newer, column.is_(None)) if incremental.on_cursor_value_missing == "include" else newer
    )


def condition(column: Any, each: Filter) -> Any:
    """One filter as an expression of SQLAlchemy. Raises SourceError for a value that is not of the column's type."""
    if each.op == "is null":
        return column.is_(None)
    if each.op == "is not null":
        return column.is_not(None)
    if isinstance(each.value, list):
        values = [typed(column, value) for value in each.value]
        return column.in_(values) if each.op == "in" else column.not_in(values)
    value = str(each.value) if each.op == "like" else typed(column, each.value)
    return column.op({"!=": "<>", "like": "LIKE"}.get(each.op, each.op), is_comparison=True)(value)


def typed(column: Any, value: Any) -> Any:
    """The value of a filter as the column's type."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = str
    try:
        if kind is bool:
            return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1", "yes")
        if kind is datetime:
            return datetime.fromisoformat(str(value))
        if kind is date:
            return date.fromisoformat(str(value))
        return kind(str(value)) if kind in (int, float, Decimal) else str(value)
    except (ValueError, InvalidOperation) as error:
        raise SourceError("config", f"The filter's value for {column.name} is not a {kind.__name__}.") from error
