"""Settings for every way to log in to every warehouse, and virtualenvs with the real adapters."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from nodes.dbt.runtime import Runtime, built_in, runtime_at
from nodes.dbt.warehouses.registry import WAREHOUSES

ROOT = Path(__file__).resolve().parents[4]
RUNTIMES = ROOT / ".runtimes"
BUILT_IN = ("duckdb", "postgres")
#: What is installed beside dbt-core to test a warehouse, where the adapter alone is not enough.
EXTRAS = {
    "snowflake": ["fakesnow[server]"],
    "spark": ["dbt-spark[PyHive,session]", "pyspark~=3.5", "setuptools<81"],
    "sqlserver": ["pyodbc"],
    "fabric": ["pyodbc"],
}


@cache
def pem() -> str:
    """A private key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@cache
def variables() -> dict[str, str]:
    """The variables of the environment; all are secret but HOST."""
    service_account = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "0123456789abcdef-the-id",
        "private_key": pem(),
        "client_email": "dex@my-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return {"HOST": "127.0.0.1", "SECRET": "s3cret-value-1", "KEY": pem(), "JSON": json.dumps(service_account)}


SECRETS = ("SECRET", "KEY", "JSON")

#: name -> (type, what is typed, attributes of the adapter's credentials)
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "duckdb": ("duckdb", {"path": "shop.duckdb"}, {"schema": "main"}),
    "postgres": (
        "postgres",
        {"host": "{{ HOST }}", "port": "1", "user": "dex", "password": "{{ SECRET }}", "dbname": "shop"},
        {"host": "127.0.0.1", "port": 1, "password": "s3cret-value-1", "database": "shop", "schema": "analytics"},
    ),
    "redshift-password": (
        "redshift",
        {"host": "{{ HOST }}", "port": "1", "user": "dex", "password": "{{ SECRET }}", "dbname": "shop"},
        {"method": "database", "password": "s3cret-value-1", "database": "shop", "sslmode": "prefer", "port": 1},
    ),
    "redshift-iam": (
        "redshift",
        {"host": "{{ HOST }}", "port": "1", "method": "iam", "user": "dex", "access_key_id": "AKIA",
         "secret_access_key": "{{ SECRET }}", "cluster_id": "shop", "region": "eu-central-1", "dbname": "shop"},
        {"method": "iam", "secret_access_key": "s3cret-value-1", "access_key_id": "AKIA", "password": None},
    ),
    "snowflake-password": (
        "snowflake",
        {"account": "my_org-shop", "auth": "password", "user": "dex", "password": "{{ SECRET }}", "warehouse": "W",
         "database": "SHOP", "role": "R", "host": "{{ HOST }}", "port": "1", "protocol": "http"},
        {"account": "my-org-shop", "password": "s3cret-value-1", "authenticator": None, "warehouse": "W", "role": "R",
         "protocol": "http", "port": 1},
    ),
    "snowflake-key_pair": (
        "snowflake",
        {"account": "shop", "auth": "key_pair", "user": "dex", "private_key": "{{ KEY }}", "warehouse": "W",
         "database": "SHOP"},
        {"private_key": lambda: pem().strip(), "password": None, "token": None, "protocol": None},
    ),
    "snowflake-oauth": (
        "snowflake",
        {"account": "shop", "auth": "oauth", "token": "{{ SECRET }}", "warehouse": "W", "database": "SHOP"},
        {"authenticator": "oauth", "token": "s3cret-value-1", "user": None},
    ),
    "bigquery-service_account": (
        "bigquery",
        {"keyfile_json": "{{ JSON }}", "project": "my-project", "location": "EU", "maximum_bytes_billed": "1000"},
        {"method": "service-account-json", "database": "my-project", "schema": "analytics",
         "maximum_bytes_billed": 1000, "keyfile_json": lambda: json.loads(variables()["JSON"])},
    ),
    "bigquery-adc": (
        "bigquery",
        {"auth": "adc", "project": "my-project", "dataset": "marts", "priority": "batch"},
        {"method": "oauth", "schema": "marts", "priority": "batch", "keyfile_json": None},
    ),
    "databricks-token": (
        "databricks",
        {"host": "127.0.0.1", "http_path": "/sql/1.0/warehouses/a", "token": "{{ SECRET }}", "catalog": "main"},
        {"token": "s3cret-value-1", "database": "main", "schema": "analytics", "auth_type": None},
    ),
    "databricks-service_principal": (
        "databricks",
        {"host": "127.0.0.1", "http_path": "/sql/1.0/warehouses/a", "auth": "service_principal", "client_id": "c",
         "client_secret": "{{ SECRET }}"},
        {"auth_type": "oauth", "client_id": "c", "client_secret": "s3cret-value-1", "token": None},
    ),
    "trino-ldap": (
        "trino",
        {"host": "{{ HOST }}", "port": "1", "user": "dex", "password": "{{ SECRET }}", "database": "iceberg",
         "session_properties": '{"query_max_run_time": "4h"}'},
        {"class": "TrinoLdapCredentials", "password": "s3cret-value-1", "database": "iceberg", "port": 1,
         "session_properties": {"query_max_run_time": "4h"}},
    ),
    "trino-jwt": (
        "trino",
        {"host": "{{ HOST }}", "method": "jwt", "jwt_token": "{{ SECRET }}", "database": "iceberg"},
        {"class": "TrinoJwtCredentials", "jwt_token": "s3cret-value-1", "port": 443},
    ),
    "trino-none": (
        "trino",
        {"host": "{{ HOST }}", "port": "1", "method": "none", "user": "dex", "http_scheme": "http",
         "database": "iceberg"},
        {"class": "TrinoNoneCredentials", "user": "dex"},
    ),
    "athena-key": (
        "athena",
        {"region_name": "eu-central-1", "aws_access_key_id": "AKIA", "aws_secret_access_key": "{{ SECRET }}",
         "s3_staging_dir": "s3://bucket/x/", "work_group": "primary", "num_retries": "0"},
        {"aws_secret_access_key": "s3cret-value-1", "database": "awsdatacatalog", "work_group": "primary",
         "num_retries": 0},
    ),
    "athena-machine": (
        "athena",
        {"region_name": "eu-central-1", "auth": "machine", "s3_staging_dir": "s3://bucket/x/"},
        {"aws_access_key_id": None, "aws_secret_access_key": None},
    ),
    "sqlserver-sql": (
        "sqlserver",
        {"host": "{{ HOST }}", "port": "1", "user": "sa", "password": "{{ SECRET }}", "database": "shop",
         "trust_cert": "true"},
        {"host": "127.0.0.1", "port": 1, "PWD": "s3cret-value-1", "UID": "sa", "database": "shop",
         "trust_cert": True, "encrypt": True, "authentication": "sql"},
    ),
    "sqlserver-service_principal": (
        "sqlserver",
        {"host": "{{ HOST }}", "auth": "service_principal", "tenant_id": "t", "client_id": "c",
         "client_secret": "{{ SECRET }}", "database": "shop"},
        {"authentication": "ActiveDirectoryServicePrincipal", "client_secret": "s3cret-value-1", "tenant_id": "t"},
    ),
    "fabric": (
        "fabric",
        {"host": "abc.datawarehouse.fabric.microsoft.com", "tenant_id": "t", "client_id": "c",
         "client_secret": "{{ SECRET }}", "database": "shop"},
        {"authentication": "ActiveDirectoryServicePrincipal", "client_secret": "s3cret-value-1", "schema": "dbo"},
    ),
    "clickhouse": (
        "clickhouse",
        {"host": "{{ HOST }}", "port": "1", "secure": "false", "password": "{{ SECRET }}"},
        {"password": "s3cret-value-1", "secure": False, "port": 1, "schema": "analytics", "driver": "http"},
    ),
    "spark-thrift": (
        "spark",
        {"host": "{{ HOST }}", "port": "1", "auth": "LDAP", "user": "dex", "password": "{{ SECRET }}"},
        {"method": "thrift", "auth": "LDAP", "password": "s3cret-value-1", "port": 1},
    ),
    "spark-http": (
        "spark",
        {"method": "http", "host": "spark.example.com", "token": "{{ SECRET }}", "cluster": "0101-a"},
        {"method": "http", "token": "s3cret-value-1", "cluster": "0101-a", "port": 443},
    ),
    "spark-session": ("spark", {"method": "session"}, {"method": "session", "schema": "analytics"}),
}  # fmt: skip


