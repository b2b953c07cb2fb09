"""Nodes and links as a person makes them on the pages of a flow; the selectors are real, on the sample shop."""

import json
from dataclasses import replace

import pytest

from flows.models import Environment, Flow, Revision
from nodes.models import Link, Node, Task
from nodes.services import save_node
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db


@pytest.fixture
def flow():
    return sample_flow()


@pytest.fixture
def ada():
    return Person("ada", "everything")


def tasks_of(name):
    """The models of a node that run; tests that stand between models have rows of their own."""
    tasks = Node.objects.get(name=name).tasks.filter(runs=True).exclude(resource_type="test")
    return sorted(tasks.values_list("identifier", flat=True))


def address(node):
    return f"/flows/{node.flow_id}/nodes/{node.pk}/"


def fill(person, path, **fields):
    """Open the form of a node, and save it with changes."""
    page = person.open(path)
    return person.post(page, page.form("node-form"), fields)


def add(person, flow, name="Chosen", **fields):
    return fill(person, f"/flows/{flow.pk}/nodes/new/transformation/", name=name, **fields)


def test_example_1_the_staging_models(ada, flow):
    page = add(ada, flow, include="tag:staging")
    assert "Saved: 3 models and 13 tests." in page.messages
    assert tasks_of("Chosen") == ["staging.stg_customers", "staging.stg_orders", "staging.stg_payments"]


def test_example_2_the_marts_without_revenue(ada, flow):
    add(ada, flow, include="tag:mart", exclude="tag:revenue")
    assert tasks_of("Chosen") == ["marts.mart_customers", "marts.mart_orders"]


@pytest.mark.parametrize(
    "typed",
    [
        "stg_orders\nstg_customers",
        " stg_orders \r\n\r\nstg_customers",
        "stg_orders\r\nstg_customers\r\n",
    ],
)
def test_chips_are_lines(ada, flow, typed):
    add(ada, flow, include=typed)
    assert sorted(Node.objects.get().include) == ["stg_customers", "stg_orders"]
    assert tasks_of("Chosen") == ["staging.stg_customers", "staging.stg_orders"]


def test_a_comma_in_a_line_means_and_as_in_dbt(ada, flow):
    add(ada, flow, include="tag:staging,stg_orders")
    assert tasks_of("Chosen") == ["staging.stg_orders"]


def test_an_empty_include_means_everything(ada, flow):
    add(ada, flow)
    assert Node.objects.get().include == []
    assert {"staging.stg_orders", "marts.mart_revenue"} <= set(tasks_of("Chosen"))


def test_the_page_of_a_node_shows_what_it_consists_of(ada, flow):
    add(ada, flow, include="tag:mart", exclude="tag:revenue")
    page = ada.open(address(Node.objects.get()))
    assert "mart_orders" in page.html and "mart_customers" in page.html
    assert page.form("node-form").fields["include"] == ["tag:mart"]
    row = ada.open(f"/admin/nodes/node/{Node.objects.get().pk}/change/")
    assert "marts.mart_orders" in row.shown("components") and "saved" in row.shown("changes")
    assert "models/marts/mart_customers.sql" in row.shown("components")


def test_a_node_is_changed_and_its_tasks_with_it(ada, flow):
    add(ada, flow, include="tag:staging")
    page = fill(ada, address(Node.objects.get()), include="stg_orders")
    assert "Saved: 1 model and 4 tests." in page.messages
    assert tasks_of("Chosen") == ["staging.stg_orders"]


WRONG = [
    ("tga:x", "tag"),
    ("++x", "++x"),
    ("tag:", "tag:"),
    ("@tag:mart+", "combined"),
    ("stg_orders\ntga:x", "tga:x"),
    ("x" * 3000, "2000 characters"),
    ("\n".join(f"tag:t{number}" for number in range(10_000)), "At most 100"),
    ("stg_orders\x00", "control character"),
    ("tag:staging+\n\ntga:<script>alert(1)</script>", "tga:<script>"),
]


@pytest.mark.parametrize("field", ["include", "exclude"])
@pytest.mark.parametrize(("typed", "says"), WRONG)
def test_an_invalid_selector_is_an_error_at_its_field_and_nothing_typed_is_lost(ada, flow, field, typed, says):
    page = add(ada, flow, **{"include": "tag:staging", "threads": "7", "retries": "2", field: typed})
    assert page.status == 422 and not Node.objects.exists()
    assert says in page.errors(field)[0]
    sent = page.form("node-form").fields
    assert sent[field] == [typed]
    assert (sent["name"], sent["threads"], sent["retries"]) == (["Chosen"], ["7"], ["2"])


