"""A kind of node is one file: here, a fourth one, and everything that dex then does with it."""

import re

import pytest
from django.core.exceptions import ValidationError

from flows.retry_policy import KINDS
from nodes import kinds
from nodes.document import document_of, from_yaml, to_yaml
from nodes.document.comparing import differences
from nodes.document.reading import DocumentError
from nodes.kinds.base import Kind, Option
from nodes.kinds.registry import register, unregister
from nodes.models import Node
from nodes.services import duplicate_flow, import_flow, restore_flow, save_flow, save_node
from nodes.tasks import AttemptOutcome, Context
from runs.logs import store
from runs.models import Trigger
from runs.planning.planner import plan_run
from runs.services import start_run
from runs.states import RunState, TaskState
from tests.helpers.graphs import drain
from tests.helpers.pages import Person, sample_flow
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.django_db


class Note(Kind):
    """Writes a line to the log. This is all there is of it: no model, no form, no template."""

    name = "note"
    label = "Note"
    plural = "Notes"
    icon = "clipboard"
    says = "Writes a line to the log."
    options = (
        Option("text", default="", label="Line", help="It goes to the log.", required=True),
        Option("times", default=1, label="Times"),
        Option("loud", default=False, label="In capitals"),
        Option("readers", default=[], label="Readers", help="One on a line."),
    )
    main = ("text", "times")

    def execute(self, context: Context) -> AttemptOutcome:
        """Write it."""
        spec = context.spec
        line = spec["text"].upper() if spec["loud"] else spec["text"]
        for _ in range(spec["times"]):
            context.log(f"{line}\n".encode())
        return AttemptOutcome("succeeded", result={"message": f"told {', '.join(spec['readers'])}"})


@pytest.fixture(autouse=True)
def note():
    register(Note())
    yield
    if "note" in [kind.name for kind in kinds.all_kinds()]:
        unregister("note")


@pytest.fixture(autouse=True)
def logs_of_its_own(monkeypatch, tmp_path):
    """The next test has runs with the same ids, and so with the same files."""
    monkeypatch.setattr(store, "root", lambda: tmp_path)


@pytest.fixture
def ada():
    return Person("ada", "everything")


@pytest.fixture
def flow():
    return sample_flow()


def node_form(page):
    return next(form for form in page.forms if "runs_after" in form.fields or "version" in form.fields)


def noted(flow, **options):
    settings = {"text": "good morning", **options}
    return save_node(Node(flow=flow, name="Greeting", kind="note", options=settings))


def test_the_menu_of_the_editor_offers_it_and_its_form_makes_one(ada, flow):
    page = ada.open(f"/flows/{flow.pk}/")
    assert f'href="/flows/{flow.pk}/nodes/new/note/"' in page.html and "#clipboard" in page.html
    page = ada.open(f"/flows/{flow.pk}/nodes/new/note/")
    assert "New Note node" in page.html and "It goes to the log." in page.html
    form = node_form(page)
    assert form.fields["times"] == ["1"] and "retries" in form.fields
    page = ada.post(page, form, {"name": "Greeting", "text": ""})
    assert "This field is required." in page.html and not flow.nodes.exists()
    page = ada.post(page, node_form(page), {"name": "Greeting", "text": "hi", "times": "2", "readers": "ann\nbob"})
    node = flow.nodes.get()
    assert (node.kind, node.name) == ("note", "Greeting")
    assert node.options == {"text": "hi", "times": 2, "loud": False, "readers": ["ann", "bob"]}
    assert "Saved: 1 note." in page.html
    form = node_form(ada.open(f"/flows/{flow.pk}/nodes/{node.pk}/"))
    assert (form.fields["text"], form.fields["times"], form.fields["readers"]) == (["hi"], ["2"], ["ann\nbob"])
    ada.post(page, form, {"loud": "on"})
    node.refresh_from_db()
    assert node.options["loud"] is True and flow.changes.first().said == "Greeting: loud: no → yes"


def test_the_canvas_draws_it_as_its_file_says(ada, flow):
    noted(flow, times=3)
    drawn = ada.client.get(f"/flows/{flow.pk}/canvas/").json()
    (node,) = drawn["nodes"]
    assert (node["kind"], node["kind_label"], node["kind_icon"]) == ("note", "Note", "clipboard")
    assert (node["tasks"], node["problem"], node["detail"]) == (1, "", "good morning, 3")
    assert node["models"] == [{"id": f"note.{node['id']}", "name": "Greeting", "type": "note", "url": ""}]
    assert [kind["label"] for kind in drawn["kinds"]] == ["Connection", "Transformation", "Custom Script", "Note"]


def test_it_is_exported_as_yaml_and_imported_again(flow):
    noted(flow, readers=["ann"])
    text = to_yaml(document_of(flow))
    assert "type: note" in text and "text: good morning" in text and "readers:" in text
    assert "times:" not in text and "loud:" not in text, "what has its default is left out"
    again = import_flow(from_yaml(text.replace("name: Daily shop", "name: Twin")))
    assert again.nodes.get().options == {"text": "good morning", "times": 1, "loud": False, "readers": ["ann"]}
    assert to_yaml(document_of(again)) == text.replace("name: Daily shop", "name: Twin")
    assert duplicate_flow(flow).nodes.get().options["text"] == "good morning"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("times: often", "node Greeting: times: must be a whole number."),
        ("times: true", "node Greeting: times: must be a whole number."),
        ("loud: 1", "node Greeting: loud: must be true or false."),
        ("readers: ann", "node Greeting: readers: must be a list of strings."),
        ("readers: [1]", "node Greeting: readers: must be a list of strings."),
        ("lod: true", "node Greeting: lod: is not a known key. Did you mean loud?"),
        ("include: [x]", "node Greeting: include: is not a known key."),
    ],
)
def test_an_error_in_a_file_is_reported_with_its_position(flow, line, said):
    noted(flow)
    text = to_yaml(document_of(flow)).replace("type: note", f"type: note\n    {line}")
    with pytest.raises(DocumentError) as error:
        from_yaml(text)
    assert error.value.problems == [said]


