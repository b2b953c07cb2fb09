"""Edits of a flow: one version and one row of history each, told apart, taken back, and never lost."""

import json
import threading
from collections import Counter

import pytest
from django.core.exceptions import ValidationError
from django.db import connections

from flows.access import Actor, acting_as
from flows.models import Flow
from nodes import ordering, services
from nodes.canvas import perform, picture
from nodes.document import document_of
from nodes.editing import Base, EditConflict
from nodes.expansion import refresh_flow
from nodes.kinds import transformation
from nodes.models import Change, Expansion, Link, Node, Task
from nodes.services import check_node, delete_node
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db
ANN, BOB = Actor("ann"), Actor("bob")


@pytest.fixture
def flow():
    return sample_flow("Daily shop")


def node(flow, name, *include, **fields):
    return services.save_node(Node(flow=flow, name=name, include=list(include), **fields))


@pytest.fixture
def staging(flow):
    return node(flow, "Staging", "tag:staging")


@pytest.fixture
def marts(flow, staging):
    return node(flow, "Marts", "tag:mart")


def said(flow):
    return [change.said for change in flow.changes.order_by("version")]


def test_every_edit_is_a_row_of_history_with_who_what_and_the_flow_as_it_was(flow, staging, marts):
    with acting_as(ANN):
        services.link(staging, marts)
    with acting_as(BOB):
        marts.exclude = ["tag:revenue"]
        services.save_node(marts)
    rows = list(flow.changes.order_by("version"))
    assert [(row.actor, row.said) for row in rows[-2:]] == [
        ("ann", "Linked Staging to Marts"),
        ("bob", "Marts: exclude: nothing → tag:revenue"),
    ]
    assert rows[-1].document["nodes"][1]["exclude"] == ["tag:revenue"]
    assert [row.version for row in rows] == sorted({row.version for row in rows})
    flow.refresh_from_db()
    assert flow.version == rows[-1].version


def test_an_edit_that_changes_nothing_leaves_no_trace(flow, staging, marts):
    before = flow.changes.count()
    services.save_node(staging)
    services.move_nodes(flow, {staging.pk: (staging.x, staging.y)})
    services.save_flow(flow)
    assert flow.changes.count() == before


def test_an_edit_that_fails_changes_nothing(flow, staging, marts):
    services.link(staging, marts)
    before, version = document_of(flow), Flow.objects.get().version
    with pytest.raises(ValidationError, match=r"Staging -> Marts -> Staging|Marts -> Staging -> Marts"):
        services.link(marts, staging)
    assert document_of(flow) == before and Flow.objects.get().version == version


def test_a_version_can_be_restored_and_the_restoring_taken_back(flow, staging, marts):
    services.link(staging, marts)
    flow.refresh_from_db()
    whole, version = document_of(flow), flow.version
    services.delete_node(staging)
    services.save_flow(Flow.objects.get())
    assert not Link.objects.exists()
    services.restore_flow(flow, version)
    back = document_of(Flow.objects.get())
    strip = lambda document: [{k: v for k, v in n.items() if k != "id"} for n in document["nodes"]]  # noqa: E731
    assert strip(back) == strip(whole)
    assert Task.objects.filter(node__name="Staging").exists()
    assert said(flow)[-1] == f"Restored version {version}"
    services.restore_flow(flow, version + 1)
    assert [n.name for n in flow.nodes.all()] == ["Marts"]


def test_history_outlives_the_flow(flow, staging):
    services.delete_flow(flow)
    last = Change.objects.first()
    assert (last.flow, last.flow_name, last.said) == (None, "Daily shop", "Deleted the flow")
    assert [entry["name"] for entry in last.document["nodes"]] == ["Staging"]


