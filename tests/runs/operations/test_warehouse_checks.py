"""Test on the page of an environment: connects with what is saved, says what is wrong, and knows what it was about."""

import duckdb
import psycopg
import pytest

from flows.access import acting_as
from flows.models import Environment, Project
from flows.variables.values import save_variable
from nodes.models import WarehouseCheck
from nodes.services.sync import SyncError, sync
from nodes.services.warehouse_checks import request_check
from runs.operations import warehouse_checks
from tests.helpers.engines import write_project
from tests.helpers.pages import Person
from tests.helpers.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)
STALE = "Not tested since the last change"
PASSWORD = "warehouse-secret-1"


@pytest.fixture
def environment(tmp_path):
    folder = write_project(tmp_path / "shop", {"a": "select 1 as id"})
    project = Project.objects.create(name="shop", path=str(folder))
    save_variable(project, None, "WAREHOUSE_PASSWORD", PASSWORD, secret=True)
    return Environment.objects.create(project=project, name="main")


@pytest.fixture
def ada(db):
    return Person("ada", "everything")


def page(ada, environment):
    return ada.open(f"/admin/flows/environment/{environment.pk}/change/").html


def check_of(environment):
    """What a test says, made as a worker makes it."""
    check = request_check(environment)
    warehouse_checks.make(check.pk)
    check.refresh_from_db()
    assert check.done_at and PASSWORD not in check.message + check.details
    return check


def on_postgres(environment, server, **fields):
    environment.warehouse = {
        "type": "postgres",
        "host": "127.0.0.1",
        "port": server.port,
        "user": "dex",
        "password": "{{ WAREHOUSE_PASSWORD }}",
        "dbname": "dex",
        "schema": "analytics",
        **fields,
    }
    environment.save()
    return environment


def test_what_is_wrong_with_a_postgres_is_said_in_a_sentence(environment, postgres):
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("create role reader login")
        server.execute(f"create role careful login password '{PASSWORD}-other'")
        server.execute("create schema theirs")
    hba = postgres.data / "pg_hba.conf"
    rules = "host all careful 127.0.0.1/32 scram-sha-256\nhost all banned 127.0.0.1/32 reject\n"
    hba.write_text(rules + hba.read_text())
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("create role banned login")
        server.execute("select pg_reload_conf()")
    on_postgres(environment, postgres)
    check = check_of(environment)
    assert (check.ok, check.message, check.details) == (True, "Connected to PostgreSQL.", "")
    closed = free_port()
    for fields, kind, message in (
        ({"host": "nowhere.invalid"}, "host", "The host nowhere.invalid was not found. Check Host."),
        ({"port": closed}, "port", f"Nothing answers at 127.0.0.1, port {closed}."),
        ({"user": "nobody"}, "auth", "There is no user nobody on the server."),
        ({"user": "careful"}, "auth", "The server does not accept this user and password."),
        ({"user": "banned"}, "permission", "The server does not let this user connect from this machine"),
        ({"dbname": "gone"}, "database", "There is no database gone on the server. Check Database."),
        ({"user": "reader"}, "permission", "may not create tables in the schema analytics"),
        ({"user": "reader", "schema": "theirs"}, "permission", "may not create tables in the schema theirs"),
        ({"sslmode": "require"}, "tls", "The server does not use TLS, which SSL mode asks for."),
        ({"sslmode": "sometimes"}, "setting", "Warehouse, SSL mode: The SSL mode must be one of disable"),
        ({"password": "{{ GONE }}"}, "setting", "Warehouse, Password: There is no variable GONE."),
    ):
        check = check_of(on_postgres(environment, postgres, **fields))
        assert not check.ok and check.kind == kind and message in check.message, (fields, check.kind, check.message)
        assert check.details or "grant CREATE" in check.message or kind == "setting"