def test_an_unknown_kind_in_a_file_is_named_with_those_that_there_are(flow):
    noted(flow)
    text = to_yaml(document_of(flow)).replace("type: note", "type: notes")
    with pytest.raises(DocumentError) as error:
        from_yaml(text)
    said = "node Greeting: type: must be one of connection, transformation, script, note, not notes. Did you mean note?"
    assert error.value.problems == [said]


def test_the_history_says_what_it_does(flow):
    before = document_of(flow)
    noted(flow)
    assert [each.text for each in differences(before, document_of(flow))] == [
        "added the node Greeting (good morning, 1)"
    ]


def test_a_run_plans_and_executes_it_and_its_page_shows_the_line(ada, flow):
    flow.by_kind = {"note": {"retries": 7}}
    save_flow(flow)
    noted(flow, times=2, loud=True, readers=["ann", "bob"])
    assert list(flow.nodes.get().tasks.values_list("identifier", "resource_type")) == [("Greeting", "note")]
    run = start_run(flow, trigger=Trigger.MANUAL, actor="test")
    plan_run(run.pk)
    task = run.task_runs.get()
    assert (task.kind, task.lane, task.pool, task.warehouse_pool) == ("note", None, "", "")
    assert (task.spec["text"], task.spec["retries"]) == ("good morning", 7)
    drain(run)
    task.refresh_from_db()
    assert (run.state, task.state) == (RunState.SUCCEEDED, TaskState.SUCCEEDED), task.reason
    assert store.read(task.tries.get().log_path).text == "GOOD MORNING\nGOOD MORNING\n"
    page = ada.open(f"/runs/{run.pk}/")
    assert "Greeting" in page.html
    page = ada.open(f"/runs/{run.pk}/tasks/{task.pk}/")
    assert "told ann, bob" in page.html and "GOOD MORNING" in page.html


def test_retries_by_kind_of_task_have_a_row_for_it(ada, flow):
    assert KINDS["note"] == "Notes"
    assert "Notes" in ada.open(f"/flows/{flow.pk}/settings/").html
    unregister("note")
    assert "note" not in KINDS


def test_a_missing_field_of_a_kind_is_an_error_before_anything_is_saved(flow):
    with pytest.raises(ValidationError) as error:
        save_node(Node(flow=flow, name="Greeting", kind="note"))
    assert error.value.message_dict == {"text": ["Line is required."]}
    with pytest.raises(ValidationError) as error:
        save_node(Node(flow=flow, name="Greeting", kind="nota"))
    assert error.value.message_dict == {
        "kind": ["Unknown type of node nota; use one of connection, transformation, script, note. Did you mean note?"]
    }


def test_a_node_whose_kind_is_gone_is_shown_with_what_is_wrong_and_does_not_run(ada, flow):
    noted(flow)
    waiting = start_run(flow, trigger=Trigger.MANUAL, actor="test")
    plan_run(waiting.pk)
    version = flow.changes.first().version
    unregister("note")
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))  # the others can still be edited
    said = "Unknown type of node note; use one of connection, transformation, script."
    assert ada.open(f"/flows/{flow.pk}/").status == 200
    drawn = {node["name"]: node for node in ada.client.get(f"/flows/{flow.pk}/canvas/").json()["nodes"]}
    assert (drawn["Greeting"]["kind_label"], drawn["Greeting"]["problem"]) == ("Unknown (note)", said)
    assert drawn["Staging"]["problem"] == ""
    assert said in ada.open(f"/flows/{flow.pk}/nodes/{drawn['Greeting']['id']}/").html
    assert ada.client.get(f"/flows/{flow.pk}/nodes/new/note/").status_code == 404
    run = start_run(flow, trigger=Trigger.MANUAL, actor="test")
    plan_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.FAILED, f"Greeting: {said}")
    drain(waiting)
    task = waiting.task_runs.get()
    assert (task.state, task.reason, task.attempts) == (TaskState.FAILED, said, 1)
    with pytest.raises(ValidationError, match="node Greeting: type: Unknown type of node note"):
        restore_flow(flow, version)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "script"}, "two kinds of node named script"),
        ({"name": "other", "options": (Option("package", default=""),)}, "the option package is named as a setting"),
        ({"name": "other", "options": (Option("type", default=""),)}, "the option type is named as a setting"),
    ],
)
def test_a_kind_that_would_get_in_the_way_of_others_is_refused(attributes, said):
    with pytest.raises(ValueError, match=said):
        register(type("Other", (Note,), attributes)())
    assert [kind.name for kind in kinds.all_kinds()] == ["connection", "transformation", "script", "note"]


def test_the_kind_that_the_docs_show_works_as_it_stands(flow):
    unregister("note")
    page = (ROOT / "docs" / "architecture.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page.split("## A new kind of node")[1].split("\n## ")[0], re.S)
    exec(compile(code, "docs/architecture.md", "exec"), {})
    noted(flow)
    run = start_run(flow, trigger=Trigger.MANUAL, actor="test")
    plan_run(run.pk)
    drain(run)
    assert store.read(run.task_runs.get().tries.get().log_path).text == "good morning\n"
