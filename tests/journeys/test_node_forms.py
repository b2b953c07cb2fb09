"""The form of a node beside the canvas: what Enter does, how tests are counted, and that Save breaks no policy."""

import re

import pytest
from django.contrib.auth.models import Group
from django.db.models import Value
from django.db.models.functions import Concat
from playwright.sync_api import expect

from flows.models import Flow
from nodes.models import Node
from nodes.services import save_node
from tests.helpers.pages import Person
from tests.journeys.conftest import log_in
from tests.journeys.rows import parsed_shop
from tests.journeys.test_editor import drag, drag_by


@pytest.fixture
def flow(live_server):
    row = Flow.objects.create(name="Daily shop", environment=parsed_shop())
    save_node(Node(flow=row, name="Marts", include=["tag:mart"]))
    return row


@pytest.fixture
def page(window, flow):
    edda = Person("edda").user
    edda.groups.add(Group.objects.get(name="editor"))
    page = window.open(edda)
    page.goto(f"/flows/{flow.pk}/")
    page.locator(".node-name", has_text="Marts").click()
    expect(page.locator("#preview .preview-total")).to_be_visible()
    return page


def version(flow):
    return Flow.objects.values_list("version", flat=True).get(pk=flow.pk)


def test_enter_in_the_question_why_a_model_is_in_asks_it_and_saves_nothing(page, flow, judge):
    before = version(flow)
    page.get_by_label("Why is a model selected or not?").fill("stg_orders")
    page.keyboard.press("Enter")
    expect(page.locator("#preview .notice.info")).to_contain_text("stg_orders is not included.")
    expect(page.get_by_label("Why is a model selected or not?")).to_be_in_viewport(ratio=1)
    expect(page.locator("#preview .notice.info")).to_be_in_viewport(ratio=1)
    judge(page, "node-why")
    expect(page.get_by_text("Saved:")).to_have_count(0)
    assert version(flow) == before
    page.locator("#id_name").press("Enter")  # everywhere else it saves, as in any form
    expect(page.get_by_text("Saved:")).to_be_visible()