@pytest.mark.parametrize(
    "fields",
    [
        {"include": "nothing_is_called_so"},
        {"include": "tag:nobody"},
        {"include": "path:../../etc"},
        {"include": "[" * 500},
        {"include": "+" * 50 + "stg_orders"},
        {"include": "stg_orders", "exclude": "stg_orders"},
        {"include": "tag:staging", "exclude": "tag:staging\ntag:mart"},
    ],
)
def test_an_empty_selection_is_an_error_beside_include(ada, flow, fields):
    page = add(ada, flow, **fields)
    assert page.status == 422 and not Node.objects.exists()
    assert page.errors("include")
    for name, typed in fields.items():
        assert page.form("node-form").fields[name] == [typed]


def test_a_selector_that_matches_nothing_beside_others_is_a_warning(ada, flow):
    typed = {"include": "tag:staging\nno_such_model"}
    add(ada, flow, **typed)
    assert tasks_of("Chosen") == ["staging.stg_customers", "staging.stg_orders", "staging.stg_payments"]
    page = ada.open(address(Node.objects.get()))
    form = replace(page.form("node-form"), action=f"/flows/{flow.pk}/preview/")
    assert "no_such_model" in ada.post(page, form, typed).html.partition("notice warning")[2]


def test_an_empty_selection_is_saved_when_that_is_allowed(ada, flow):
    page = add(ada, flow, include="tag:nobody", allow_empty="on")
    assert "Saved: nothing to do." in page.messages


def test_two_nodes_of_one_name_in_a_flow_are_refused(ada, flow):
    add(ada, flow, include="stg_orders")
    page = add(ada, flow, include="stg_customers")
    assert page.errors("name") == ["This flow already has a node named Chosen."]
    assert Node.objects.count() == 1


def test_a_node_needs_an_environment_that_was_parsed(ada, flow):
    Environment.objects.update(current_revision=None, sync_error="models/a.sql is broken")
    page = add(ada, flow, include="stg_orders")
    assert "Sync it first; models/a.sql is broken" in page.errors()[0]


def test_a_revision_that_is_gone_from_the_disk_says_what_to_do(ada, flow):
    Revision.objects.update(compact_path="/nowhere/manifest.compact")
    page = add(ada, flow, include="stg_orders")
    assert page.errors() == ["The parsed project of shop / main is no longer on disk. Sync the environment again."]


def test_a_node_stays_in_its_flow(ada, flow):
    other = sample_flow("Other")
    add(ada, flow, include="stg_orders")
    node = Node.objects.get()
    page = fill(ada, address(node), flow=str(other.pk), name="Renamed")
    node.refresh_from_db()
    assert page.status == 200 and (node.flow, node.name) == (flow, "Renamed")


def test_a_large_node_is_saved_and_shown_with_its_thousand_tasks(ada, flow):
    """What a page shows must not be posted back: Django refuses a form of more than a thousand fields."""
    add(ada, flow, include="stg_orders")
    node = Node.objects.get()
    rows = [Task(node=node, unique_id=f"model.x{n}", identifier=f"x{n}", resource_type="model") for n in range(1100)]
    Task.objects.bulk_create(rows)
    assert "x1099" in ada.open(f"/admin/nodes/node/{node.pk}/change/").shown("components")
    page = ada.open(address(node))
    assert len(page.form("node-form").fields) < 40
    assert "Saved: 1 model and 4 tests." in fill(ada, address(node)).messages


def test_a_page_that_was_open_while_a_run_expanded_the_node_can_still_be_saved(ada, flow):
    add(ada, flow, include="tag:staging")
    node = Node.objects.get()
    page = ada.open(address(node))
    node.tasks.all().delete()  # as a new revision does before it writes them anew
    saved = ada.post(page, page.form("node-form"), {"include": "stg_orders"})
    assert "Saved: 1 model and 4 tests." in saved.messages


@pytest.fixture
def two(flow):
    first = save_node(Node(flow=flow, name="First", include=["stg_orders"]))
    second = save_node(Node(flow=flow, name="Second", include=["stg_customers"]))
    return first, second


def operate(person, flow, **operation):
    """Do something on the canvas. Out: what went wrong; empty if nothing did."""
    person.open(f"/flows/{flow.pk}/")
    body = {"version": Flow.objects.get(pk=flow.pk).version, "operations": [operation]}
    headers = {"X-CSRFToken": person.client.cookies["csrftoken"].value}
    answer = person.client.post(f"/flows/{flow.pk}/canvas/", json.dumps(body), "application/json", headers=headers)
    return answer.json().get("error", "")


def draw(person, up, down):
    return operate(person, down.flow, op="link", up=up.pk, down=down.pk)


def test_a_link_is_drawn_and_taken_away(ada, two):
    first, second = two
    draw(ada, second, first)
    arrow = Link.objects.get()
    assert (arrow.up, arrow.down, arrow.flow) == (second, first, first.flow)
    assert "Second -&gt; First" in ada.open("/admin/nodes/link/").html
    assert operate(ada, first.flow, op="unlink", up=second.pk, down=first.pk) == ""
    assert not Link.objects.exists()


