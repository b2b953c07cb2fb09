"""The page of a flow under hands: moved, linked, undone; by mouse, keys and touch, by two people, without a net."""

import re

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from flows.models import Flow
from nodes.models import Node
from nodes.services import link, save_node
from tests.helpers.pages import Person
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.journeys.rows import parsed_shop

LINKS = ".react-flow__edge:not(.implied, .preview)"


@pytest.fixture
def flow(live_server) -> Flow:
    """Staging and Marts, in the order of their refs; Report, which nothing orders yet."""
    row = Flow.objects.create(name="Daily shop", environment=parsed_shop())
    for name, include, x, y in (
        ("Staging", "tag:staging", 0, 1),
        ("Marts", "tag:mart", 320, 1),
        ("Report", "tag:nothing", 640, 160),
    ):
        save_node(Node(flow=row, name=name, include=[include], allow_empty=True, x=x, y=y))
    row.refresh_from_db()
    return row


def person(name: str, role: str = "editor"):
    user = Person(name).user
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def page(window, flow) -> Page:
    return opened(window.open(person("edda")), flow)


def opened(page: Page, flow: Flow) -> Page:
    page.goto(f"/flows/{flow.pk}/")
    expect(page.locator(".react-flow__node").first).to_be_visible()
    return page


def card(page: Page, name: str):
    return page.get_by_role("group", name=re.compile(f"^{re.escape(name)},"))


def port(page: Page, name: str, kind: str) -> tuple[float, float]:
    box = card(page, name).locator(f".react-flow__handle.{kind}").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def grip(page: Page, name: str) -> tuple[float, float]:
    """A place of a card where it can be taken."""
    box = card(page, name).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + 10


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=10)
    page.mouse.up()


def drag_by(page: Page, name: str, x: float, y: float) -> None:
    start = grip(page, name)
    drag(page, start, (start[0] + x, start[1] + y))


def saved(page: Page) -> None:
    expect(page.locator(".save-state.saved")).to_be_visible()


def said(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator(".canvas-box > [role=status]")).to_have_text(text)


def focus(page: Page, name: str) -> None:
    card(page, name).focus()
    expect(card(page, name)).to_be_focused()


def shown_at(page: Page, name: str) -> str:
    return card(page, name).evaluate("card => card.style.transform")


def names(flow: Flow) -> set[str]:
    return set(flow.nodes.values_list("name", flat=True))


def links(flow: Flow) -> set[tuple[str, str]]:
    return set(flow.links.values_list("up__name", "down__name"))


def place(flow: Flow, name: str) -> tuple[float, float]:
    return flow.nodes.values_list("x", "y").get(name=name)


# --- moving ------------------------------------------------------------------------------------------------------
def test_a_card_that_was_dragged_is_where_it_was_after_a_reload(page, flow):
    before = place(flow, "Report")
    drag_by(page, "Report", 90, -120)
    saved(page)
    after = place(flow, "Report")
    assert after[0] > before[0] + 40 and after[1] < before[1] - 40
    moved = shown_at(page, "Report")
    opened(page, flow)
    assert shown_at(page, "Report") == moved
    assert place(flow, "Staging") == (0, 1)


def test_cards_chosen_together_move_together_and_go_back_in_one_step(page, flow):
    page.keyboard.down("Shift")
    page.mouse.click(*grip(page, "Staging"))
    page.mouse.click(*grip(page, "Marts"))
    page.keyboard.up("Shift")
    expect(page.locator(".selection-bar")).to_contain_text("2 nodes")
    version = Flow.objects.get().version
    drag_by(page, "Marts", 0, 120)
    saved(page)
    assert place(flow, "Staging")[1] == place(flow, "Marts")[1] > 60
    assert Flow.objects.get().version == version + 1
    page.keyboard.press("Control+z")
    expect(page.locator(".toast")).to_contain_text("Undone: Moved 2 nodes")
    assert place(flow, "Staging") == (0, 1) and place(flow, "Marts") == (320, 1)