def test_the_preview_and_save_count_alike(page, flow, judge):
    total = page.locator("#preview .preview-total").inner_text()
    assert re.search(r"\d+ models?(,| and) \d+ tests?", total), total
    page.locator("#id_name").fill("Marts and their tests")
    page.locator("#save-node").click()
    expect(page.get_by_text(re.compile("^Saved: "))).to_have_text(f"Saved: {total}.", ignore_case=True)
    judge(page, "node-saved")
    page.goto(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/")  # and so does the form on a page of its own
    page.locator("#save-node").click()
    expect(page.locator(".messagelist")).to_contain_text(re.compile(f"Saved: {total}.", re.IGNORECASE))


def test_save_breaks_no_policy_when_fields_were_made_larger_and_the_card_was_moved_by_hand(page, flow):
    """What a hand or the browser makes of a field lies in its style; htmx would write it into the page again."""
    heard = []
    page.on("console", lambda said: heard.append(said.text))
    drag_by(page, "Marts", 40, 60)
    expect(page.locator(".save-state.saved")).to_be_visible()
    for box in page.locator("#panel details").all():
        box.evaluate("details => { details.open = true; }")
    areas = page.locator("#panel textarea:visible").all()
    assert areas, "no field that a hand can make larger"
    for area in areas:
        area.scroll_into_view_if_needed()
        edge = area.bounding_box()
        corner = edge["x"] + edge["width"] - 4, edge["y"] + edge["height"] - 4
        drag(page, corner, (corner[0], corner[1] + 30))
        assert area.evaluate("area => area.style.height"), "the browser did not make it larger"
    for name in ("Renamed", "Renamed twice", "Renamed again"):  # the form that Save brought is changed and saved, too
        page.locator("#id_name").fill(name)
        page.locator("#save-node").click()
        expect(page.locator(f'#id_name[value="{name}"]')).to_be_visible()
        expect(page.get_by_text("Saved:")).to_be_visible()
        expect(page.locator(".htmx-settling")).to_have_count(0)
        assert page.locator("#panel [style*=height]").count() == 0
        page.locator("#panel [id]").evaluate_all("all => all.forEach((each) => { each.style.height = 'auto'; })")
    assert page.evaluate("window.__violations") == [] and heard == []


def test_enter_in_the_form_of_a_script_saves_it_and_runs_nothing(page, flow):
    job = save_node(Node(flow=flow, name="Report", kind="script", package="revenue_report"))
    asked = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    boss = Person("boss", "everything").user
    log_in(page, boss)
    page.goto(f"/flows/{flow.pk}/nodes/{job.pk}/")
    expect(page.get_by_role("button", name="Run once")).to_be_visible()
    page.locator("#id_name").fill("Daily report")
    page.locator("#id_name").press("Enter")
    expect(page.get_by_role("heading", name="Daily report")).to_be_visible()
    assert not [each for each in asked if "/script-test/" in each]


def test_the_table_of_components_shows_its_last_column_on_a_laptop(page, flow, seen):
    flow.nodes.get().tasks.update(
        identifier=Concat(Value("int_orders_with_a_long_name_in_"), "identifier"),
        path=Concat(Value("models/a/folder/in/a/folder/"), "path"),
        needed_by=["mart_customers_with_lifetime_value", "mart_revenue_by_customer_and_day"],
        depends_on=["stg_orders_with_lifetime_of_customers", "stg_payments_by_customer_and_day"],
    )
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/")
    wrap = page.locator("#components .table-wrap")
    expect(wrap).to_be_visible()
    assert wrap.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    wrap.scroll_into_view_if_needed()
    seen(page, "node-components", gallery=False)


def chips(page, field):
    return page.get_by_role("combobox", name=field)


def paste(page, field, text):
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    chips(page, field).focus()
    page.keyboard.press("ControlOrMeta+V")


def test_a_comma_is_dbts_and_when_it_is_pasted_and_ends_a_value_when_it_is_typed(page, flow):
    node = flow.nodes.get()
    for _ in range(2):  # the value that was there, and the text that Backspace makes of it
        chips(page, "Include").press("Backspace")
        chips(page, "Include").fill("")
    chips(page, "Include").press_sequentially("tag:staging,tag:revenue,")
    expect(page.locator(".chip")).to_have_text([re.compile("tag:staging"), re.compile("tag:revenue")])
    for _ in range(2):
        chips(page, "Include").press("Backspace")
        chips(page, "Include").fill("")
    paste(page, "Include", "tag:mart,tag:revenue")
    expect(page.locator(".chip-question:visible")).to_contain_text("What does the comma mean?")
    page.get_by_role("button", name="And, as in dbt").click()
    expect(page.locator(".chip").first).to_contain_text("tag:mart and tag:revenue")
    expect(page.locator("#preview .preview-total")).to_contain_text("1 model")
    page.locator("#save-node").click()
    expect(page.get_by_text("Saved:")).to_be_visible()
    node.refresh_from_db()
    assert node.include == ["tag:mart,tag:revenue"]
    chips(page, "Include").press("Backspace")  # to be edited, in the spelling that can be typed
    expect(chips(page, "Include")).to_have_value("tag:mart & tag:revenue")
    chips(page, "Include").fill("")
    paste(page, "Include", "tag:mart,tag:revenue")
    page.get_by_role("button", name="Or: one value each").click()
    expect(page.locator(".chip")).to_have_count(2)
    paste(page, "Exclude", "a, b")  # to dbt this is nothing, so it can only be a list
    expect(page.locator(".chip")).to_have_count(4)
    paste(page, "Exclude", "c,d")
    page.locator("#id_name").focus()  # going on without an answer loses nothing
    expect(page.locator(".chip")).to_have_count(5)
