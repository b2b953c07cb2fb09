"""Messages as servers, drivers and clouds word them, and the sentence that people read instead."""

import pytest

from nodes.dbt.warehouses.base import Problem
from nodes.dbt.warehouses.problems import explain, sentence
from nodes.dbt.warehouses.registry import WAREHOUSES

SETTINGS = {
    "snowflake": {"account": "myorg-shop", "warehouse": "TRANSFORMING", "database": "SHOP", "role": "R"},
    "bigquery": {"project": "my-project", "location": "EU", "dataset": "marts"},
    "databricks": {"host": "dbc.example.com", "http_path": "/sql/1.0/warehouses/abc", "catalog": "main"},
    "redshift": {"host": "shop.example.com", "port": 5439, "cluster_id": "shop", "region": "eu-central-1"},
    "trino": {"host": "trino.example.com", "port": 443, "database": "iceberg"},
    "athena": {"region_name": "eu-central-1", "work_group": "etl", "s3_staging_dir": "s3://bucket/x/"},
    "sqlserver": {"host": "sql.example.com", "port": 1433, "database": "shop", "driver": "ODBC Driver 18"},
    "clickhouse": {"host": "ch.example.com", "port": 8443, "schema": "marts"},
    "spark": {"host": "spark.example.com", "port": 10000},
    "postgres": {"host": "db.example.com", "port": 5432},
}
_LOGIN = "250001 (08001): Failed to connect to DB: shop.snowflakecomputing.com:443. "
SAID = [
    ("snowflake", f"{_LOGIN}Incorrect username or password was specified.", "auth", "this user and password"),
    ("snowflake", f"{_LOGIN}JWT token is invalid. [7fb87e37]", "auth", "another public key"),
    ("snowflake", f"{_LOGIN}Role 'ANALYST' specified in the connect string does not exist or not authorized.",
     "role", "The role ANALYST does not exist, or the user may not use it."),
    ("snowflake", f"{_LOGIN}User's configured default role 'SYSADMIN' is not granted to this user.",
     "role", "The role SYSADMIN does not exist"),
    ("snowflake", f"{_LOGIN}The role requested in the connection or the default role if none was requested in the "
     "connection ('LOADER') is not listed in the Access Token or was filtered.", "role", "not allow the role LOADER"),
    ("snowflake", "390201 (08006): The requested warehouse does not exist or not authorized.",
     "warehouse", "There is no virtual warehouse TRANSFORMING"),
    ("snowflake", "290404 (08001): None: 404 Not Found: post x.snowflakecomputing.com:443/session/v1/login-request",
     "account", "There is no Snowflake account myorg-shop."),
    ("snowflake", "000606 (57P03): No active warehouse selected in the current session.",
     "warehouse", "The virtual warehouse TRANSFORMING cannot be used."),
    ("snowflake", "002003 (02000): SQL compilation error: Database 'SHOP' does not exist or not authorized.",
     "database", "There is no database SHOP"),
    ("bigquery", "Access Denied: Project my-project: User does not have bigquery.jobs.create permission in project "
     "my-project.", "permission", "BigQuery Job User"),
    ("bigquery", "('invalid_grant: Invalid JWT Signature.', {'error': 'invalid_grant'})", "auth", "been deleted"),
    ("bigquery", "403 BigQuery API has not been used in project 1 before or it is disabled.",
     "permission", "The BigQuery API is not enabled in the project my-project."),
    ("databricks", "Error during request to server: : Invalid access token.", "auth", "does not accept the token"),
    ("databricks", "[NO_SUCH_CATALOG_EXCEPTION] Catalog 'main' was not found.", "database", "There is no catalog main"),
    ("databricks", "PERMISSION_DENIED: User does not have USE CATALOG on Catalog 'main'.",
     "permission", "USE CATALOG on main"),
    ("redshift", 'FATAL: password authentication failed for user "dex"', "auth", "this user and password"),
    ("redshift", 'database "shop" does not exist', "database", "There is no database shop on the server."),
    ("redshift", "An error occurred (ClusterNotFoundFault): Cluster shop not found.",
     "account", "no cluster shop for this access key in the region eu-central-1"),
    ("trino", "error 401: b'Invalid credentials'", "auth", "does not accept this login"),
    ("trino", "TrinoUserError(name=CATALOG_NOT_FOUND, message=\"line 1:1: Catalog 'x' not found\")",
     "database", "There is no catalog iceberg."),
    ("athena", "An error occurred (UnrecognizedClientException) when calling the StartQueryExecution operation: The "
     "security token included in the request is invalid.", "auth", "AWS does not accept the access key."),
    ("athena", "(InvalidRequestException) WorkGroup etl is not found.", "warehouse", "There is no workgroup etl."),
    ("athena", "Unable to verify/create output bucket bucket", "permission", "Athena cannot write to s3://bucket/x/"),
    ("sqlserver", "('28000', \"[28000] [Microsoft][ODBC Driver 18]Login failed for user 'sa'. (18456)\")",
     "auth", "does not accept this login"),
    ("sqlserver", "('42000', '[SQL Server]Cannot open database \"shop\" requested by the login. The login failed.')",
     "database", "There is no database shop"),
    ("sqlserver", "[unixODBC][Driver Manager]Can't open lib 'ODBC Driver 18' : file not found (0)",
     "adapter", "no ODBC driver named ODBC Driver 18"),
    ("sqlserver", "libodbc.so.2: cannot open shared object file", "adapter", "has no ODBC"),
    ("clickhouse", "Code: 516. DB::Exception: default: Authentication failed: wrong password.", "auth", "password"),
    ("clickhouse", "Code: 81. DB::Exception: Database marts does not exist. (UNKNOWN_DATABASE)",
     "database", "There is no database marts."),
    ("spark", "thrift connection method requires additional dependencies. pip install dbt-spark[PyHive]",
     "adapter", "dbt-spark[PyHive]"),
    ("postgres", 'could not translate host name "db.example.com" to address: Name or service not known',
     "host", "The host db.example.com was not found. Check Host."),
    ("postgres", "connection to server at db failed: timeout expired", "timeout", "did not answer in time"),
    ("teradata", "Could not find adapter type teradata!", "adapter", "Add the package dbt-teradata"),
    ("snowflake", 'Credentials in profile "dex", target "dex" invalid: \'account\' is a required property',
     "setting", "dbt's adapter does not accept the settings: 'account' is a required property."),
]  # fmt: skip