def test_a_frame_drawn_with_shift_chooses_what_is_in_it(page, flow):
    first, last = (card(page, name).bounding_box() for name in ("Staging", "Marts"))
    page.keyboard.down("Shift")
    drag(page, (first["x"] - 12, first["y"] - 30), (last["x"] + 60, last["y"] + last["height"] + 12))
    page.keyboard.up("Shift")
    expect(page.locator(".selection-bar")).to_contain_text("2 nodes")
    page.keyboard.press("Control+a")
    expect(page.locator(".selection-bar")).to_contain_text("3 nodes")
    page.keyboard.press("Escape")
    expect(page.locator(".selection-bar")).to_have_count(0)


def test_arrow_keys_move_by_8_and_with_shift_by_32_and_are_one_step(page, flow):
    focus(page, "Report")
    version = Flow.objects.get().version
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_timeout(600)  # the keys rest
    saved(page)
    assert place(flow, "Report") == (656, 184)
    assert Flow.objects.get().version == version + 1


def test_arrange_puts_the_nodes_in_order_and_undo_puts_them_back(page, flow):
    page.get_by_role("button", name="Arrange").click()
    said(page, re.compile("."))
    saved(page)
    assert place(flow, "Staging")[0] < place(flow, "Marts")[0]
    assert place(flow, "Report") != (640, 160)
    page.get_by_role("button", name="Undo", exact=True).first.click()
    expect(page.locator(".toast")).to_contain_text("Undone: Arranged the nodes")
    assert place(flow, "Report") == (640, 160)


# --- linking -----------------------------------------------------------------------------------------------------
def test_dragging_from_port_to_port_links(page, flow):
    drag(page, port(page, "Marts", "source"), port(page, "Report", "target"))
    expect(page.locator(LINKS)).to_have_count(1)
    saved(page)
    assert links(flow) == {("Marts", "Report")}


def test_a_link_may_be_dropped_anywhere_on_a_card_and_drawn_backwards(page, flow):
    drag(page, port(page, "Report", "target"), grip(page, "Marts"))
    expect(page.locator(LINKS)).to_have_count(1)
    saved(page)
    assert links(flow) == {("Marts", "Report")}


def test_two_clicks_link_too(page, flow):
    page.mouse.click(*port(page, "Marts", "source"))
    expect(page.locator(".selection-bar")).to_contain_text("Choose what runs after Marts")
    page.mouse.click(*grip(page, "Report"))
    expect(page.locator(LINKS)).to_have_count(1)
    saved(page)
    assert links(flow) == {("Marts", "Report")}


def test_a_circle_is_refused_where_it_is_dropped_and_named(page, flow):
    drag(page, port(page, "Marts", "source"), port(page, "Report", "target"))
    saved(page)
    version = Flow.objects.get().version
    drag(page, port(page, "Report", "source"), port(page, "Staging", "target"))
    refusal = page.locator(".refusal")
    expect(refusal).to_contain_text("Staging already runs before Report")
    expect(refusal).to_contain_text("Report → Staging → Marts → Report")
    near, (x, y) = refusal.bounding_box(), port(page, "Staging", "target")
    assert abs(near["y"] - y) < 60 and near["x"] < x + 200
    assert Flow.objects.get().version == version and links(flow) == {("Marts", "Report")}
    page.keyboard.press("Escape")
    expect(refusal).to_have_count(0)


def test_what_only_the_server_knows_to_be_a_circle_is_refused_too(page, flow):
    # In another window somebody linked it the other way round; this one does not know yet.
    link(flow.nodes.get(name="Report"), flow.nodes.get(name="Marts"))
    drag(page, port(page, "Marts", "source"), port(page, "Report", "target"))
    expect(page.locator(".refusal")).to_contain_text("would create a cycle")
    expect(page.locator(LINKS)).to_have_count(1)  # theirs; the picture is the server's again
    assert links(flow) == {("Report", "Marts")}


def test_the_keyboard_alone_links(page, flow):
    focus(page, "Marts")
    page.keyboard.press("l")
    said(page, re.compile("Linking Marts"))
    page.keyboard.press("Tab")
    expect(card(page, "Report")).to_be_focused()
    expect(page.locator(".react-flow__edge.preview")).to_have_count(1)
    page.keyboard.press("Enter")
    saved(page)
    expect(page.locator(LINKS)).to_have_count(1)
    assert links(flow) == {("Marts", "Report")}
    said(page, re.compile("[Ll]inked Marts"))
    focus(page, "Report")
    page.keyboard.press("l")
    page.keyboard.press("Escape")
    said(page, "Linking cancelled")
    page.keyboard.press("l")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    said(page, re.compile("Marts already runs before Report"))