def test_a_flow_that_was_never_edited_before_begins_its_history_with_what_it_was(flow):
    Node.objects.create(flow=flow, name="Old", include=["tag:mart"])
    services.move_nodes(flow, {flow.nodes.get().pk: (5, 5)})
    first, second = flow.changes.order_by("version")
    assert (first.actor, first.said, first.document["nodes"][0]["at"]) == (
        "system",
        "The flow when its history began",
        [0, 0],
    )
    assert second.arranged and second.said == "Moved Old"


# --- two people ------------------------------------------------------------------------------------------------


def seen(flow):
    return Flow.objects.get(pk=flow.pk).version


def test_edits_of_different_nodes_both_stand(flow, staging, marts):
    version = seen(flow)
    with acting_as(ANN):
        staging.include = ["tag:staging", "raw_orders"]
        services.save_node(staging, base=Base(version, {staging.pk}, ("settings",)))
    with acting_as(BOB):
        marts.retries = 3
        services.save_node(marts, base=Base(version, {marts.pk}, ("settings",)))
    assert Node.objects.get(name="Staging").include == ["tag:staging", "raw_orders"]
    assert Node.objects.get(name="Marts").retries == 3


def test_the_second_of_two_saves_of_a_node_shows_what_changed_and_overwrites_nothing(flow, staging):
    version = seen(flow)
    with acting_as(ANN):
        services.save_node(Node.objects.get(), after=[], base=Base(version, {staging.pk}))
        staging.include = ["tag:mart"]
        services.save_node(staging, base=Base(version, {staging.pk}))
    mine = Node.objects.get()
    mine.include = ["raw_orders"]
    with acting_as(BOB), pytest.raises(EditConflict) as told:
        services.save_node(mine, base=Base(version, {staging.pk}))
    assert "ann" in told.value.changes[0] and "include: tag:staging → tag:mart" in told.value.changes[0]
    assert Node.objects.get().include == ["tag:mart"]


def test_moving_a_node_that_somebody_edits_is_no_conflict_but_deleting_it_is(flow, staging, marts):
    version = seen(flow)
    with acting_as(ANN):
        staging.retries = 1
        services.save_node(staging)
    perform(flow, version, [{"op": "move", "node": staging.pk, "x": 9, "y": 9}])
    with pytest.raises(EditConflict):
        perform(flow, version, [{"op": "delete", "node": staging.pk}])
    assert perform(flow, version, [{"op": "delete", "node": staging.pk}], mine_wins=True) == "Deleted the node Staging"


def test_a_form_of_the_page_keeps_what_was_typed_when_another_was_faster(flow, staging):
    person = Person("bob", "everything")
    page = person.open(f"/flows/{flow.pk}/nodes/{staging.pk}/")
    with acting_as(ANN):
        staging.include = ["tag:mart"]
        services.save_node(staging)
    again = person.post(page, page.form("node-form"), {"include": "raw_orders"})
    assert again.status == 409 and "tag:staging → tag:mart" in again.html and "ann" in again.html
    assert again.form("node-form").fields["include"] == ["raw_orders"]
    assert Node.objects.get().include == ["tag:mart"]
    person.post(again, again.form("node-form"), {})
    assert Node.objects.get().include == ["raw_orders"]


def test_settings_of_two_people(flow):
    person = Person("bob", "everything")
    page = person.open(f"/flows/{flow.pk}/settings/")
    with acting_as(ANN):
        flow.description = "By Ann"
        services.save_flow(flow)
    again = person.post(page, page.form("settings"), {"description": "By Bob"})
    assert again.status == 409 and "By Ann" in again.html
    assert again.form("settings").fields["description"] == ["By Bob"]
    person.post(again, again.form("settings"), {})
    assert Flow.objects.get().description == "By Bob"


