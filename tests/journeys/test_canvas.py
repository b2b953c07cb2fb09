"""The canvas of a flow under hands: moved, linked, undone; by mouse, keys and touch, by two people, without a net."""

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from flows.access import Actor, acting_as
from flows.models import Flow
from nodes.models import Link, Node
from nodes.services import link, save_node
from tests.journeys.conftest import axe, look_like
from tests.journeys.rows import parsed_shop
from tests.pages import Person

NAMES = ["Raw data", "Staging", "Marts"]


@pytest.fixture
def flow(transactional_db) -> Flow:
    flow = Flow.objects.create(name="Daily shop", environment=parsed_shop())
    for name, include in zip(NAMES, (["resource_type:seed"], ["tag:staging"], ["tag:mart"]), strict=True):
        save_node(Node(flow=flow, name=name, include=include))
    return flow


def opened(window, flow, role="editor", **how) -> Page:
    person = Person(f"{role} {len(window.contexts)}")
    person.user.groups.add(Group.objects.get(name=role))
    page = window.open(person.user, **how)
    page.goto(f"/flows/{flow.pk}/")
    expect(card(page, "Staging")).to_be_visible()
    return page


def card(page: Page, name: str):
    return page.locator(".react-flow__node").filter(has=page.get_by_text(name, exact=True))


def edges(page: Page, kind=":not(.implied)"):
    return page.locator(f".react-flow__edge{kind}")


def saved(page: Page) -> None:
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()


def drag(page: Page, start, end) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=8)
    page.mouse.up()


def middle(locator):
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def port(page, name, kind):
    return middle(card(page, name).locator(f".react-flow__handle.{kind}"))


def place(name):
    node = Node.objects.get(name=name)
    return node.x, node.y


def test_the_implied_order_is_drawn_dashed_and_says_why(window, flow):
    page = opened(window, flow)
    expect(edges(page, ".implied")).to_have_count(2)
    middle_of = edges(page, ".implied").first
    middle_of.hover(force=True)
    expect(page.get_by_text("<-").first).to_be_visible()


def test_a_dragged_step_stays_where_it_was_dropped(window, flow):
    page = opened(window, flow)
    before, shown = place("Marts"), card(page, "Marts").bounding_box()
    drag(page, (shown["x"] + 70, shown["y"] + 14), (shown["x"] + 70, shown["y"] + 134))
    expect(page.get_by_role("button", name="Undo").first).to_have_attribute("aria-disabled", "false")
    saved(page)
    after = place("Marts")
    assert after[1] > before[1] + 50
    page.reload()
    saved(page)
    assert place("Marts") == after


def test_a_link_that_closes_a_circle_is_refused_where_it_is_dropped_and_named(window, flow):
    page = opened(window, flow)
    drag(page, port(page, "Marts", "source"), port(page, "Raw data", "target"))
    refusal = page.locator(".refusal")
    expect(refusal).to_contain_text("Raw data")
    expect(refusal).to_contain_text("Marts")
    assert not Link.objects.exists() and flow.changes.filter(said__startswith="Linked").count() == 0


def test_linking_undo_and_redo(window, flow):
    page = opened(window, flow)
    drag(page, port(page, "Raw data", "source"), port(page, "Marts", "target"))
    expect(edges(page)).to_have_count(1)
    saved(page)
    assert Link.objects.get().down.name == "Marts"
    page.locator(".react-flow__pane").click(position={"x": 300, "y": 60})
    page.keyboard.press("Control+z")
    expect(edges(page)).to_have_count(0)
    page.keyboard.press("Control+Shift+z")
    expect(edges(page)).to_have_count(1)
    saved(page)
    assert Link.objects.count() == 1