def test_implied_order_says_why_when_it_is_pointed_at_and_when_the_keyboard_walks_there(page, flow):
    implied = page.locator(".react-flow__edge.implied")
    expect(implied).to_have_count(1)
    start, end = port(page, "Staging", "source"), port(page, "Marts", "target")
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    expect(page.locator(".link-note")).to_contain_text(re.compile(r"marts\.mart_\w+ <- staging\.stg_\w+"))
    page.mouse.move(5, 5)
    expect(page.locator(".link-note")).to_have_count(0)
    focus(page, "Staging")
    page.keyboard.press("e")
    expect(implied).to_be_focused()
    expect(implied).to_have_attribute("aria-label", re.compile("Staging runs before Marts, because marts"))
    expect(page.locator(".link-note")).to_be_visible()
    page.keyboard.press("Delete")
    said(page, re.compile("To remove it, change the models"))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(card(page, "Staging")).to_be_focused()


def test_a_link_is_removed_by_key_and_button_and_comes_back_by_undo(page, flow):
    link(flow.nodes.get(name="Marts"), flow.nodes.get(name="Report"))
    opened(page, flow)
    focus(page, "Report")
    page.keyboard.press("e")
    page.keyboard.press("Delete")
    expect(page.locator(LINKS)).to_have_count(0)
    saved(page)
    assert links(flow) == set()
    expect(card(page, "Report")).to_be_focused()
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(LINKS)).to_have_count(1)
    assert links(flow) == {("Marts", "Report")}
    page.locator(LINKS).locator(".link-reach").click(force=True)
    page.get_by_role("button", name="Remove link").click()
    expect(page.locator(LINKS)).to_have_count(0)
    saved(page)
    assert links(flow) == set()


# --- undoing -------------------------------------------------------------------------------------------------------
def test_steps_are_undone_and_done_again_by_keys_and_buttons(page, flow):
    undo, redo = (page.locator(".tools").get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    expect(undo).to_have_attribute("aria-disabled", "true")
    drag(page, port(page, "Marts", "source"), port(page, "Report", "target"))
    saved(page)
    drag_by(page, "Report", 40, 60)
    saved(page)
    moved = place(flow, "Report")
    page.keyboard.press("Control+z")
    expect(page.locator(".toast")).to_contain_text("Undone: Moved Report")
    page.keyboard.press("Control+z")
    expect(page.locator(".toast")).to_contain_text("Undone: Linked Marts → Report")
    assert links(flow) == set() and place(flow, "Report") == (640, 160)
    expect(undo).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Control+y")
    expect(page.locator(".toast")).to_contain_text("Redone: Linked")
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".toast")).to_contain_text("Redone: Moved")
    assert links(flow) == {("Marts", "Report")} and place(flow, "Report") == moved
    expect(redo).to_have_attribute("aria-disabled", "true")
    undo.click()
    redo.click()
    expect(page.locator(".toast")).to_contain_text("Redone: Moved")
    saved(page)
    assert place(flow, "Report") == moved


def test_two_quick_undos_take_back_two_steps(page, flow):
    for _ in range(2):
        drag_by(page, "Report", 40, 40)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    undo = page.locator(".tools").get_by_role("button", name="Undo", exact=True)
    expect(undo).to_have_attribute("aria-disabled", "true")
    saved(page)
    assert place(flow, "Report") == (640, 160)


def test_undo_does_not_take_back_what_somebody_else_did(window, page, flow):
    drag_by(page, "Report", 40, 60)
    saved(page)
    other = opened(window.open(person("otto")), flow)
    drag(other, port(other, "Staging", "source"), port(other, "Report", "target"))
    saved(other)
    page.keyboard.press("Control+z")
    expect(page.get_by_role("dialog")).to_contain_text("otto")
    page.get_by_role("button", name="Keep theirs").click()
    expect(page.locator(LINKS)).to_have_count(1)
    assert links(flow) == {("Staging", "Report")}


