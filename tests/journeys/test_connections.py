"""A connection in a browser: from the tile to a run that loaded its tables, with real questions to the source."""

import sqlite3

import pytest
from playwright.sync_api import expect

from flows.models import Environment, Flow, Project
from nodes.models import Connection
from nodes.services.sync import sync
from tests.helpers.engines import write_project
from tests.helpers.pages import Person
from tests.helpers.waiting import patience
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.runs.conftest import engine  # noqa: F401 - a fixture
from tests.runs.kinds.shop_loads import MODELS, SOURCES


@pytest.fixture
def boss():
    return Person("boss", "everything").user


def test_a_database_is_connected_asked_loaded_and_declared(engine, window, tmp_path, boss, seen, settings):  # noqa: F811
    settings.CONNECT_FILES = [str(tmp_path)]
    with sqlite3.connect(tmp_path / "shop.sqlite") as db:
        db.execute("create table orders (id integer primary key, amount integer, changed integer)")
        db.execute("create table customers (id integer primary key, name text)")
        db.executemany("insert into orders values (?, ?, ?)", [(n, n * 10, n) for n in range(1, 101)])
    folder = write_project(tmp_path / "shop", MODELS, models__sources_yml=SOURCES)
    project = Project.objects.create(name="shop", path=str(folder))
    environment = Environment.objects.create(project=project, name="main")
    sync(environment)
    flow = Flow.objects.create(name="Load and build", environment=environment)
    page = window.open(boss)

    def judge(name, gallery=True):
        for suffix in ("", "-dark", "-phone"):
            look_like(page, suffix)
            seen(page, f"{name}{suffix}", gallery=gallery)
            assert axe(page, rules=CONTRAST if suffix == "-dark" else None) == [], name
            assert sideways(page) <= 0, name
        look_like(page, "")

    # Source
    page.goto("/connections/")
    page.get_by_role("link", name="Create a connection").click()
    judge("connection-source")
    page.get_by_role("link", name="SQL database").click()

    # Settings
    page.get_by_label("Name", exact=True).fill("Shop")
    page.get_by_label("Schema").first.fill("Shop Raw")
    page.get_by_label("System").select_option("sqlite")
    expect(page.get_by_label("Host")).to_be_hidden()
    page.get_by_label("File").fill(str(tmp_path / "gone.sqlite"))
    page.get_by_role("button", name="Continue").click()
    expect(
        page.get_by_text("A schema name can have lower-case letters, digits and underscores, such as shop_raw.")
    ).to_be_visible()
    page.get_by_label("Schema").first.fill("shop_raw")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Shop was saved.")).to_be_visible()
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#connection-check .notice.error")).to_be_visible(timeout=patience(30_000))
    page.get_by_role("link", name="Settings").click()
    judge("connection", gallery=False)  # it shows where the test keeps its file
    page.get_by_label("File").fill(str(tmp_path / "shop.sqlite"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not tested since the last change.")).to_be_visible()
    expect(page.locator("#connection-check .notice.error")).to_have_count(0)
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#connection-check .notice.success")).to_be_visible(timeout=patience(30_000))

    # Tables
    page.get_by_role("link", name="Tables").click()
    page.get_by_role("button", name="Find tables").click()
    expect(page.get_by_label("orders")).to_be_visible(timeout=patience(30_000))
    page.get_by_label("orders").check()
    orders = page.locator(".table-choice", has_text="orders")
    orders.get_by_label("Load mode").select_option("merge")
    expect(orders.get_by_label("Primary key")).to_have_value("id")
    orders.get_by_label("Cursor").fill("changed")
    orders.get_by_text("Columns and rows").click()
    orders.get_by_label("Only rows where").fill("amount around 5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("amount around 5 is not a condition")).to_be_visible()
    orders.get_by_label("Only rows where").fill("amount >= 20")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Shop loads 1 table from now on.")).to_be_visible()
    judge("connection-tables")
    row = Connection.objects.get()
    assert row.settings["orders"]["mode"] == "merge" and row.settings["orders"]["row_filter"][0]["value"] == 20

    # Sources
    page.get_by_role("link", name="Sources").click()
    expect(page.get_by_text("Every table is declared")).to_be_visible()
    judge("connection-sources")

    # A node, and a run
    page.goto(f"/flows/{flow.pk}/nodes/new/connection/")
    page.get_by_label("Name", exact=True).fill("Load")
    expect(page.get_by_role("button", name="Test")).to_be_hidden()
    page.get_by_label("Connection").select_option(label="Shop")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("Connected; the schema has 2 tables.")).to_be_visible()
    judge("connection-step")
    page.get_by_role("button", name="Save").click()
    page.goto(f"/flows/{flow.pk}/")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(60_000))
    page.get_by_role("link", name="shop_raw.orders").first.click()
    panel = page.locator("#task-panel")
    expect(panel).to_contain_text("Rows99")
    expect(panel).to_contain_text("Cursornothing to 100")
    assert axe(page) == []
    page.goto("/connections/")
    expect(page.get_by_role("row", name="Shop")).to_contain_text("99 rows")
    judge("connections")

    # Two tables in one task
    page.get_by_role("link", name="Shop", exact=True).click()
    page.get_by_role("link", name="Tables").click()
    page.get_by_label("customers").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Shop loads 2 tables from now on.")).to_be_visible()
    page.goto(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/")
    page.get_by_text("More options:").click()
    page.get_by_label("All tables in one task").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="shop_raw.*")).to_be_visible()
    page.goto(f"/flows/{flow.pk}/")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(60_000))
    page.get_by_role("link", name="shop_raw.*").first.click()
    told = page.get_by_role("region", name="Tables of this task")
    expect(told.get_by_role("row", name="customers")).to_contain_text("0")
    expect(told.get_by_role("row", name="orders")).to_contain_text("100 to 100")
    judge("run-load")
