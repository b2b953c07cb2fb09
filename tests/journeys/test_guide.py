"""The guide, step by step, in a real browser: from New Flow to a canvas that is the same after a reload."""

import re

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from flows.models import Flow
from nodes.models import Connection
from tests.helpers.pages import Person
from tests.journeys.conftest import axe
from tests.journeys.rows import parsed_shop


@pytest.fixture
def editor(window) -> Page:
    """Somebody with the role editor, and a parsed project."""
    parsed_shop()
    person = Person("edda")
    person.user.groups.add(Group.objects.get(name="editor"))
    return window.open(person.user)


def new_flow(page: Page, name: str = "Finance") -> None:
    page.goto("/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Flows").click()
    page.get_by_role("link", name="New flow").first.click()
    page.get_by_label("Name").fill(name)


def add_node(page: Page, kind: str, name: str) -> None:
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()  # the canvas is there
    page.locator("summary", has_text="Add new").click()
    page.locator(".add-node").get_by_role("link", name=kind).click()
    expect(page.locator("#panel").get_by_role("heading", name=f"New {kind} node")).to_be_visible()
    page.locator("#panel").get_by_label("Name").fill(name)


def type_chips(page: Page, field: str, text: str) -> None:
    box = page.get_by_role("combobox", name=field)
    box.click()
    box.press_sequentially(text)


def save(page: Page) -> None:
    page.locator("#panel").get_by_role("button", name="Save").click()
    expect(page.locator("#panel .notice.success")).to_be_visible()


def card(page: Page, name: str):
    return page.locator(".react-flow__node", has_text=name)


def test_the_guide_step_by_step(editor, seen):
    page = editor
    # Creating a New Flow
    new_flow(page)
    page.get_by_label("Description").fill("Runs daily financial models and updates dashboards")
    expect(page.get_by_label("Environment", exact=True)).to_have_value(re.compile(r"\d+"))  # the only one is chosen

    # Schedule, Basic Mode: frequency, time, and a preview below it
    page.get_by_label("Runs every").select_option("day")
    page.get_by_label("Time", exact=True).fill("02:00")
    preview = page.locator("#schedule-preview")
    expect(preview).to_contain_text("Every day at 02:00")
    expect(preview.locator("tbody tr")).to_have_count(5)
    assert page.get_by_label("Time zone").input_value() == "Europe/Berlin"  # the browser's
    expect(preview.locator("tbody tr").first).to_contain_text("02:00")
    seen(page, "guide-new-flow", gallery=False)

    # Advanced Mode: the switch, and the two expressions of the guide
    page.get_by_label("Write cron expression").check()
    cron = page.get_by_role("textbox", name="Cron expression")
    expect(cron).to_have_value("0 2 * * *")
    cron.fill("0 */6 * * *")
    expect(preview).to_contain_text("Every 6 hours")
    cron.fill("0 2 * * *")
    expect(preview).to_contain_text("Every day at 02:00")
    cron.fill("61 2 * * *")
    expect(preview).to_contain_text("The first field, the minute, goes from 0 to 59")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".field-cron .errorlist")).to_contain_text("minute")
    expect(page.get_by_label("Description")).to_have_value("Runs daily financial models and updates dashboards")
    cron.fill("0 2 * * *")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Finance", level=1)).to_be_visible()
    flow = Flow.objects.get()
    assert (flow.cron, flow.time_zone) == ("0 2 * * *", "Europe/Berlin")

    # A Transformation node, Example 1: Include tag:staging
    add_node(page, "Transformation", "Staging")
    type_chips(page, "Include", "tag:staging")
    page.keyboard.press("Enter")
    rows = page.locator(".preview-rows li")
    expect(rows).to_have_count(3)
    assert [row.split("\n")[0].strip() for row in rows.all_inner_texts()] == [
        *("staging.stg_customers", "staging.stg_orders", "staging.stg_payments"),
    ]
    expect(rows.first).to_contain_text("tag:staging")
    expect(page.locator("[data-chips] .chip .count")).to_have_text("3")
    save(page)

    # Node Components: identifiers and dependencies
    table = page.locator("#components table")
    expect(table.locator("tbody th")).to_contain_text(
        ["staging.stg_customers", "staging.stg_orders", "staging.stg_payments"]
    )
    orders = table.locator("tr", has_text="models/staging/stg_orders.sql")
    expect(orders.locator("td.names").first).to_contain_text("raw_orders")
    expect(orders.locator("td.names").last).to_contain_text("marts.mart_orders")

    # Example 2, corrected: Include tag:mart, Exclude tag:revenue; a comma ends a value too
    add_node(page, "Transformation", "Marts")
    type_chips(page, "Include", "tag:mart,")
    type_chips(page, "Exclude", "tag:revenue,")
    expect(rows).to_have_count(2)
    assert [row.split("\n")[0].strip() for row in rows.all_inner_texts()] == [
        "marts.mart_customers",
        "marts.mart_orders",
    ]
    page.get_by_label("Why is a model selected or not?").fill("mart_revenue")
    expect(page.locator("#preview")).to_contain_text("exclude list removes it")
    save(page)
    seen(page, "guide-editor", gallery=False)
    page.locator("#panel").get_by_label("Close").click()

    # Organizing the flow: drag, connect, reload, everything as it was
    marts = card(page, "Marts")
    before = marts.bounding_box()
    page.mouse.move(before["x"] + 60, before["y"] + 20)
    page.mouse.down()
    page.mouse.move(before["x"] + 120, before["y"] + 140, steps=8)
    page.mouse.up()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    source = card(page, "Staging").locator(".react-flow__handle.source").bounding_box()
    target = marts.locator(".react-flow__handle.target").bounding_box()
    page.mouse.move(source["x"] + source["width"] / 2, source["y"] + source["height"] / 2)
    page.mouse.down()
    page.mouse.move(target["x"] + target["width"] / 2, target["y"] + target["height"] / 2, steps=12)
    page.mouse.up()
    expect(page.locator(".react-flow__edge:not(.implied)")).to_have_count(1)
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    page.reload()
    expect(page.locator(".react-flow__edge:not(.implied)")).to_have_count(1)
    expect(page.locator("#nodes li")).to_have_count(2)
    flow.refresh_from_db()
    link = flow.links.get()
    assert (link.up.name, link.down.name) == ("Staging", "Marts")
    assert link.down.y > link.up.y + 40