# --- copying and deleting ------------------------------------------------------------------------------------------
def test_a_node_is_duplicated_beside_itself(page, flow):
    focus(page, "Staging")
    page.keyboard.press("Control+d")
    expect(page.locator(".react-flow__node")).to_have_count(4)
    saved(page)
    (copy,) = names(flow) - {"Staging", "Marts", "Report"}
    assert flow.nodes.get(name=copy).include == ["tag:staging"]
    expect(card(page, copy)).to_be_focused()
    expect(page.locator("#nodes li")).to_have_count(4)
    first, second = card(page, "Staging").bounding_box(), card(page, copy).bounding_box()
    assert second["y"] >= first["y"] + first["height"]


def test_a_deleted_node_comes_back_with_its_links(page, flow):
    link(flow.nodes.get(name="Marts"), flow.nodes.get(name="Report"))
    opened(page, flow)
    focus(page, "Marts")
    page.keyboard.press("Delete")
    toast = page.locator(".toast")
    expect(toast).to_contain_text("Deleted Marts")
    expect(card(page, "Marts")).to_have_count(0)
    saved(page)
    assert names(flow) == {"Staging", "Report"}
    expect(page.locator("#nodes")).not_to_contain_text("Marts")
    toast.get_by_role("button", name="Undo").click()
    expect(card(page, "Marts")).to_be_visible()
    expect(page.locator(LINKS)).to_have_count(1)
    assert names(flow) == {"Staging", "Marts", "Report"} and links(flow) == {("Marts", "Report")}


def test_several_nodes_are_deleted_as_one(page, flow):
    page.mouse.click(*grip(page, "Staging"))
    page.keyboard.press("Control+a")
    page.locator(".selection-bar").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Add your first node")).to_be_visible()
    saved(page)
    assert names(flow) == set()
    page.keyboard.press("Control+z")
    expect(page.locator(".react-flow__node")).to_have_count(3)
    assert names(flow) == {"Staging", "Marts", "Report"}


# --- two people, no network, no session ----------------------------------------------------------------------------
def test_two_people_who_touch_different_things_both_keep_their_work(window, page, flow):
    other = opened(window.open(person("otto")), flow)
    drag_by(other, "Report", 40, 60)
    saved(other)
    drag(page, port(page, "Staging", "source"), port(page, "Report", "target"))
    saved(page)
    assert links(flow) == {("Staging", "Report")} and place(flow, "Report") != (640, 160)
    assert shown_at(page, "Report") == shown_at(other, "Report")


@pytest.mark.parametrize("choice", ["Keep theirs", "Apply mine too"])
def test_two_people_who_move_the_same_card_are_told_and_choose(window, page, flow, choice):
    other = opened(window.open(person("otto")), flow)
    drag_by(other, "Report", 40, 80)
    saved(other)
    theirs = place(flow, "Report")
    drag_by(page, "Report", -80, -80)
    dialog = page.get_by_role("dialog", name="Someone else changed this too")
    expect(dialog).to_contain_text("otto")
    assert axe(page) == []
    assert place(flow, "Report") == theirs
    dialog.get_by_role("button", name=choice).click()
    expect(dialog).to_have_count(0)
    saved(page)
    now = place(flow, "Report")
    assert (now == theirs) == (choice == "Keep theirs")
    assert shown_at(page, "Report") == f"translate({now[0]:g}px, {now[1]:g}px)"


def test_without_a_network_changes_wait_and_are_sent_later(page, flow):
    page.route("**/canvas/", lambda route: route.abort())
    drag_by(page, "Report", 40, 60)
    drag(page, port(page, "Marts", "source"), port(page, "Report", "target"))
    state = page.locator(".save-state")
    expect(state).to_contain_text("Not saved")
    expect(page.locator(LINKS)).to_have_count(1)  # what was done stays on the screen
    assert links(flow) == set()
    assert axe(page) == []
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_role("link", name="Models").click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    page.unroute("**/canvas/")
    state.get_by_role("button", name="Retry").click()
    saved(page)
    assert links(flow) == {("Marts", "Report")} and place(flow, "Report") != (640, 160)


def test_a_session_that_ended_loses_nothing(page, flow):
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    drag(page, port(page, "Marts", "source"), port(page, "Report", "target"))
    state = page.locator(".save-state")
    expect(state).to_contain_text("Your session ended. Log in again in another tab")
    state.get_by_role("button", name="Retry").click()
    expect(state).to_contain_text("Your session ended")
    page.context.add_cookies(cookies)
    page.context.clear_cookies(name="csrftoken")  # who logs in again gets another one
    state.get_by_role("button", name="Retry").click()
    saved(page)
    assert links(flow) == {("Marts", "Report")}


