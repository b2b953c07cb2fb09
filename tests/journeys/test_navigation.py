"""What frames every page, as people use it: log-in, menu, themes, choice of environment, search, times, messages."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from tests.helpers.pages import Person
from tests.helpers.paths import SAMPLE
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.journeys.rows import PASSWORD, everything


@pytest.fixture
def rows(live_server):
    return everything()


def palette(page):
    return page.get_by_role("dialog", name="Search")


def chosen(page):
    return page.locator(".palette-option[aria-selected=true] .name")


# --- coming and going ------------------------------------------------------------------------------------------
def test_somebody_logs_in_lands_where_they_were_going_and_logs_out(page, rows):
    page.goto("/admin/flows/environment/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Environments")
    page.get_by_label("Account of ada").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")
    page.get_by_role("link", name="Log in again").click()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")


def test_a_colleague_without_any_role_logs_in_and_is_told_what_is_missing(page, live_server):
    User.objects.create_user("newcomer", password=PASSWORD)
    page.goto("/")
    page.get_by_label("Username").fill("newcomer")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Nothing to show")
    expect(page.get_by_role("navigation", name="Main").get_by_role("link")).to_have_text(["dex", "Home"])
    page.get_by_label("Account of newcomer").click()
    page.get_by_role("link", name="Change password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Change password")
    page.get_by_label("Account of newcomer").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")


def test_the_menu_shows_what_one_may_open_and_marks_where_one_is(window, rows):
    page = window.open(rows.viewer)
    page.goto("/")
    menu = page.get_by_role("navigation", name="Main")
    expect(menu.get_by_role("link")).to_have_text(["dex", "Home", "Flows", "Runs", "Failures", "Calendar", "Models"])
    expect(menu.locator("[aria-current]")).to_have_text(["Home"])
    page.goto(f"/admin/runs/run/{rows.failed.pk}/change/")
    expect(menu.locator("[aria-current]")).to_have_text(["Runs"])


def test_the_keyboard_reaches_the_content_in_one_step(window, rows):
    page = window.open(rows.admin)
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


# --- theme, times, messages --------------------------------------------------------------------------------------
def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_a_chosen_theme_stays_and_the_systems_returns(window, rows):
    page = window.open(rows.admin)
    page.goto("/")
    light = background(page)
    page.get_by_label("Theme").click()
    page.get_by_role("button", name="Dark").click()
    dark = background(page)
    assert dark != light
    page.goto("/admin/auth/user/")
    assert background(page) == dark
    page.get_by_label("Theme").click()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="System").click()
    assert background(page) == light
    page.emulate_media(color_scheme="dark")
    assert background(page) == dark


def test_times_are_the_viewers_and_exact_on_hover(window, rows):
    page = window.open(rows.admin)
    page.goto(f"/admin/runs/run/{rows.failed.pk}/change/")
    shown = page.locator(".field-ended_at time")
    expect(shown).to_have_text(re.compile(r"^\d+ \w+, \d\d:\d\d$"))
    expect(shown).to_have_attribute("title", re.compile(r"(CET|CEST|GMT\+[12])$"))
    expect(page.locator(".field-tasks time").first).to_have_attribute("title", re.compile(r"(CET|CEST|GMT\+[12])$"))


def test_a_message_is_dismissed(window, rows):
    page = window.open(rows.admin)
    page.goto(f"/admin/runs/pool/{rows.pool.pk}/change/")
    page.get_by_role("button", name="Save", exact=True).click()
    said = page.get_by_role("status").filter(has_text="was changed successfully")
    expect(said).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(said).to_have_count(0)


def test_drop_downs_close_on_escape_on_a_click_elsewhere_and_when_left(window, rows):
    page = window.open(rows.admin)
    page.goto("/")
    account, button = page.get_by_label("Account of ada"), page.get_by_role("button", name="Log out")
    account.click()
    expect(button).to_be_visible()
    page.keyboard.press("Escape")
    expect(button).to_be_hidden()
    expect(account).to_be_focused()
    account.click()
    page.get_by_role("heading", level=1).click()
    expect(button).to_be_hidden()
    account.click()
    page.get_by_label("Theme").click()
    expect(button).to_be_hidden()


def test_a_fresh_installation_leads_its_administrator_to_the_first_project(window, seen):
    page = window.open(Person("root", "everything").user)
    page.goto("/")
    expect(page.get_by_role("heading", name="Add a project")).to_be_visible()
    assert axe(page) == []
    seen(page, "home-fresh")
    page.get_by_role("link", name="Add project").click()
    page.wait_for_url("**/flows/project/add/**")  # loaded: the form has moved the focus to its first field by then
    page.get_by_label("Name").fill("shop")
    page.get_by_label("Folder", exact=True).fill(f"{SAMPLE}/nowhere")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("does not exist on this machine")).to_be_visible()
    expect(page.get_by_label("Folder", exact=True)).to_be_focused()
    assert axe(page) == []
    seen(page, "form-refused", gallery=False)
    page.get_by_label("Folder", exact=True).fill(str(SAMPLE))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("was added successfully")
    page.goto("/admin/flows/environment/")
    expect(page.get_by_role("heading", name="No environments yet")).to_be_visible()
    assert axe(page) == []
    seen(page, "list-empty", gallery=False)
    page.goto("/")
    expect(page.get_by_role("heading", name="Add an environment")).to_be_visible()


def test_an_action_is_offered_once_rows_are_chosen(window, seen, rows):
    page = window.open(rows.admin)
    page.goto("/admin/flows/environment/?o=1")
    sync = page.get_by_role("button", name="Sync now")
    expect(sync).to_be_hidden()
    first = page.locator("#result_list tbody tr").first
    first.get_by_role("checkbox").check()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("No action selected")
    first.get_by_role("checkbox").check()
    expect(page.get_by_text("1 of 3 selected")).to_be_visible()
    assert axe(page) == []
    seen(page, "list-chosen", gallery=False)
    sync.click()
    expect(page.get_by_role("status")).to_contain_text("A worker syncs")


def test_a_list_is_filtered_and_the_filter_taken_off_again(window, rows):
    page = window.open(rows.admin)
    page.goto("/admin/runs/run/")
    page.locator("summary", has_text="State").click()
    page.get_by_role("link", name="Failed").click()
    expect(page.locator("summary", has_text="State: Failed")).to_be_visible()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(5)


def test_permissions_move_between_two_lists(window, rows):
    page = window.open(rows.admin)
    page.goto(f"/admin/auth/group/{rows.group.pk}/change/")
    page.locator("#id_permissions_input").fill("change flow")
    page.locator("#id_permissions_from").select_option(label="Can change flow")
    page.get_by_role("button", name="Choose selected permissions").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("was changed successfully")
    assert rows.group.permissions.filter(codename="change_flow").exists()


# --- the environment switch ----------------------------------------------------------------------------------------
def test_an_environment_is_chosen_for_the_session_and_left_again(window, rows):
    page = window.open(rows.admin)
    page.goto("/admin/auth/user/?q=ada")
    switch = page.locator(".environment summary")
    expect(switch).to_contain_text("All environments")
    switch.click()
    page.get_by_role("button", name="shop / main").click()
    expect(page).to_have_url(re.compile(r"/admin/auth/user/\?q=ada$"))
    expect(switch).to_contain_text("shop / main")
    page.goto("/")
    expect(switch).to_contain_text("shop / main")
    expect(page.get_by_text("Hourly orders")).to_have_count(0)
    switch.click()
    page.get_by_role("button", name="All environments").click()
    expect(page.get_by_text("Hourly orders").first).to_be_visible()


# --- search ----------------------------------------------------------------------------------------------------
def test_search_by_keyboard_finds_a_flow_and_opens_it(window, seen, rows):
    page = window.open(rows.admin)
    page.goto("/")
    page.keyboard.press("Control+k")
    expect(palette(page)).to_be_visible()
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.type("orders")
    expect(chosen(page)).to_have_text("Hourly orders")
    expect(page.get_by_role("option", name="staging.stg_orders")).to_be_visible()
    expect(page.locator(".palette mark").first).to_have_text("orders")
    assert axe(page) == []
    seen(page, "palette")
    look_like(page, "-dark")
    assert axe(page, CONTRAST) == []
    seen(page, "palette-dark")
    look_like(page, "")
    first = page.get_by_role("combobox").get_attribute("aria-activedescendant")
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("combobox").get_attribute("aria-activedescendant") != first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("option").last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/flows/{rows.failed.flow_id}/$"))


def test_search_finds_runs_by_number_and_actions_and_says_when_there_is_nothing(window, rows):
    page = window.open(rows.admin)
    page.goto("/admin/auth/user/")
    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("combobox").fill(f"#{rows.failed.pk}")
    expect(chosen(page)).to_have_text(f"Hourly orders #{rows.failed.pk}")
    page.get_by_role("combobox").fill("new flo")
    expect(chosen(page)).to_have_text("New flow")
    page.get_by_role("combobox").fill("<b>nothing</b>")
    expect(page.locator(".palette-none")).to_have_text("No results for \u201c<b>nothing</b>\u201d")
    page.keyboard.press("Escape")
    expect(palette(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Search").first).to_be_focused()


def test_search_says_when_the_server_does_not_answer(window, rows):
    page = window.open(rows.admin)
    page.goto("/")
    page.route("**/search/**", lambda route: route.abort())
    page.keyboard.press("Control+k")
    expect(page.locator(".palette-none")).to_have_text("The search failed. Try again in a moment.")


def test_a_search_after_the_session_ended_leads_to_the_login(window, rows):
    page = window.open(rows.admin)
    page.goto("/admin/auth/user/")
    page.context.clear_cookies()
    page.keyboard.press("Control+k")
    expect(page).to_have_url(re.compile(r"/admin/login/\?next=/admin/auth/user/$"))


# --- on a phone ----------------------------------------------------------------------------------------------------
def test_the_menu_is_a_drawer_on_a_phone(window, seen, rows):
    page = window.open(rows.admin, phone=True)
    page.goto("/")
    menu, button = page.get_by_role("navigation", name="Main"), page.get_by_role("button", name="Menu")
    expect(menu).to_be_hidden()
    button.click()
    expect(menu).to_be_visible()
    expect(menu.get_by_role("link", name="dex")).to_be_focused()
    assert axe(page) == []
    seen(page, "menu-phone")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()
    button.click()
    page.mouse.click(380, 600)
    expect(menu).to_be_hidden()
    button.click()
    menu.get_by_role("link", name="Environments").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Environments")


def test_search_fits_a_phone(window, seen, rows):
    page = window.open(rows.admin, phone=True)
    page.goto("/")
    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("combobox").fill("stg")
    expect(page.get_by_role("option").first).to_be_visible()
    assert sideways(page) <= 0
    assert axe(page) == []
    seen(page, "palette-phone")
    page.get_by_role("option").first.click()
    expect(page).to_have_url(re.compile("/models/"))
