"""The lineage of a model as a picture: searched, walked with the keyboard, looked at from afar."""

import re

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from tests.helpers.pages import Person
from tests.helpers.waiting import until
from tests.journeys.conftest import CONTRAST, axe, look_like
from tests.journeys.rows import parsed_shop


@pytest.fixture
def page(window, live_server) -> Page:
    parsed_shop()
    user = Person("vera").user
    user.groups.add(Group.objects.get(name="viewer"))
    page = window.open(user)
    page.goto("/models/model.shop.stg_orders/?up=all&down=all")
    expect(card(page, "staging.stg_orders")).to_be_visible()
    return page


def card(page: Page, name: str):
    return page.get_by_role("group", name=f"{name},")


def graph(page: Page):
    return page.get_by_role("application", name=re.compile("^Lineage"))


def current(page: Page):
    return page.locator(".react-flow__node.current")


def view(page: Page) -> str:
    return page.locator(".react-flow__viewport").evaluate("picture => picture.style.transform")


def test_a_search_goes_from_match_to_match(page):
    search = page.get_by_label("Search the graph")
    search.fill("mart_")
    found = page.locator(".lineage-found")
    expect(found).to_have_text("1 of 3")
    first = current(page).get_attribute("aria-label")
    search.press("Enter")
    expect(found).to_have_text("2 of 3")
    expect(current(page)).not_to_have_attribute("aria-label", first)
    expect(current(page)).to_be_in_viewport()
    search.press("Shift+Enter")
    expect(current(page)).to_have_attribute("aria-label", first)
    search.fill("tag:revenue")
    expect(found).to_have_text("1 of 1")
    expect(current(page)).to_have_attribute("aria-label", "marts.mart_revenue, model")
    search.fill("nothing like it")
    expect(found).to_have_text("None")


def test_arrow_keys_walk_up_and_down_the_lineage_and_enter_opens(page):
    graph(page).focus()
    page.keyboard.press("Home")
    expect(current(page)).to_have_attribute("aria-label", "staging.stg_orders, model")
    page.keyboard.press("ArrowLeft")
    expect(current(page)).to_have_attribute("aria-label", "raw_orders, seed")
    expect(page.locator(".lineage > [role=status]")).to_have_text(
        re.compile(r"^raw_orders, seed, 0 upstream, \d downstream$")
    )
    page.keyboard.press("ArrowLeft")  # there is nothing above a seed
    page.keyboard.press("ArrowRight")
    expect(current(page)).to_have_attribute("aria-label", "staging.stg_orders, model")
    page.keyboard.press("ArrowRight")
    expect(current(page)).to_have_attribute("aria-label", re.compile(r"^marts\."))
    page.keyboard.press("ArrowLeft")  # back to where one came from, not to another parent
    expect(current(page)).to_have_attribute("aria-label", "staging.stg_orders, model")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("raw_orders"))


def test_a_chosen_model_shows_what_lies_up_and_down_from_it(page):
    card(page, "marts.mart_orders").click()
    bar = page.locator(".selection-bar")
    expect(bar).to_contain_text("marts.mart_orders")
    expect(card(page, "raw_orders")).to_have_class(re.compile(r"\bnear\b"))
    expect(card(page, "marts.mart_customers")).not_to_have_class(re.compile(r"\bnear\b"))
    assert axe(page) == []
    look_like(page, "-dark")
    assert axe(page, CONTRAST) == []
    bar.get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("marts.mart_orders")


def test_the_wheel_is_the_pages_until_the_graph_is_used(page):
    page.set_viewport_size({"width": 1280, "height": 500})
    graph(page).scroll_into_view_if_needed()
    place = graph(page).bounding_box()
    page.mouse.move(place["x"] + 500, place["y"] + 60)
    before, scrolled = view(page), page.evaluate("scrollY")
    page.mouse.wheel(0, 120)
    until(lambda: page.evaluate("scrollY") != scrolled)
    assert view(page) == before
    place = graph(page).bounding_box()
    page.mouse.click(place["x"] + 500, place["y"] + 200)
    page.mouse.wheel(0, 120)
    until(lambda: view(page) != before)


def test_from_afar_models_are_blocks_that_can_still_be_chosen(page):
    zoom = page.locator(".zoom-percent")
    graph(page).focus()  # which may scroll the page
    box = card(page, "marts.mart_orders").bounding_box()
    for _ in range(8):
        page.keyboard.press("-")
    expect(zoom).to_have_text(re.compile(r"^\d{1,2} %$"))
    expect(page.locator(".react-flow__node")).to_have_count(0)
    pane = page.locator(".lineage").bounding_box()
    # The picture shrank around its middle, and the card with it.
    scale = int(zoom.inner_text().split()[0]) / 100
    middle = (pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2)
    started = box["width"] / 220
    x = middle[0] + (box["x"] + box["width"] / 2 - middle[0]) * scale / started
    y = middle[1] + (box["y"] + box["height"] / 2 - middle[1]) * scale / started
    page.mouse.click(x, y)
    expect(page.locator(".selection-bar")).to_contain_text("marts.mart_orders")
    page.get_by_role("button", name="Set it to 100 %").click()
    expect(page.locator(".react-flow__node").first).to_be_visible()


def test_a_graph_that_cannot_be_fetched_can_be_asked_for_again(page):
    page.route("**/graph/**", lambda route: route.abort())
    page.reload()
    expect(page.get_by_text("The graph could not be loaded.")).to_be_visible()
    page.unroute("**/graph/**")
    page.get_by_role("button", name="Retry").click()
    expect(card(page, "staging.stg_orders")).to_be_visible()
