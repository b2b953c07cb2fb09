"""docs/api.md against the API: every address is there, every example is run, every answer has the keys it says."""

import json
import re
import shlex
from dataclasses import fields
from urllib.parse import urlsplit

import pytest
from django.test import Client

from runs.api import urls
from runs.api.errors import CODES
from runs.engine.recorded import Batch
from runs.models import TaskRun, Trigger
from runs.services import start_run
from runs.states import RunState, TaskState
from tests.helpers.pages import sample_flow
from tests.helpers.paths import ROOT
from tests.runs.api.test_api import Program

PAGE = (ROOT / "docs" / "api.md").read_text()
SECTIONS = {
    (method, path): text
    for method, path, text in re.findall(r"^### `(GET|POST) (\S+)`\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
}


def shape(value):
    """The keys of an answer at every depth; of a list, those of its first row."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return "text" if isinstance(value, str) else type(value).__name__


def example(text):
    """The command of a section, its arguments joined, and the answer that it promises."""
    (command,) = re.findall(r"^```\n(curl .*?)^```", text, re.M | re.S)
    ((status, answer),) = re.findall(r"^```json (\d+)\n(.*?)^```", text, re.M | re.S)
    return shlex.split(command.replace("\\\n", " "))[1:], int(status), json.loads(answer)


def run_curl(arguments, secret, ids):
    """Send what curl would. In: ids, those of the page -> those of the rows."""
    method, headers, body, address = "GET", {}, "", ""
    rest = iter(arguments)
    for argument in rest:
        if argument == "-X":
            method = next(rest)
        elif argument == "-H":
            name, value = next(rest).split(": ", 1)
            headers[name] = value.replace("$DEX_TOKEN", secret)
        elif argument == "-d":
            body = next(rest)
        else:
            address = argument
    parts = urlsplit(address)
    assert parts.hostname == "dex.example.org"
    path = re.sub(r"(?<=/)\d+", lambda found: str(ids[found[0]]), parts.path)
    kind = headers.pop("Content-Type", "")
    query = f"?{parts.query}" if parts.query else ""
    return Client().generic(method, path + query, body, content_type=kind, headers=headers)


@pytest.mark.django_db
def test_every_address_of_the_api_is_described_with_every_method():
    ada = Program()
    described = {(method, path.replace("<id>", "#")) for method, path in SECTIONS}
    there = set()
    for pattern in urls.urlpatterns:
        path = "/api/" + re.sub(r"<id:\w+>", "#", str(pattern.pattern))
        answer = ada.client.put(path.replace("#", "1"), headers=ada.headers)
        there |= {(method, path) for method in answer.get("Allow", "").split(", ") if method not in ("HEAD", "")}
    assert described == there


@pytest.mark.django_db
@pytest.mark.parametrize("section", SECTIONS, ids=" ".join)
def test_the_examples_run_and_are_answered_as_it_says(section):
    arguments, status, promised = example(SECTIONS[section])
    ada = Program()
    flow = sample_flow(
        cron="0 2 * * *",
        tags=["finance"],
        description="Orders",
        parameters=[{"name": "day", "type": "date", "required": True}],
    )
    if section != ("POST", "/api/flows/<id>/runs"):
        day = {"day": "2026-01-31"}
        for _ in range(2):
            run = start_run(flow, trigger=Trigger.API, actor="ada", user=ada.user, parameters=day)
        for name in ("a", "b"):
            TaskRun.objects.create(run=run, unique_id=name, identifier=name, kind="noop")
    arguments = [argument.replace("state=running", "state=queued") for argument in arguments]
    answer = run_curl(arguments, ada.secret, {"7": flow.pk, "1204": flow.runs.first().pk if flow.runs.exists() else 0})
    assert answer.status_code == status, answer.content
    method, path = section
    assert re.fullmatch(path.replace("<id>", r"\d+"), answer.wsgi_request.path) and answer.wsgi_request.method == method
    # What has not happened yet is null where the example shows a time.
    said, wanted = json.dumps(shape(answer.json())), json.dumps(shape(promised))
    assert re.sub('"NoneType"', '"text"', said) == re.sub('"NoneType"', '"text"', wanted)


def test_every_error_and_every_state_is_in_the_page():
    table = {code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", PAGE, re.M)}
    assert table == CODES
    (error,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)
    assert set(json.loads(error)["error"]) == {"code", "message", "details"}
    text = SECTIONS["GET", "/api/runs/<id>"]
    assert set(example(text)[2]["tasks"]) == {state.value for state in TaskState}
    assert all(f"`{trigger}`" in text for trigger in Trigger)
    assert all(f"`{state}`" in SECTIONS["GET", "/api/flows/<id>/runs"] for state in RunState)


def test_the_batch_of_the_page_has_what_a_batch_has():
    (batch,) = re.findall(r"^```json batch\n(.*?)^```", PAGE, re.M | re.S)
    assert list(json.loads(batch)) == [each.name for each in fields(Batch)]


@pytest.mark.django_db
def test_the_error_of_the_page_is_the_real_one():
    flow = sample_flow(parameters=[{"name": "day", "type": "date", "required": True}])
    answer = Program().post(f"/api/flows/{flow.pk}/runs", {"parameters": {"day": "yesterday"}})
    (error,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)
    assert answer.json() == json.loads(error)


def test_every_code_that_is_raised_is_in_the_table():
    sources = "".join(path.read_text() for path in (ROOT / "runs" / "api").glob("*.py"))
    raised = set(re.findall(r'ApiError\(\s*"(\w+)"', sources))
    assert raised == set(CODES)
