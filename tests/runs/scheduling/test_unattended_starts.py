"""A flow that starts by itself has a value for each parameter: refused at Save, and told where such flows are known."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from flows.models import Flow
from nodes.document import DocumentError, document_of, from_yaml, to_yaml
from nodes.services import check_import, duplicate_flow, import_flow, save_flow
from runs.scheduling.planned import plan_start
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db
DAY = '[{"name": "day", "type": "date", "required": true}]'
DECLARED = [{"name": "day", "type": "date", "required": True}]
SAID = "nobody can enter a value for day"


@pytest.fixture
def ada():
    return Person("ada", "everything")


def save(person, flow, **changes):
    page = person.open(f"/flows/{flow.pk}/settings/" if flow else "/flows/new/")
    return person.post(page, page.form("settings"), changes)


def beside(page, name):
    """What is said beside a field."""
    part = page.html.partition(f'id="{name}-error"')[2] or page.html.partition(f'id="id_{name}_error"')[2]
    return part[:600]


def test_a_parameter_that_needs_a_value_is_refused_beside_it_when_a_schedule_is_there(ada):
    flow = sample_flow("Daily", cron="0 2 * * *")
    page = save(ada, flow, parameters=DAY)
    assert page.status == 422 and SAID in beside(page, "parameters") and "remove the schedule" in page.html
    flow.refresh_from_db()
    assert flow.parameters == [] and "&quot;day&quot;" in page.html  # what was typed is still there
    assert save(ada, flow, parameters=DAY.replace("true", 'true, "default": "2026-01-31"')).status == 200
    flow.refresh_from_db()
    assert flow.parameters[0]["default"] == "2026-01-31"


def test_a_schedule_is_refused_beside_it_when_a_parameter_needs_a_value(ada):
    flow = sample_flow("By hand", parameters=DECLARED)
    page = save(ada, flow, frequency="day")
    assert page.status == 422 and SAID in beside(page, "frequency")
    page = save(ada, flow, write_cron="on", cron="0 2 * * *")
    assert page.status == 422 and SAID in beside(page, "cron")
    flow.refresh_from_db()
    assert flow.cron == ""


def test_to_start_after_another_flow_is_refused_too(ada):
    up, flow = sample_flow("Load"), sample_flow("Build", parameters=DECLARED)
    page = save(ada, flow, after=str(up.pk))
    assert page.status == 422 and "after other flows" in beside(page, "after") and not flow.follows.exists()
    save_flow(flow := sample_flow("Report"), after=[up])
    flow.parameters = DECLARED
    with pytest.raises(ValidationError, match=SAID):
        save_flow(flow)


def test_a_new_flow_is_refused_with_both(ada):
    page = save(ada, None, name="New", frequency="day", parameters=DAY)
    assert page.status == 422 and SAID in page.html and not Flow.objects.exists()


def test_a_start_that_is_planned_keeps_its_values(ada):
    flow = sample_flow("Once")
    plan_start(flow, timezone.now() + timedelta(hours=1))
    page = save(ada, flow, parameters=DAY)
    assert page.status == 422 and "A start is planned for" in beside(page, "parameters")
    assert "cancel that start first" in page.html


def test_the_settings_and_an_import_refuse_it_as_well(ada):
    flow = sample_flow("Daily", cron="0 2 * * *")
    page = save(ada, flow, parameters=DAY)
    assert SAID in " ".join(page.errors("parameters"))
    document = document_of(flow)
    document["parameters"] = DECLARED
    text = to_yaml(document)
    assert any(SAID in said for said in check_import(from_yaml(text)))
    with pytest.raises((ValidationError, DocumentError), match=SAID):
        import_flow(from_yaml(text))
    flow.refresh_from_db()
    assert flow.parameters == []


def test_flows_without_a_needed_value_are_listed_on_home_and_in_the_calendar(ada):
    flow = sample_flow("Daily", cron="0 2 * * *", decided_until=timezone.now())
    assert SAID not in ada.open("/").html
    Flow.objects.update(parameters=DECLARED)
    for path in ("/", "/calendar/"):
        shown = ada.open(path)
        assert SAID in shown.html and f"/flows/{flow.pk}/settings/" in shown.links, path
    assert "cannot start" in ada.open("/calendar/").html
    flow.refresh_from_db()
    with pytest.raises(ValidationError, match=SAID):
        duplicate_flow(flow)
    page = ada.open(f"/flows/{flow.pk}/")
    (form,) = [form for form in page.forms if form.action.endswith("/duplicate/")]
    assert "cannot be duplicated" in ada.post(page, form, {}).html
    Flow.objects.update(paused=True)
    assert SAID not in ada.open("/").html
