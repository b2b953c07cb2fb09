"""Apache Spark: a Thrift server, a cluster over HTTP, or Spark in dbt's own process."""

from typing import Any, Literal

from nodes.dbt.warehouses.base import Config, Given, Loads, Problem, Warehouse, setting

_THRIFT = {"method": ["thrift"]}
_SERVERS = {"method": ["thrift", "http"]}


class Settings(Config):
    """Where Spark is, and how to log in."""

    method: Literal["thrift", "http", "session"] = setting(
        "thrift",
        title="Connect by",
        words={"thrift": "Thrift server", "http": "HTTP (cluster)", "session": "Spark in dbt's process"},
        help="Thrift and HTTP need dbt-spark[PyHive], a session needs dbt-spark[session] and Java",
    )
    host: str | None = setting(None, title="Host", needed=True, when=_SERVERS, example="spark.example.com")
    port: int | None = setting(
        None, title="Port", help="Empty: 10000 for Thrift, 443 for HTTP", when=_SERVERS, ge=1, le=65535
    )
    auth: Literal["", "LDAP", "KERBEROS", "NOSASL"] = setting(
        "",
        title="Log in with",
        words={"": "User name alone", "LDAP": "Password (LDAP)", "KERBEROS": "Kerberos", "NOSASL": "Nothing (NOSASL)"},
        when=_THRIFT,
    )
    user: str | None = setting(None, title="User", when=_SERVERS)
    password: str | None = setting(
        None,
        title="Password",
        secret=True,
        needed=True,
        when={**_THRIFT, "auth": ["LDAP"]},
        example="{{ SPARK_PASSWORD }}",
    )
    kerberos_service_name: str | None = setting(
        None, title="Kerberos service", needed=True, when={**_THRIFT, "auth": ["KERBEROS"]}, example="hive"
    )
    token: str | None = setting(
        None, title="Token", secret=True, needed=True, when={"method": ["http"]}, example="{{ SPARK_TOKEN }}"
    )
    cluster: str | None = setting(None, title="Cluster", needed=True, when={"method": ["http"]})
    organization: str | None = setting(None, title="Organization", when={"method": ["http"]})
    schema_: str = setting("analytics", title="Schema", alias="schema")
    use_ssl: bool = setting(False, title="TLS", when=_THRIFT)
    server_side_parameters: dict[str, str] | None = setting(
        None, title="Spark settings", help="As JSON", advanced=True, example='{"spark.executor.memory": "4g"}'
    )
    connect_retries: int | None = setting(None, title="Connect retries", advanced=True, ge=0, le=20)
    connect_timeout: int | None = setting(None, title="Connect timeout", help="In seconds", advanced=True, ge=1)


class Spark(Warehouse):
    """Apache Spark."""

    type = "spark"
    title = "Apache Spark"
    package = "dbt-spark"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False)
    tested = "Spark 3.5 in dbt's process: models, tests. For Thrift and HTTP no server: the adapter reads the profile"
    problems = (
        Problem(
            r"requires additional dependencies|pip install dbt-spark",
            "adapter",
            "The project's dbt has dbt-spark without what this way to connect needs: dbt-spark[PyHive] for Thrift and "
            "HTTP, dbt-spark[session] for Spark in dbt's process.",
        ),
        Problem(r"JAVA_HOME|Java gateway", "adapter", "The machine of the worker has no Java, which Spark needs."),
        Problem(
            r"Could not connect to any of",
            "port",
            "Nothing answers at {host}, port {port}. Check host, port and firewall.",
        ),
        Problem(r"TSocket read 0 bytes|Bad status: 3|SASL", "auth", "Spark does not accept this login."),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """The adapter wants a host where there is none, and knows one default port for two protocols."""
        output = given.all("auth")
        if given.values["method"] == "session":
            return {**output, "host": "localhost"}
        output.setdefault("port", 10000 if given.values["method"] == "thrift" else 443)
        return {**output, "auth": given.values["auth"]} if given.values.get("auth") else output
