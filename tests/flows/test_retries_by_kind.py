"""A seed, a model, a test and a script fail for different reasons: each kind may be tried and timed its own way."""

import pytest
from django.core.exceptions import ValidationError

from flows.models import Flow
from flows.retry_policy import KINDS, kind_of, problem_of_kinds
from nodes.document import document_of, from_yaml, to_yaml
from nodes.document.reading import DocumentError
from nodes.models import Node
from nodes.services import import_flow, restore_flow, save_flow, save_node
from runs.models import Trigger
from runs.planning.planner import plan_run
from runs.services import start_run
from tests.helpers.pages import Person, sample_flow


@pytest.mark.parametrize(
    ("node", "resource", "kind"),
    [
        *(("transformation", kind, kind) for kind in ("model", "seed", "snapshot", "function", "test")),
        ("transformation", "unit_test", "test"),
        ("transformation", "hook", ""),
        ("transformation", "gate", ""),
        ("connection", "", "connection"),
        ("script", "script", "script"),
    ],
)
def test_every_task_is_of_one_kind_or_of_none(node, resource, kind):
    assert kind_of(node, resource) == kind
    assert not kind or kind in KINDS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        ({"seed": {"retries": 2, "retry_delay": 0, "retry_on": "transient", "timeout": 60}}, ""),
        ([], "mapping"),
        ({"modle": {"retries": 2}}, "Unknown type modle"),
        ({"seed": 2}, "seed: must be a mapping"),
        ({"seed": {"retires": 2}}, "retires is unknown"),
        ({"seed": {"retries": "two"}}, "whole number from 0 to 20"),
        ({"seed": {"retries": True}}, "whole number"),
        ({"test": {"timeout": 0}}, "whole number from 1"),
        ({"test": {"retry_on": "sometimes"}}, "retry_on must be one of"),
    ],
)
def test_an_error_in_retries_by_kind_names_what_is_possible(given, said):
    found = problem_of_kinds(given)
    assert said in found if said else found == ""


@pytest.mark.django_db
def test_each_kind_has_its_own_retries_and_time_limit_and_a_node_overrides_them():
    flow = sample_flow()
    flow.retries, flow.retry_delay, flow.timeout = 1, 10, 900
    flow.by_kind = {"seed": {"retries": 5, "timeout": 60}, "test": {"retries": 0}, "model": {"retry_on": "transient"}}
    save_flow(flow)
    save_node(Node(flow=flow, name="Raw", include=["resource_type:seed"]))
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    save_node(Node(flow=flow, name="Marts", include=["tag:mart"], retries=3, retry_on="any", timeout=7))
    run = start_run(flow, trigger=Trigger.MANUAL, actor="ann")
    plan_run(run.pk)
    found = {
        (row.node_name, row.resource_type): tuple(
            row.spec[name] for name in ("retries", "retry_delay", "retry_on", "timeout")
        )
        for row in run.task_runs.exclude(kind="gate")
    }
    assert found[("Raw", "seed")] == (5, 10, "any", 60)
    assert found[("Staging", "model")] == (1, 10, "transient", 900)
    assert found[("Staging", "test")] == (0, 10, "any", 900)
    assert found[("Marts", "model")] == (3, 10, "any", 7)


@pytest.mark.django_db
def test_kinds_that_wait_for_messages_need_messages():
    flow = sample_flow()
    flow.by_kind = {"script": {"retry_on": "matching"}}
    with pytest.raises(ValidationError, match="Enter the messages to retry on above"):
        flow.full_clean()
    flow.retry_patterns = "quota"
    flow.full_clean()


@pytest.mark.django_db
def test_an_editor_types_a_policy_for_a_kind_sees_it_again_and_takes_it_away():
    flow = sample_flow("Shop")
    editor = Person("eve", "everything")
    page = editor.open(f"/flows/{flow.pk}/settings/")
    form = page.form("settings")
    editor.post(page, form, {"by_kind_seed_retries": "4", "by_kind_seed_timeout": "60", "by_kind_test_retry_on": "any"})
    flow.refresh_from_db()
    assert flow.by_kind == {"seed": {"retries": 4, "timeout": 60}, "test": {"retry_on": "any"}}
    assert "by kind: nothing → seed: retries 4, timeout 60; test: retry on any" in flow.changes.first().details
    page = editor.open(f"/flows/{flow.pk}/settings/")
    form = page.form("settings")
    assert form.fields["by_kind_seed_retries"] == ["4"] and form.fields["by_kind_test_retry_on"] == ["any"]
    said = editor.post(page, form, {"by_kind_seed_retries": "four"})
    assert "Seeds: retries must be a whole number from 0 to 20." in said.html and 'value="four"' in said.html
    editor.post(
        page, form, dict.fromkeys(("by_kind_seed_retries", "by_kind_seed_timeout", "by_kind_test_retry_on"), "")
    )
    flow.refresh_from_db()
    assert flow.by_kind == {}


@pytest.mark.django_db
def test_policies_by_kind_travel_with_export_import_and_history():
    flow = sample_flow()
    flow.by_kind = {"snapshot": {"retries": 2}}
    save_flow(flow)
    text = to_yaml(document_of(flow))
    assert "by_kind:\n  snapshot:\n    retries: 2\n" in text
    import_flow(from_yaml(text.replace("retries: 2", "retries: 3")))
    assert Flow.objects.get(pk=flow.pk).by_kind == {"snapshot": {"retries": 3}}
    with pytest.raises(DocumentError, match="by_kind: must be policies by type of task: Unknown type snapshoot"):
        from_yaml(text.replace("snapshot", "snapshoot"))
    old = flow.changes.order_by("version").first()
    old.document.pop("by_kind")
    old.save()
    restore_flow(flow, old.version)
    assert Flow.objects.get(pk=flow.pk).by_kind == {}