@pytest.mark.parametrize(("warehouse", "text", "kind", "part"), SAID, ids=lambda value: str(value)[:40])
def test_a_message_becomes_a_sentence_with_the_names_of_the_settings(warehouse, text, kind, part):
    found, message = explain(warehouse, SETTINGS.get(warehouse, {}), text)
    assert (found, part in message) == (kind, True), (found, message)
    assert "{" not in message and "  " not in message and message.endswith(".")


def test_what_nobody_knows_is_left_to_the_adapters_own_words():
    assert explain("snowflake", {}, "the moon is full") == ("other", "")


def test_every_sentence_names_only_settings_that_its_warehouse_has():
    for warehouse in WAREHOUSES.values():
        names = {each.alias or name for name, each in warehouse.Config.model_fields.items()}
        problems: tuple[Problem, ...] = warehouse.problems
        for problem in problems:
            wanted = {part.partition("}")[0] for part in problem.message.split("{")[1:]}
            assert wanted <= names | {"name"}, (warehouse.type, problem.message)
        for probe in warehouse.probes:
            assert {part.partition("}")[0] for part in probe.message.split("{")[1:]} <= names


def test_a_setting_without_a_value_leaves_no_hole():
    text = "Nothing answers at {host}, port {port}. Check it."
    assert sentence(text, {"host": "h"}) == "Nothing answers at h. Check it."
    assert sentence(text, {"host": "h", "port": 1}) == "Nothing answers at h, port 1. Check it."
