"""Snowflake, with a password, a key pair or an OAuth token."""

from typing import Any, Literal

from nodes.dbt.warehouses.base import Config, Given, Loads, Probe, Problem, Warehouse, setting

_KEY = {"auth": ["key_pair"]}
_USER = {"auth": ["password", "key_pair"]}


class Settings(Config):
    """The account, how to log in, and where models are built."""

    account: str = setting(
        title="Account", help="The address without .snowflakecomputing.com", example="myorg-myaccount"
    )
    auth: Literal["key_pair", "password", "oauth"] = setting(
        "key_pair",
        title="Log in with",
        words={"key_pair": "Key pair", "password": "Password or access token", "oauth": "OAuth token"},
    )
    user: str | None = setting(None, title="User", needed=True, when=_USER)
    password: str | None = setting(
        None,
        title="Password",
        help="Or a programmatic access token. Snowflake asks people for a second factor; use a user of type SERVICE",
        secret=True,
        needed=True,
        when={"auth": ["password"]},
        example="{{ SNOWFLAKE_PASSWORD }}",
    )
    private_key: str | None = setting(
        None,
        title="Private key",
        help="Names a secret that holds the PKCS#8 key, as PEM or as base64 of DER",
        secret=True,
        needed=True,
        when=_KEY,
        example="{{ SNOWFLAKE_PRIVATE_KEY }}",
    )
    private_key_passphrase: str | None = setting(
        None,
        title="Passphrase",
        help="If the key is encrypted",
        secret=True,
        when=_KEY,
        example="{{ SNOWFLAKE_PASSPHRASE }}",
    )
    token: str | None = setting(
        None,
        title="Token",
        help="An access token. dex does not renew it",
        secret=True,
        needed=True,
        when={"auth": ["oauth"]},
        example="{{ SNOWFLAKE_TOKEN }}",
    )
    role: str | None = setting(None, title="Role", help="Empty: the default role of the user", example="TRANSFORMER")
    warehouse: str = setting(title="Virtual warehouse", example="TRANSFORMING")
    database: str = setting(title="Database", example="ANALYTICS")
    schema_: str = setting("analytics", title="Schema", alias="schema")
    query_tag: str | None = setting(
        None, title="Query tag", help="Shown in Snowflake's query history", advanced=True, max_length=2000
    )
    client_session_keep_alive: bool = setting(
        False, title="Keep sessions alive", help="For queries that take longer than four hours", advanced=True
    )
    host: str | None = setting(None, title="Host", help="Empty: the host of the account", advanced=True)
    port: int | None = setting(None, title="Port", advanced=True, ge=1, le=65535)
    protocol: Literal["https", "http"] = setting("https", title="Protocol", advanced=True)
    connect_retries: int | None = setting(None, title="Connect retries", advanced=True, ge=0, le=20)
    connect_timeout: int | None = setting(None, title="Connect timeout", help="In seconds", advanced=True, ge=1)


class Snowflake(Warehouse):
    """Snowflake."""

    type = "snowflake"
    title = "Snowflake"
    package = "dbt-snowflake"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False, "snowflake")
    tested = "fakesnow, which speaks Snowflake's protocol: Test, models, tests. No account of Snowflake"
    problems = (
        Problem(
            r"Incorrect username or password|250001 .08001.{0,80}password",
            "auth",
            "Snowflake does not accept this user and password.",
        ),
        Problem(r"JWT token is invalid", "auth", "Snowflake does not accept the key: the user has another public key."),
        Problem(
            r"Could not deserialize key data|Incorrect padding|unable to load|private key.{0,80}(?:password|decrypt)",
            "auth",
            "The private key cannot be read. Its secret must hold a PKCS#8 key, as PEM or as base64 of DER, and the "
            "passphrase if it is encrypted.",
        ),
        Problem(
            r"(?:OAuth|Invalid).{0,30}access token|token.{0,20}expired",
            "auth",
            "Snowflake does not accept the OAuth token; it may have expired.",
        ),
        Problem(
            r"Role '?(?P<name>[\w.\"-]+)'? (?:specified in the connect string|is not granted|does not exist)",
            "role",
            "The role {name} does not exist, or the user may not use it.",
        ),
        Problem(
            r"(?:404 Not Found|Verify the account name|account.{0,20}(?:not found|incorrect))",
            "account",
            "There is no Snowflake account {account}. Check Account: the address without .snowflakecomputing.com.",
        ),
        Problem(
            r"Failed to resolve|Name or service not known|getaddrinfo",
            "account",
            "The host of the account {account} was not found. Check Account: the address without "
            ".snowflakecomputing.com.",
        ),
        Problem(r"(?:user|account).{0,40}(?:locked|disabled)", "auth", "The user is locked or disabled in Snowflake."),
        Problem(
            r"not allowed to access Snowflake|network policy",
            "permission",
            "A network policy of the account does not let this machine connect.",
        ),
        Problem(
            r"role requested in the connection.{0,80}\('(?P<name>[^']*)'\) is not listed in the Access Token",
            "role",
            "The OAuth token does not allow the role {name}.",
        ),
        Problem(
            r"requested warehouse does not exist or not authorized",
            "warehouse",
            "There is no virtual warehouse {warehouse}, or the role may not use it: grant USAGE on it.",
        ),
        Problem(
            r"Could not connect to Snowflake backend",
            "port",
            "The account {account} does not answer. Check Account, and that a firewall lets this machine connect.",
        ),
        Problem(
            r"No active warehouse|warehouse.{0,60}(?:missing|suspended)",
            "warehouse",
            "The virtual warehouse {warehouse} cannot be used.",
        ),
        Problem(
            r"Database '?(?P<name>[\w.\"-]+)'? does not exist",
            "database",
            "There is no database {name}, or the role may not use it.",
        ),
    )
    probes = (
        Probe(
            "select current_warehouse()",
            "warehouse",
            "There is no virtual warehouse {warehouse}, or the role may not use it: grant USAGE on it.",
        ),
        Probe(
            "select current_database()",
            "database",
            "There is no database {database}, or the role may not use it: grant USAGE on it.",
        ),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """An authenticator goes with a token alone; what is as by default stays out."""
        output = given.all("auth", "protocol")
        if given.values["auth"] == "oauth":
            output["authenticator"] = "oauth"
        if given.values.get("protocol") == "http":
            output["protocol"] = "http"
        return output