def test_a_viewer_looks_and_cannot_touch(window, flow):
    page = opened(window.open(person("vera", "viewer")), flow)
    before = shown_at(page, "Report")
    expect(page.locator(".save-state")).to_have_text("View only")
    drag_by(page, "Report", 60, 60)
    assert shown_at(page, "Report") == before
    focus(page, "Report")
    for key in ("ArrowRight", "Delete", "Control+d", "l", "Control+z"):
        page.keyboard.press(key)
    expect(page.locator(".react-flow__node")).to_have_count(3)
    expect(page.get_by_role("button", name="Arrange")).to_have_count(0)
    expect(page.locator("#nodes details")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#panel").get_by_role("button", name="Save")).to_have_count(0)
    assert axe(page) == []
    assert place(flow, "Report") == (640, 160) and len(names(flow)) == 3


# --- cards, list and panel -------------------------------------------------------------------------------------------
def test_an_unfolded_node_shows_its_models(page, flow):
    page.locator(".zoom-percent").click()
    focus(page, "Staging")
    page.keyboard.press("m")
    models = page.get_by_role("list", name="Models of Staging")
    expect(models.get_by_role("link").first).to_contain_text("staging.stg_customers")
    assert axe(page) == []
    page.keyboard.press("m")
    expect(models).to_have_count(0)
    card(page, "Staging").get_by_role("button", name=re.compile("show the models")).click()
    models.get_by_role("link", name="staging.stg_orders").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("staging.stg_orders")


def test_a_problem_is_said_on_the_card_and_in_the_list(page, flow):
    Node.objects.filter(flow=flow, name="Report").update(include=["tga:nothing"])
    Flow.objects.update(version=99)
    opened(page, flow)
    expect(card(page, "Report").locator(".node-problem")).to_contain_text("tga")
    expect(page.locator("#nodes .node-warning")).to_have_count(1)


def test_enter_opens_the_form_and_escape_leads_back(page, flow):
    focus(page, "Staging")
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    expect(panel.get_by_label("Name")).to_be_focused()
    expect(panel.get_by_label("Name")).to_have_value("Staging")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(card(page, "Staging")).to_be_focused()


def test_a_saved_form_changes_card_and_list_and_can_be_undone(page, flow):
    page.mouse.dblclick(*grip(page, "Staging"))
    panel = page.locator("#panel")
    panel.get_by_label("Name").fill("First of all")
    panel.get_by_role("button", name="Save").click()
    expect(panel.locator(".notice.success")).to_be_visible()
    expect(card(page, "First of all")).to_be_visible()
    expect(page.locator("#nodes")).to_contain_text("First of all")
    page.locator(".tools").get_by_role("button", name="Undo", exact=True).click()
    expect(card(page, "Staging")).to_be_visible()
    expect(panel.get_by_label("Name")).to_have_value("Staging")
    assert names(flow) == {"Staging", "Marts", "Report"}


def test_what_was_typed_into_a_form_is_not_left_without_asking(page, flow):
    page.mouse.dblclick(*grip(page, "Staging"))
    panel, ask = page.locator("#panel"), page.get_by_role("dialog", name="Leave without saving?")
    panel.get_by_label("Name").fill("Half typed")
    page.keyboard.press("Escape")
    expect(ask).to_be_visible()
    ask.get_by_role("button", name="Keep editing").click()
    expect(panel.get_by_label("Name")).to_have_value("Half typed")
    page.locator("#nodes").get_by_role("link", name="Marts").click()
    ask.get_by_role("button", name="Discard changes").click()
    expect(panel.get_by_label("Name")).to_have_value("Marts")
    page.locator("#nodes").get_by_role("link", name="Staging").click()
    expect(panel.get_by_label("Name")).to_have_value("Staging")  # the draft was dropped with it


def test_a_link_drawn_while_the_form_is_open_shows_in_it(page, flow):
    page.mouse.dblclick(*grip(page, "Report"))
    panel = page.locator("#panel")
    expect(panel.get_by_role("checkbox", name="Marts")).not_to_be_checked()
    focus(page, "Marts")
    page.keyboard.press("l")
    focus(page, "Report")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("checkbox", name="Marts")).to_be_checked()


