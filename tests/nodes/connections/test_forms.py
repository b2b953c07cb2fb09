"""What a person types for a connection and its streams is checked beside the field it is about."""

import subprocess
import sys

import pytest

from nodes.connections.connectors.base import GROUPS
from nodes.connections.connectors.catalogue import CATALOGUE
from nodes.connections.connectors.client import CODE
from nodes.connections.connectors.streams import MODES, POLICIES, StreamSettings, identifier
from nodes.connections.connectors.streams import parse as parse_stream
from nodes.fields.form import check, fields_of, parse, references, secret_names, secret_values

PG = {"system": "postgresql", "host": "db.example.com", "database": "shop", "user": "me", "password": "s3cr3t-word"}


def test_the_catalogue_names_everything_a_page_shows():
    assert set(CATALOGUE) == {"sql_database", "files", "http_file", "google_sheets", "rest_api", "custom"}
    for key, connector in CATALOGUE.items():
        assert connector.key == key
        assert connector.title and connector.summary and connector.icon
        assert connector.group in GROUPS
        assert connector.status in ("Certified", "Beta")
        assert set(connector.supports) <= set(MODES)
        for field in fields_of(connector):
            assert field.label != field.name, f"{key}.{field.name} has no title"
            assert field.kind != "choice" or field.choices
            assert set(field.when) <= {each.name for each in fields_of(connector)}