@pytest.mark.django_db(transaction=True)
def test_ten_people_at_once_lose_nothing_and_get_a_version_each():
    flow = sample_flow("Crowd")
    nodes = [Node.objects.create(flow=flow, name=f"n{n}", include=["tag:mart"]) for n in range(10)]

    def push(row):
        try:
            with acting_as(Actor(row.name)):
                services.move_nodes(flow, {row.pk: (row.pk * 10.0, 1.0)})
        finally:
            connections.close_all()

    threads = [threading.Thread(target=push, args=(row,)) for row in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row.x for row in flow.nodes.all()} == {row.pk * 10.0 for row in nodes}
    versions = list(flow.changes.order_by("version").values_list("version", flat=True))
    assert versions == list(range(11)) and Flow.objects.get().version == 10


# --- the canvas ------------------------------------------------------------------------------------------------


def send(person, flow, *operations, version=None, **more):
    body = {"version": seen(flow) if version is None else version, "operations": list(operations), **more}
    token = person.client.cookies.get("csrftoken")
    if token is None:
        person.open(f"/flows/{flow.pk}/")
        token = person.client.cookies["csrftoken"]
    return person.client.post(
        f"/flows/{flow.pk}/canvas/",
        json.dumps(body),
        content_type="application/json",
        headers={"X-CSRFToken": token.value},
    )


@pytest.fixture
def ada():
    return Person("ada", "everything")


def test_the_picture_has_nodes_links_and_the_order_that_refs_imply_with_its_reason(flow, staging, marts):
    flow.refresh_from_db()
    drawn = picture(flow)
    assert [(n["name"], n["detail"], n["problem"]) for n in drawn["nodes"]] == [
        ("Staging", "tag:staging", ""),
        ("Marts", "tag:mart", ""),
    ]
    (implied,) = drawn["implied"]
    assert (implied["up"], implied["down"]) == (staging.pk, marts.pk) and " <- " in implied["reason"]
    assert drawn["links"] == [] and drawn["nodes"][0]["x"] < drawn["nodes"][1]["x"]


def test_a_link_that_closes_a_circle_with_refs_is_refused_and_named(ada, flow, staging, marts):
    answer = send(ada, flow, {"op": "link", "up": marts.pk, "down": staging.pk})
    assert answer.status_code == 422 and "circle" in answer.json()["error"] and "Staging" in answer.json()["error"]
    assert answer.json()["canvas"]["links"] == [] and not Link.objects.exists()


def test_operations_of_one_request_are_one_step_and_all_or_nothing(ada, flow, staging, marts):
    version = seen(flow)
    link = {"op": "link", "up": staging.pk, "down": marts.pk}
    answer = send(ada, flow, {"op": "move", "node": staging.pk, "x": 1, "y": 2}, link)
    assert answer.status_code == 200 and answer.json()["version"] == version + 1
    bad = send(ada, flow, {"op": "move", "node": staging.pk, "x": 7, "y": 7}, {"op": "delete", "node": 10**9})
    assert bad.status_code == 422 and Node.objects.get(pk=staging.pk).x == 1 and seen(flow) == version + 1


def test_undo_brings_a_deleted_node_back_with_its_links(ada, flow, staging, marts):
    send(ada, flow, {"op": "link", "up": staging.pk, "down": marts.pk})
    version = seen(flow)
    assert send(ada, flow, {"op": "delete", "node": staging.pk}).json()["said"].startswith("Deleted the node Staging")
    undone = send(ada, flow, {"op": "restore", "version": version}).json()
    assert {n["name"] for n in undone["nodes"]} == {"Staging", "Marts"} and len(undone["links"]) == 1
    redone = send(ada, flow, {"op": "restore", "version": version + 1}).json()
    assert [n["name"] for n in redone["nodes"]] == ["Marts"]


def test_a_duplicate_has_the_same_settings_and_a_name_of_its_own(ada, flow, staging):
    for _ in range(2):
        send(ada, flow, {"op": "duplicate", "node": staging.pk, "x": 10, "y": 20})
    assert {n.name for n in flow.nodes.all()} == {"Staging", "Staging copy", "Staging copy 2"}
    assert flow.nodes.get(name="Staging copy").include == ["tag:staging"]