def test_a_circle_is_refused_with_its_names(ada, two):
    first, second = two
    draw(ada, first, second)
    said = draw(ada, second, first)
    assert "First" in said and "Second" in said
    assert Link.objects.count() == 1


def test_a_link_against_the_order_of_refs_is_refused_with_the_models_names(ada, flow):
    marts = save_node(Node(flow=flow, name="Marts", include=["mart_orders"]))
    staging = save_node(Node(flow=flow, name="Staging", include=["stg_orders"]))
    said = draw(ada, marts, staging)
    assert "mart_orders" in said and "stg_orders" in said
    assert not Link.objects.exists()


def test_a_node_that_would_close_a_circle_is_refused_where_it_is_typed(ada, flow):
    first = save_node(Node(flow=flow, name="First", include=["stg_orders"]))
    second = save_node(Node(flow=flow, name="Second", include=["stg_customers"]))
    draw(ada, second, first)
    page = fill(ada, address(second), include="mart_orders")
    (said, *_) = page.errors("include")
    assert "mart_orders" in said and "stg_orders" in said
    second.refresh_from_db()
    assert second.include == ["stg_customers"]


def test_links_to_itself_twice_and_across_flows_are_refused(ada, two):
    first, second = two
    assert draw(ada, first, first) == "A node cannot run after itself."
    draw(ada, first, second)
    draw(ada, first, second)
    elsewhere = save_node(Node(flow=sample_flow("Other"), name="First", include=["stg_orders"]))
    assert draw(ada, elsewhere, second) != ""
    assert [(link.up, link.down) for link in Link.objects.all()] == [(first, second)]


@pytest.mark.parametrize("way", ["page", "canvas"])
def test_a_model_goes_to_the_next_node_when_the_first_is_deleted(ada, flow, way):
    first = save_node(Node(flow=flow, name="First", include=["stg_orders"]))
    second = save_node(Node(flow=flow, name="Second", include=["stg_orders", "stg_customers"]))
    assert second.tasks.get(identifier="staging.stg_orders").built_by == "First"
    draw(ada, first, second)
    if way == "page":
        page = ada.open(address(first))
        ada.post(page, page.form("delete-node"), {})
    else:
        assert operate(ada, flow, op="delete", node=first.pk) == ""
    assert [node.name for node in flow.nodes.all()] == ["Second"]
    assert second.tasks.get(identifier="staging.stg_orders").built_by == ""
    assert not Link.objects.exists()


def test_names_that_look_like_html_stay_text(ada, flow):
    hostile = "<img src=x onerror=alert(1)>{{7*7}}"
    add(ada, flow, name=hostile, include="stg_orders")
    node = Node.objects.get()
    assert node.name == hostile
    other = save_node(Node(flow=flow, name="Second", include=["stg_customers"]))
    draw(ada, node, other)
    rows = "/admin/nodes/node/"
    for path in (
        *(rows, f"{rows}{node.pk}/change/", f"{rows}{node.pk}/history/", "/admin/nodes/link/"),
        *(address(node), f"/flows/{flow.pk}/", f"/flows/{flow.pk}/history/"),
    ):
        page = ada.open(path)
        assert page.inline == [] and hostile not in page.html, path
    assert hostile in draw(ada, other, node)


def test_rows_of_flows_nodes_and_links_are_only_looked_at_in_the_admin(ada, two):
    """Their own pages check conflicts and write history; a second way to edit would have to be kept equal."""
    first, second = two
    draw(ada, first, second)
    before = (Flow.objects.count(), Node.objects.count(), Link.objects.count())
    for path, row in (("flows/flow", first.flow), ("nodes/node", first), ("nodes/link", Link.objects.get())):
        page = ada.open(f"/admin/{path}/")
        assert page.status == 200 and not any("action" in form.fields for form in page.forms)
        shown = ada.open(f"/admin/{path}/{row.pk}/change/")
        assert shown.status == 200 and not [
            form for form in shown.forms if "_save" in form.fields or "name" in form.fields
        ]
        token = page.form("logout-form").fields["csrfmiddlewaretoken"][0]
        sent = {"csrfmiddlewaretoken": token, "name": "Changed", "post": "yes"}
        for page_of_row in ("add", f"{row.pk}/change", f"{row.pk}/delete"):
            assert ada.client.post(f"/admin/{path}/{page_of_row}/", sent).status_code == 403
        bulk = {**sent, "action": "delete_selected", "_selected_action": row.pk, "index": "0"}
        ada.client.post(f"/admin/{path}/", bulk)
    assert (Flow.objects.count(), Node.objects.count(), Link.objects.count()) == before
    assert not Node.objects.filter(name="Changed").exists() and not Flow.objects.filter(name="Changed").exists()