def test_linking_and_moving_with_the_keyboard_alone(window, flow):
    page = opened(window, flow)
    card(page, "Raw data").focus()
    page.keyboard.press("l")
    for _ in range(12):
        if page.evaluate("document.activeElement.textContent").startswith("Marts"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(edges(page)).to_have_count(1)
    saved(page)
    assert Link.objects.get().up.name == "Raw data"
    before = place("Staging")
    card(page, "Staging").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_timeout(900)  # a nudge is saved when the keys rest
    saved(page)
    assert place("Staging") == (before[0], before[1] + 40)


def test_duplicate_delete_and_the_way_back(window, flow):
    page = opened(window, flow)
    card(page, "Staging").focus()
    page.keyboard.press("Control+d")
    expect(card(page, "Staging copy")).to_be_visible()
    saved(page)
    card(page, "Staging copy").focus()
    page.keyboard.press("Delete")
    expect(card(page, "Staging copy")).to_have_count(0)
    saved(page)
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(card(page, "Staging copy")).to_be_visible()
    expect(page.locator("#steps li")).to_have_count(4)
    saved(page)
    assert Node.objects.filter(name="Staging copy").exists()


def test_two_people_who_move_different_steps_lose_nothing(window, flow):
    page = opened(window, flow)
    with acting_as(Actor("ann")):
        link(Node.objects.get(name="Raw data"), Node.objects.get(name="Marts"))
    shown = card(page, "Staging").bounding_box()
    drag(page, (shown["x"] + 70, shown["y"] + 14), (shown["x"] + 70, shown["y"] + 114))
    expect(edges(page)).to_have_count(1)  # what Ann did arrives with the answer
    saved(page)
    assert Link.objects.count() == 1 and place("Staging")[1] > 40


def test_deleting_what_somebody_else_just_changed_asks_first(window, flow):
    page = opened(window, flow)
    node = Node.objects.get(name="Marts")
    with acting_as(Actor("ann")):
        node.exclude = ["tag:revenue"]
        save_node(node)
    card(page, "Marts").focus()
    page.keyboard.press("Delete")
    dialog = page.get_by_role("dialog", name="Somebody else changed this too")
    expect(dialog).to_contain_text("ann")
    expect(dialog).to_contain_text("tag:revenue")
    dialog.get_by_role("button", name="Keep theirs").click()
    expect(card(page, "Marts")).to_be_visible()
    assert Node.objects.get(name="Marts").exclude == ["tag:revenue"]
    card(page, "Marts").focus()
    page.keyboard.press("Delete")
    expect(card(page, "Marts")).to_have_count(0)
    saved(page)
    assert not Node.objects.filter(name="Marts").exists()


def test_without_a_network_nothing_is_lost(window, flow):
    page = opened(window, flow)
    page.context.set_offline(True)
    shown = card(page, "Marts").bounding_box()
    before = place("Marts")
    drag(page, (shown["x"] + 70, shown["y"] + 14), (shown["x"] + 70, shown["y"] + 114))
    expect(page.get_by_text("Not saved.", exact=True)).to_be_visible()
    assert place("Marts") == before
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    page.context.set_offline(False)  # the canvas notices, and tries again by itself
    saved(page)
    assert place("Marts")[1] > before[1] + 40


def test_who_only_looks_cannot_change_anything(window, flow):
    page = opened(window, flow, role="viewer")
    expect(page.locator("summary", has_text="Add new")).to_have_count(0)
    shown = card(page, "Marts").bounding_box()
    before = place("Marts")
    drag(page, (shown["x"] + 70, shown["y"] + 14), (shown["x"] + 70, shown["y"] + 114))
    card(page, "Marts").focus()
    page.keyboard.press("Delete")
    page.wait_for_timeout(300)
    assert place("Marts") == before and Node.objects.count() == 3
    page.locator("#steps a", has_text="Marts").click()
    expect(page.locator("#panel").get_by_label("Name")).to_be_disabled()
    expect(page.locator("#panel").get_by_role("button", name="Save")).to_have_count(0)


def test_the_editor_is_open_to_everybody_in_light_and_dark_and_on_a_phone(window, flow, seen):
    link(Node.objects.get(name="Raw data"), Node.objects.get(name="Marts"))
    page = opened(window, flow)
    page.locator("#steps a", has_text="Staging").click()
    expect(page.locator(".preview-rows li")).to_have_count(3)
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        page.wait_for_timeout(200)
        seen(page, f"editor{suffix}")
        assert not axe(page), "\n".join([suffix, *axe(page)])
