"""Amazon Redshift, with a password or with keys of IAM."""

from typing import Literal

from nodes.dbt.warehouses.adapters.postgres import PROBLEMS
from nodes.dbt.warehouses.base import Config, Loads, Problem, Warehouse, setting

_IAM = {"method": ["iam"]}


class Settings(Config):
    """Where the cluster is, and how to log in."""

    host: str = setting(title="Host", example="shop.abc123.eu-central-1.redshift.amazonaws.com")
    port: int = setting(5439, title="Port", ge=1, le=65535)
    method: Literal["database", "iam"] = setting(
        "database", title="Log in with", words={"database": "Password", "iam": "Access key of AWS IAM"}
    )
    user: str = setting(title="User")
    password: str | None = setting(
        None,
        title="Password",
        secret=True,
        needed=True,
        when={"method": ["database"]},
        example="{{ REDSHIFT_PASSWORD }}",
    )
    access_key_id: str | None = setting(None, title="Access key ID", needed=True, when=_IAM)
    secret_access_key: str | None = setting(
        None, title="Secret access key", secret=True, needed=True, when=_IAM, example="{{ AWS_SECRET_ACCESS_KEY }}"
    )
    cluster_id: str | None = setting(
        None, title="Cluster", help="Empty for a serverless workgroup, which Host names", when=_IAM
    )
    region: str | None = setting(None, title="Region", when=_IAM, example="eu-central-1")
    dbname: str = setting(title="Database")
    schema_: str = setting("analytics", title="Schema", alias="schema")
    sslmode: Literal["prefer", "disable", "allow", "require", "verify-ca", "verify-full"] = setting(
        "prefer", title="SSL mode", advanced=True
    )
    role: str | None = setting(None, title="Role", help="Set after logging in, with SET ROLE", advanced=True)
    ra3_node: bool = setting(
        False, title="RA3 nodes", help="Models may read other databases of the cluster", advanced=True
    )
    connect_timeout: int | None = setting(None, title="Connect timeout", help="In seconds", advanced=True, ge=1)


class Redshift(Warehouse):
    """Amazon Redshift."""

    type = "redshift"
    title = "Amazon Redshift"
    package = "dbt-redshift"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False, "redshift")
    tested = "no server: the adapter reads the profile and parses"
    problems = (
        *PROBLEMS,
        Problem(
            r"'cluster_id' must be provided", "setting", "Cluster is required for a cluster that is not serverless."
        ),
        Problem(
            r"InvalidClientTokenId|SignatureDoesNotMatch|UnrecognizedClient",
            "auth",
            "AWS does not accept the access key.",
        ),
        Problem(
            r"ClusterNotFound|Cluster .{0,80}not found",
            "account",
            "AWS finds no cluster {cluster_id} for this access key in the region {region}.",
        ),
        Problem(
            r"Could not connect to the endpoint|Invalid endpoint",
            "host",
            "AWS does not answer in the region {region}. Check Region, and that this machine reaches AWS.",
        ),
        Problem(
            r"AccessDenied|not authorized to perform",
            "permission",
            "The access key lacks a permission: it needs redshift:GetClusterCredentials for this user and database.",
        ),
    )