def test_arrange_lays_out_by_links_and_by_refs(ada, flow, staging, marts):
    send(
        ada,
        flow,
        {"op": "move", "node": staging.pk, "x": 900, "y": 0},
        {"op": "move", "node": marts.pk, "x": 0, "y": 0},
    )
    send(ada, flow, {"op": "arrange"})
    assert Node.objects.get(pk=staging.pk).x < Node.objects.get(pk=marts.pk).x


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "7", "null", '{"version": 1}', '{"version": "x", "operations": []}', "[" * 100_000),
        '{"version": 0, "operations": []}',
        '{"version": 0, "operations": {"op": "move"}}',
        '{"version": 0, "operations": [7]}',
        '{"version": 0, "operations": [{"op": "drop table"}]}',
        '{"version": 0, "operations": [{"op": ["move"]}]}',
        '{"version": 0, "operations": [{"op": "move", "node": "1", "x": 1, "y": 1}]}',
        '{"version": 0, "operations": [{"op": "move", "node": 1, "x": NaN, "y": 1}]}',
        '{"version": 0, "operations": [{"op": "move", "node": 1, "x": 1e300, "y": 1}]}',
        '{"version": 0, "operations": [{"op": "move", "node": true, "x": 1, "y": 1}]}',
        '{"version": 0, "operations": [{"op": "link", "up": 1}]}',
        '{"version": -1, "operations": [{"op": "arrange"}]}',
        '{"version": 99999999999999999999, "operations": [{"op": "arrange"}]}',
    ],
)
def test_a_request_that_no_canvas_sends_is_a_bad_request(ada, flow, body):
    ada.open(f"/flows/{flow.pk}/")
    token = ada.client.cookies["csrftoken"].value
    answer = ada.client.post(
        f"/flows/{flow.pk}/canvas/", body, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 400 and answer.json()["error"]
    assert flow.changes.count() == 0


def test_one_broken_node_does_not_stop_the_editing_of_the_others(ada, flow, staging, marts):
    Node.objects.filter(pk=staging.pk).update(include=["tag:gone"])
    answer = send(ada, flow, {"op": "duplicate", "node": marts.pk, "x": 0, "y": 0}).json()
    problems = {n["name"]: n["problem"] for n in answer["nodes"]}
    assert "nothing to do" in problems["Staging"] and not problems["Marts copy"]
    assert Task.objects.filter(node=staging).exists()  # what it had is kept until it can be expanded again


def test_a_new_revision_is_no_edit(flow, staging):
    before = flow.changes.count()
    refresh_flow(flow, reason="new revision")
    assert flow.changes.count() == before and Expansion.objects.count() == 1


def test_saving_a_node_expands_each_node_once_and_orders_the_flow_once(ada, flow, staging, marts, monkeypatch):
    calls = Counter()

    def counted(name, real):
        def call(*args, **options):
            calls[name] += 1
            return real(*args, **options)

        return call

    monkeypatch.setattr(transformation, "expand", counted("expand", transformation.expand))
    monkeypatch.setattr(ordering, "order", counted("order", ordering.order))
    path = f"/flows/{flow.pk}/nodes/{staging.pk}/"
    page = ada.open(path)
    form = next(form for form in page.forms if "include" in form.fields)
    page = ada.post(page, form, {"include": "stg_orders"})
    assert "Saved: 1 model" in page.html
    assert calls == {"expand": flow.nodes.count(), "order": 1}
    assert list(staging.tasks.values_list("identifier", flat=True)) == ["staging.stg_orders"]


def test_a_plan_is_computed_again_when_somebody_else_has_edited_the_flow(flow, staging, marts):
    staging.include = ["stg_orders"]
    staging.flow = flow
    plan = check_node(staging)
    delete_node(Node.objects.select_related("flow__environment").get(pk=marts.pk))
    services.save_node(staging, plan=plan)
    assert set(Task.objects.filter(node__flow=flow).values_list("node__name", flat=True)) == {"Staging"}