def test_the_web_process_imports_nothing_heavy():
    code = """
import sys, time
began = time.perf_counter()
from nodes.connections.connectors import catalogue, client, streams
from nodes.fields import form
took = time.perf_counter() - began
heavy = {"dlt", "sqlalchemy", "duckdb", "pandas", "numpy", "pyarrow", "requests", "fsspec", "boto3", "paramiko"}
print(sorted(heavy & set(sys.modules)), took < 2)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


def test_every_word_for_a_secret_is_a_secret():
    for connector in CATALOGUE.values():
        for field in fields_of(connector):
            word = any(
                part in field.name for part in ("password", "secret", "token", "private", "account_key", "api_key")
            )
            public = field.name in ("token_url", "api_key_name", "api_key_in")
            assert field.secret == (word and not public) or field.name in ("headers", "service_account"), field.name
    assert secret_names(CATALOGUE["sql_database"]) == ["password"]
    assert secret_values(CATALOGUE["custom"], {"package": "x", "secrets": {"key": "abcdef"}}) == ["abcdef"]


def test_values_are_typed_and_references_wait():
    connector = CATALOGUE["sql_database"]
    values, errors = parse(
        connector, {**PG, "port": "5433", "views": "on", "parameters": '{"keepalives": 1}', "ca": ""}
    )
    assert errors == {}
    assert values == {**PG, "port": 5433, "views": True, "parameters": {"keepalives": 1}}
    typed, errors = check(connector, values)
    assert errors == {} and typed.port == 5433

    waiting = {**PG, "port": "{{ PORT }}", "host": "{{ params.HOST }}", "password": "{{ PASSWORD }}"}
    values, errors = parse(connector, waiting)
    assert errors == {}
    assert values["port"] == "{{ PORT }}"
    assert sorted(references(values)) == ["host", "password", "port"]
    assert check(connector, values)[1] == {"port": "This must be a whole number."}
    assert check(connector, {**values, "port": "5432"})[0].port == 5432


BAD = [
    ({**PG, "port": "x"}, {"port": "This must be a whole number."}),
    ({**PG, "port": "70000"}, {"port": "This must be at most 65535."}),
    ({**PG, "host": " "}, {"host": "Host is required for PostgreSQL."}),
    ({**PG, "views": "maybe"}, {"views": "This must be yes or no."}),
    ({**PG, "colour": "red"}, {"colour": "SQL database has no setting colour."}),
    ({**PG, "parameters": "{"}, {"parameters": "This is not JSON (line 1, column 2)."}),
    ({**PG, "system": "oracle"}, {"system": "Choose 'postgresql', 'mysql', 'sqlite' or 'mssql'."}),
    ({"system": "mysql", **{k: v for k, v in PG.items() if k != "system"}, "parameters": '{"local_infile": 1}'},
     {"parameters":
      "local_infile is not allowed. Allowed for MySQL or MariaDB: charset, read_timeout, write_timeout."}),
    ({"system": "sqlite"}, {"path": "File is required for SQLite."}),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), BAD)
def test_errors_stand_beside_their_field_and_hold_no_value(raw, expected):
    values, errors = parse(CATALOGUE["sql_database"], raw)
    assert (values, errors) == (None, expected)
    assert PG["password"] not in str(errors)


ENDPOINT = {"name": "orders", "path": "orders"}


def test_lists_of_settings_name_the_place():
    config = {"base_url": "https://x.example/", "endpoints": [ENDPOINT, {"name": "b", "path": "https://evil/"}]}
    assert parse(CATALOGUE["rest_api"], config)[1] == {
        "endpoints": "2 path: the path is below the base URL, without a host."
    }
    config["endpoints"] = [ENDPOINT, {"name": "b"}]
    assert parse(CATALOGUE["rest_api"], config)[1] == {"endpoints": "2 path is required."}
    config["endpoints"] = [ENDPOINT, ENDPOINT]
    assert parse(CATALOGUE["rest_api"], config)[1] == {"endpoints": "Two endpoints have the same name."}
    assert parse(CATALOGUE["google_sheets"], {"spreadsheet": "x", "service_account": "{}"})[1] == {
        "service_account": "This is not the key of a service account: client_email or private_key is missing."
    }


STREAMS = [
    ({"name": "  "}, "name", "a stream needs a name"),
    ({"mode": "incremental"}, "cursor", "Incremental needs a cursor"),
    ({"mode": "merge"}, "primary_key", "Merge needs a primary key"),
    ({"mode": "replace", "cursor": "id"}, "cursor", "A cursor has no effect with replace"),
    ({"mode": "sideways"}, "mode", "Input should be"),
    ({"columns": []}, "columns", "Choose at least one column, or all."),
    ({"mode": "merge", "primary_key": ["id"], "columns": ["a"]}, "columns", "Also choose id"),
    ({"mode": "merge", "primary_key": ["id", "id"]}, "primary_key", "in the primary key twice"),
    ({"row_filter": [{"column": "a", "op": "regexp", "value": "x"}]}, "row_filter", "Input should be"),
    ({"row_filter": [{"column": "a", "op": "in", "value": "x"}]}, "row_filter", "Filter 1: “in” needs a list"),
    (
        {"row_filter": [{"column": "a", "op": "=", "value": None}]},
        "row_filter",
        "Filter 1: enter a value to compare with",
    ),
    ({"row_filter": [{"column": "a", "op": "is null", "value": 1}]}, "row_filter", "takes no value"),
    ({"schema_policy": "hope"}, "schema_policy", "Input should be"),
    ({"sql": "DROP TABLE x"}, "sql", "There is no setting sql."),
]


@pytest.mark.parametrize(("raw", "field", "message"), STREAMS)
def test_what_does_not_fit_together_for_a_stream(raw, field, message):
    settings, errors = parse_stream({"name": "orders", **raw})
    assert settings is None
    assert message in errors[field]


def test_a_stream_that_fits():
    settings, errors = parse_stream({"name": "OrderItems", "mode": "incremental", "cursor": "id"})
    assert (errors, settings.table) == ({}, "order_items")
    assert parse_stream({"name": "a"}, supports=("append",))[1] == {
        "mode": "This connector cannot do replace; choose append."
    }
    assert set(StreamSettings.model_fields["schema_policy"].annotation.__args__) == set(POLICIES)


NAMES = [
    "orders", "Orders", "OrderItems", "order items", "2026 sales", "a__b", "trailing_", "__x", "ÄÖÜ", "Bob's orders",
    "HTTPServer", "a-b*c@d|e+f", "x" * 60, " padded ", "camelCaseID", "1", "_", "already_snake_case", "A1B2",
]  # fmt: skip


def test_names_in_the_warehouse_are_those_of_dlt():
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    naming = NamingConvention(63)
    assert {name: identifier(name) for name in NAMES} == {name: naming.normalize_identifier(name) for name in NAMES}


def test_every_choice_of_every_connector_has_words_that_people_read():
    for connector in CATALOGUE.values():
        for each in fields_of(connector):
            assert set(each.words) <= set(each.choices), each.name
            assert each.words or all(choice.islower() and "_" not in choice for choice in each.choices), each.name