def test_the_list_finds_duplicates_and_deletes(page, flow):
    page.get_by_label("Search nodes").fill("mar")
    expect(page.locator("#nodes li:visible")).to_have_count(1)
    page.get_by_label("Search nodes").fill("xyz")
    expect(page.get_by_text("No nodes match.")).to_be_visible()
    page.get_by_label("Search nodes").fill("")
    page.get_by_label("Actions for Report").click()
    page.locator("#nodes").get_by_role("button", name="Duplicate").click()
    expect(page.locator("#nodes li")).to_have_count(4)
    page.get_by_label("Actions for Report", exact=True).click()
    page.locator("#nodes").get_by_role("button", name="Delete").click()
    expect(page.locator("#nodes li")).to_have_count(3)
    saved(page)
    assert "Report" not in names(flow) and len(names(flow)) == 3


def test_an_empty_flow_says_what_to_do(window, flow):
    flow.nodes.all().delete()
    page = window.open(person("edda"))
    page.goto(f"/flows/{flow.pk}/")
    expect(page.get_by_role("heading", name="Add your first node")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("button", name="Custom Script").click()
    expect(page.get_by_role("heading", name="New Custom Script node")).to_be_visible()


def test_zoom_fit_and_the_list_of_keys(page, flow):
    percent = page.locator(".zoom-percent")
    before = percent.inner_text()
    page.get_by_role("button", name="Zoom in").click()
    expect(percent).not_to_have_text(before)
    page.get_by_role("button", name="Fit", exact=True).click()
    expect(percent).to_have_text(before)
    percent.click()
    expect(percent).to_have_text("100 %")
    focus(page, "Staging")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(keys).to_contain_text("Link the node")
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)


# --- screens and fingers ---------------------------------------------------------------------------------------------
def test_the_editor_is_accessible_light_dark_and_on_a_phone(page, flow):
    link(flow.nodes.get(name="Marts"), flow.nodes.get(name="Report"))
    opened(page, flow)
    page.mouse.click(*grip(page, "Marts"))
    assert axe(page) == []
    look_like(page, "-dark")
    assert axe(page, CONTRAST) == []
    focus(page, "Marts")
    page.keyboard.press("Enter")
    expect(page.locator("#panel form")).to_be_visible()
    assert axe(page, CONTRAST) == []
    look_like(page, "")
    assert axe(page) == []
    look_like(page, "-phone")
    assert axe(page) == [] and sideways(page) == 0
    page.locator("#panel").get_by_label("Close").click()
    assert axe(page) == [] and sideways(page) == 0
    page.get_by_role("button", name="Nodes", exact=True).click()
    expect(page.locator("#nodes")).to_be_visible()
    assert axe(page) == [] and sideways(page) == 0


def finger(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """One finger goes from here to there."""
    touch = page.context.new_cdp_session(page)
    points = [(start[0] + (end[0] - start[0]) * n / 8, start[1] + (end[1] - start[1]) * n / 8) for n in range(9)]
    for n, (x, y) in enumerate(points):
        kind = "touchMove" if n else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_moves_cards_pans_and_links(window, flow):
    page = opened(window.open(person("edda"), phone=True), flow)
    before = place(flow, "Staging")
    start = grip(page, "Staging")  # on a phone the picture begins with the first node
    finger(page, start, (start[0] + 20, start[1] + 70))
    saved(page)
    assert place(flow, "Staging")[1] > before[1] + 40
    viewport = page.locator(".react-flow__viewport")
    view = viewport.evaluate("picture => picture.style.transform")
    box = page.locator("#canvas").bounding_box()
    corner = (box["x"] + 200, box["y"] + box["height"] / 4)
    finger(page, corner, (corner[0] - 60, corner[1] + 20))
    assert viewport.evaluate("picture => picture.style.transform") != view
    page.touchscreen.tap(*grip(page, "Staging"))
    page.locator(".selection-bar").get_by_role("button", name="Link").tap()
    page.touchscreen.tap(*grip(page, "Marts"))
    expect(page.locator(LINKS)).to_have_count(1)
    saved(page)
    assert links(flow) == {("Staging", "Marts")}