def place_of(kind: str) -> Path:
    """Where the virtualenv of a warehouse's adapter is."""
    return RUNTIMES / f"warehouse-{kind}"


def runtime_of(kind: str) -> Runtime:
    """A dbt with the real adapter: the one that dex ships, or a virtualenv that `make test-warehouses` has built."""
    if kind in BUILT_IN:
        return built_in()
    return runtime_at(place_of(kind))


def requirements_of(kind: str) -> list[str]:
    """What is installed for a warehouse."""
    return ["dbt-core~=1.11.0", WAREHOUSES[kind].package, *EXTRAS.get(kind, ())]


def uv() -> str:
    """The uv of the environment that runs this."""
    return str(Path(sys.executable).parent / "uv")


def build(kind: str, python: str) -> bool:
    """Build the virtualenv of a warehouse's adapter unless it is there; whether it is whole."""
    place = place_of(kind)
    wanted = " ".join(requirements_of(kind))
    mark = place / "whole"
    if mark.exists() and mark.read_text() == wanted:
        return True
    made = subprocess.run([uv(), "venv", "--quiet", "--clear", "--python", python, str(place)], check=False)
    install = [uv(), "pip", "install", "--quiet", "--python", str(place / "bin/python"), *requirements_of(kind)]
    if made.returncode or subprocess.run(install, check=False).returncode:
        return False
    mark.write_text(wanted)
    return True
