"""Pictures of docs/screens: taken when a page is ready, and two that the README begins with."""

import pytest
from playwright.sync_api import expect

from flows.models import Flow
from nodes.models import Node
from nodes.services import arrange, save_node
from runs.management.demo import git_flow
from tests.helpers.pages import Person
from tests.helpers.waiting import patience
from tests.journeys.conftest import look_like, unfinished, wait_until_ready
from tests.journeys.rows import parsed_shop
from tests.runs.conftest import engine  # noqa: F401 - a fixture


@pytest.fixture
def page(window):
    return window.open(Person("ada", "everything").user)


@pytest.fixture
def flow():
    flow = Flow.objects.create(name="Daily shop", environment=parsed_shop())
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    return flow


@pytest.mark.parametrize(
    ("address", "asked", "waits"),
    [
        ("/flows/{flow}/", "**/canvas/**", "Loading the canvas…"),
        ("/models/model.shop.mart_orders/", "**/graph/**", "Loading the graph…"),
        ("/flows/{flow}/nodes/new/transformation/", "**/preview/**", "Selected models appear here."),
    ],
)
def test_no_picture_is_taken_of_a_page_that_still_loads(page, flow, seen, address, asked, waits):
    held = []
    page.route(asked, lambda route: held.append(route))  # the server does not answer
    page.goto(address.format(flow=flow.pk))
    expect(page.get_by_text(waits)).to_be_visible()
    assert any(waits in line for line in unfinished(page))
    with pytest.raises(AssertionError, match="is not ready"):
        wait_until_ready(page, seconds=0.1)
    for route in held:  # now it does
        route.continue_()
    seen(page, "answered", gallery=False)
    assert unfinished(page) == []


def test_no_picture_is_taken_of_a_board_whose_cards_are_out_of_sight(page, flow):
    page.goto(f"/flows/{flow.pk}/")
    wait_until_ready(page)
    page.locator(".react-flow__viewport").evaluate("viewport => viewport.style.transform = 'translate(9000px, 0)'")
    assert unfinished(page) == ["#canvas shows none of its cards"]


def test_the_readme_shows_a_flow_with_all_kinds_of_nodes_and_its_run_that_succeeded(engine, page, seen):  # noqa: F811
    flow = git_flow()
    assert flow is not None, "git is not installed"
    arrange(flow)
    page.goto(f"/flows/{flow.pk}/")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(120_000))
    page.goto(page.url.split("?")[0] + "?tab=graph")
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        page.reload()
        seen(page, f"readme-run{suffix}")
    page.goto(f"/flows/{flow.pk}/")
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        page.reload()
        expect(page.locator(".react-flow__node", has_text="Succeeded")).to_have_count(flow.nodes.count())
        seen(page, f"readme-flow{suffix}")
