"""The warehouse of an environment in a browser: fields by type and way to log in, errors at their place, Test."""

import pytest
from playwright.sync_api import expect

from flows.models import Environment, Flow, Project
from flows.variables.values import save_variable
from tests.helpers.engines import make_flow, run_to_end, write_project
from tests.helpers.pages import Person
from tests.helpers.waiting import patience
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.runs.conftest import engine  # noqa: F401 - a fixture


@pytest.fixture
def environment(tmp_path):
    project = Project.objects.create(name="shop", path=str(write_project(tmp_path / "shop", {"a": "select 1 as id"})))
    save_variable(project, None, "SNOWFLAKE_PRIVATE_KEY", "no-key-at-all", secret=True)
    return Environment.objects.create(project=project, name="main")


def test_a_warehouse_is_described_in_fields_refused_at_the_field_and_tested(engine, window, environment, seen):  # noqa: F811
    page = window.open(Person("boss", "everything").user)

    def judge(name):
        for suffix in ("", "-dark", "-phone"):
            look_like(page, suffix)
            seen(page, f"{name}{suffix}")
            assert axe(page, rules=CONTRAST if suffix == "-dark" else None) == [], name
            assert sideways(page) <= 0, name
        look_like(page, "")

    page.goto(f"/admin/flows/environment/{environment.pk}/change/")
    kinds = page.get_by_label("Warehouse type")
    expect(page.locator("#id_snowflake_account")).to_be_hidden()

    # Snowflake: the fields of the chosen way to log in, and no others
    kinds.select_option("snowflake")
    expect(page.locator("#id_snowflake_account")).to_be_visible()
    expect(page.locator("#id_postgres_host")).to_be_hidden()
    expect(page.get_by_text("Connections cannot load into it.").locator("visible=true")).to_be_visible()
    expect(page.locator("#id_snowflake_private_key")).to_be_visible()
    expect(page.locator("#id_snowflake_password")).to_be_hidden()
    page.locator("#id_snowflake_auth").select_option("password")
    expect(page.locator("#id_snowflake_private_key")).to_be_hidden()
    expect(page.locator("#id_snowflake_password")).to_be_visible()
    page.locator("#id_snowflake_auth").select_option("key_pair")
    page.locator("#id_snowflake_account").fill("myorg-shop")
    page.locator("#id_snowflake_user").fill("DEX")
    page.locator("#id_snowflake_private_key").fill("-----BEGIN PRIVATE KEY-----")
    page.locator("#id_snowflake_role").fill("TRANSFORMER")
    page.locator("#id_snowflake_database").fill("ANALYTICS")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("Virtual warehouse is required.")).to_be_visible()
    expect(page.get_by_text("refer to it here: {{ SNOWFLAKE_PRIVATE_KEY }}")).to_be_visible()
    judge("warehouse-snowflake-refused")
    page.locator("#id_snowflake_warehouse").fill("TRANSFORMING")
    page.locator("#id_snowflake_private_key").fill("{{ SNOWFLAKE_PRIVATE_KEY }}")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    expect(page.locator("#id_snowflake_account")).to_have_value("myorg-shop")

    # Test: dbt of this project has no adapter for Snowflake
    expect(page.get_by_text("Not tested.")).to_be_visible()
    page.get_by_role("button", name="Test", exact=True).click()
    failed = page.locator(".warehouse-check .notice.error")
    expect(failed).to_contain_text(
        "Add the package dbt-snowflake to the project's dbt runtime.", timeout=patience(60_000)
    )
    expect(failed.get_by_role("link", name="Choose a dbt runtime")).to_be_visible()
    judge("warehouse-snowflake")

    # BigQuery
    kinds.select_option("bigquery")
    expect(page.locator("#id_bigquery_keyfile_json")).to_be_visible()
    page.locator("#id_bigquery_auth").select_option("adc")
    expect(page.locator("#id_bigquery_keyfile_json")).to_be_hidden()
    page.locator("#id_bigquery_auth").select_option("service_account")
    page.locator("#id_bigquery_keyfile_json").fill("{{ BIGQUERY_KEY }}")
    page.locator("#id_bigquery_project").fill("my-project")
    page.get_by_role("group", name="More options for BigQuery").locator("summary").click()
    judge("warehouse-bigquery")

    # DuckDB works here and now
    kinds.select_option("duckdb")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("Not tested since the last change.")).to_be_visible()
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator(".warehouse-check .notice.success")).to_contain_text(
        "Connected to DuckDB.", timeout=patience(60_000)
    )
    environment.refresh_from_db()
    assert environment.warehouse == {"type": "duckdb", "path": "warehouse.duckdb", "schema": "main"}


def test_an_environment_chooses_how_dbt_is_run_and_the_page_of_a_run_says_it(engine, window, tmp_path, seen):  # noqa: F811
    flow = make_flow(write_project(tmp_path / "shop", {"a": "select 1 as id"}))
    page = window.open(Person("boss", "everything").user)
    page.goto(f"/admin/flows/environment/{flow.environment_id}/change/")
    expect(page.get_by_label("Executor")).to_have_value("session")
    page.get_by_label("Executor").select_option("command")
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        seen(page, f"environment-executor{suffix}")
        assert axe(page, rules=CONTRAST if suffix == "-dark" else None) == []
        assert sideways(page) <= 0
    look_like(page, "")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    run = run_to_end(Flow.objects.get(pk=flow.pk))
    assert run.state == "succeeded"
    page.goto(f"/runs/{run.pk}/")
    expect(page.get_by_text("executed by dbt commands")).to_be_visible()
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        seen(page, f"run-executor{suffix}")
        assert sideways(page) <= 0