def test_a_result_is_about_the_settings_that_were_tested(ada, environment, postgres):
    on_postgres(environment, postgres, dbname="gone")
    assert "Not tested." in page(ada, environment)
    check_of(environment)
    shown = page(ada, environment)
    assert "There is no database gone" in shown and "What the adapter said" in shown and "Tested" in shown
    on_postgres(environment, postgres)
    assert STALE in page(ada, environment) and "There is no database gone" not in page(ada, environment)
    assert check_of(environment).ok and "Connected to PostgreSQL." in page(ada, environment)
    secret = environment.project.variables.get(name="WAREHOUSE_PASSWORD")
    save_variable(environment.project, None, "WAREHOUSE_PASSWORD", "another-secret-2", secret=True, row=secret)
    assert STALE in page(ada, environment)


def test_the_warehouse_of_the_projects_own_profile_is_tested_too(ada, environment):
    check = check_of(environment)
    assert (check.ok, check.kind) == (False, "setting") and "sync the environment first" in check.message
    sync(environment)
    environment.refresh_from_db()
    assert STALE in page(ada, environment)
    assert check_of(environment).message == "Connected to DuckDB."


def test_a_duckdb_file_that_a_run_has_open_is_busy_not_wrong(environment, tmp_path):
    environment.warehouse = {"type": "duckdb", "path": str(tmp_path / "shop.duckdb")}
    environment.save()
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as held:
        held.execute("create table t (id integer)")
        check = check_of(environment)
    assert not check.ok and check.kind == "busy" and "Another process has the file open" in check.message
    assert check_of(environment).ok
    environment.warehouse = {"type": "duckdb", "path": "/nowhere/at/all.duckdb"}
    environment.save()
    assert "dex cannot open the file /nowhere/at/all.duckdb" in check_of(environment).message


def test_a_dbt_without_the_adapter_is_told_which_package_it_needs(environment):
    environment.warehouse = {
        "type": "snowflake",
        "account": "shop",
        "auth": "password",
        "user": "dex",
        "password": "{{ WAREHOUSE_PASSWORD }}",
        "warehouse": "w",
        "database": "d",
    }
    environment.save()
    check = check_of(environment)
    assert check.kind == "adapter"
    assert check.message == (
        "The project's dbt has no adapter for Snowflake, only for DuckDB and PostgreSQL. "
        "Add the package dbt-snowflake to the project's dbt runtime."
    )


def test_a_sync_without_the_adapter_says_which_package_dbt_needs(environment, tmp_path):
    (tmp_path / "shop" / "profiles.yml").write_text(
        "small: {target: dev, outputs: {dev: {type: trino, host: h, port: 1, user: u, database: d, schema: s}}}"
    )
    with pytest.raises(SyncError, match=r"no adapter for Trino, .* PostgreSQL\. Add the package dbt-trino"):
        sync(environment)


def test_a_warehouse_that_never_answers_is_given_up(environment, postgres, monkeypatch, silent):
    monkeypatch.setattr(warehouse_checks, "TIMEOUT_S", 3.0)
    check = check_of(on_postgres(environment, postgres, port=silent))
    assert (check.ok, check.kind) == (False, "timeout") and "did not answer within 3 seconds" in check.message


@pytest.fixture
def silent():
    """A port that takes connections and says nothing."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_test_is_requested_by_the_button_and_made_once(ada, environment, monkeypatch):
    from runs import dispatch

    asked = []
    monkeypatch.setattr(dispatch, "warehouse_check", asked.append)
    opened = ada.open(f"/admin/flows/environment/{environment.pk}/change/")
    form = opened.form("environment_form")
    form.action = f"/environments/{environment.pk}/test/"
    ada.post(opened, form, {})
    (check,) = WarehouseCheck.objects.all()
    assert asked == [check.pk] and check.requested_by == "ada"
    assert "Connecting…" in ada.open(f"/environments/{environment.pk}/tested/").html
    WarehouseCheck.objects.filter(pk=check.pk).update(taken_at="2026-01-01T00:00:00Z")
    warehouse_checks.make(check.pk)  # another worker has it
    check.refresh_from_db()
    assert check.done_at is None


def test_only_who_can_change_environments_can_test_them(environment):
    from django.core.exceptions import PermissionDenied

    with acting_as(Person("bob", "flows.view_environment").user), pytest.raises(PermissionDenied):
        request_check(environment)