def test_the_whole_guide_with_the_keyboard_alone(editor):
    page = editor
    press = page.keyboard.press

    def tab_to(locator, backwards=False):
        for _ in range(120):
            if locator.evaluate("element => element === document.activeElement"):
                return
            press("Shift+Tab" if backwards else "Tab")
        raise AssertionError(f"the keyboard does not reach {locator}")

    page.goto("/")
    tab_to(page.get_by_role("navigation", name="Main").get_by_role("link", name="Flows"))
    press("Enter")
    page.wait_for_url("**/flows/")
    tab_to(page.get_by_role("link", name="New flow").first)
    press("Enter")
    page.wait_for_url("**/flows/new/")
    tab_to(page.get_by_label("Name"))
    page.keyboard.type("By keyboard")
    tab_to(page.get_by_label("Write cron expression"))
    press("Space")
    tab_to(page.get_by_role("textbox", name="Cron expression"))
    page.keyboard.type("0 2 * * *")
    expect(page.locator("#schedule-preview")).to_contain_text("Every day at 02:00")
    tab_to(page.get_by_role("button", name="Continue"))
    press("Enter")
    page.wait_for_url(re.compile(r"/flows/\d+/$"))
    for name, include in (("Staging", "tag:staging"), ("Marts", "tag:mart")):
        tab_to(page.locator("summary", has_text="Add new"))
        press("Enter")
        tab_to(page.locator(".add-node").get_by_role("link", name="Transformation"))
        press("Enter")
        tab_to(page.locator("#panel").get_by_label("Name"))
        page.keyboard.type(name)
        tab_to(page.get_by_role("combobox", name="Include"))
        page.keyboard.type(include)
        press("Enter")
        expect(page.locator(".preview-rows li")).to_have_count(3)
        tab_to(page.locator("#panel").get_by_role("button", name="Save"))
        press("Enter")
        expect(page.locator("#panel .notice.success")).to_be_visible()
    tab_to(page.get_by_role("checkbox", name="Staging"))
    press("Space")
    tab_to(page.locator("#panel").get_by_role("button", name="Save"))
    press("Enter")
    expect(page.locator(".react-flow__edge:not(.implied)")).to_have_count(1)
    press("Escape")
    expect(page.locator("#panel form")).to_have_count(0)
    flow = Flow.objects.get()
    assert flow.links.get().down.name == "Marts" and flow.cron == "0 2 * * *"


def test_what_was_typed_survives_a_lost_session_and_the_back_button(editor, window):
    page = editor
    new_flow(page, "Draft")
    page.get_by_label("Description").fill("Half an hour of work")
    page.get_by_label("Runs every").select_option("week")
    page.get_by_label("Monday").uncheck()
    page.get_by_label("Friday").check()
    page.wait_for_timeout(400)  # drafts are kept a moment after the last key
    page.goto("/flows/")
    page.go_back()
    expect(page.get_by_label("Description")).to_have_value("Half an hour of work")
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")  # it ran out; the rest of the browser's memory stays
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/login/**")
    page.context.add_cookies(cookies)
    page.goto("/flows/new/")
    expect(page.get_by_label("Name")).to_have_value("Draft")
    expect(page.get_by_label("Friday")).to_be_checked()
    expect(page.get_by_label("Monday")).not_to_be_checked()
    expect(page.locator("#schedule-preview")).to_contain_text("Every Friday at 02:00")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(re.compile(r"/flows/\d+/$"))
    page.goto("/flows/new/")
    expect(page.get_by_label("Name")).to_have_value("")  # what was saved is no draft any more


def test_scripts_and_connections_have_complete_forms(editor, seen):
    page = editor
    project = parsed_shop().project
    Connection.objects.create(
        project=project, name="Shop", connector="sql_database", dataset="raw", streams=["orders", "customers"]
    )
    new_flow(page)
    page.get_by_role("button", name="Continue").click()
    add_node(page, "Connection", "Load")
    page.get_by_label("Connection", exact=True).select_option(label="Shop")
    type_chips(page, "Tables", "ord")
    page.get_by_role("option", name="orders").click()
    save(page)
    assert Flow.objects.get().nodes.get(name="Load").streams == ["orders"]
    add_node(page, "Custom Script", "Tell")
    page.locator("#panel").get_by_label("Package").select_option("revenue_report")
    expect(page.get_by_role("region", name="About revenue_report")).to_contain_text("give 2 parameters")
    save(page)
    assert axe(page) == []


def test_the_lineage_of_a_model_is_one_click_away(editor, seen):
    page = editor
    page.goto("/models/")
    page.get_by_label("Search models").fill("mart_orders")
    page.get_by_role("link", name="marts.mart_orders").click()
    expect(page.get_by_role("heading", name="marts.mart_orders", level=1)).to_be_visible()
    expect(page.locator("#lineage .react-flow__node").first).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("customer_id")
    seen(page, "guide-model", gallery=False)
    assert axe(page) == []
