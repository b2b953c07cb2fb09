"""The HTTP API as programs use it: with tokens alone, answered in JSON whatever they send."""

import io
import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.access import acting_as
from flows.logins.tokens import issue
from flows.models import Tick, Token
from runs.alerts.messages import link_to
from runs.api import views
from runs.api.endpoint import endpoint
from runs.api.representation import run_with_tasks
from runs.models import Run, TaskRun, Trigger
from runs.services import cancel_run, start_run
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import sample_flow
from tests.runs.scheduling.test_ticking_at_scale import together

pytestmark = pytest.mark.django_db
DAY = {"name": "day", "type": "date", "required": True}
COUNT = {"name": "count", "type": "integer", "default": 3}


class Program:
    """Something with a token; `get` and `post` give the answer, JSON and all."""

    def __init__(self, name="ada", role="operator"):
        self.user, _ = get_user_model().objects.get_or_create(username=name)
        self.user.groups.add(Group.objects.get(name=role))
        with acting_as(self.user):
            self.token, self.secret = issue(f"script {Token.objects.count()}", None)
        self.headers = {"Authorization": f"Bearer {self.secret}"}
        self.client = Client(enforce_csrf_checks=True)

    def get(self, path, **headers):
        return self.client.get(path, headers=self.headers | headers)

    def post(self, path, body=None, key=None, **kwargs):
        sent = {"content_type": "application/json", **kwargs}
        data = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        return self.client.post(path, data, headers=headers, **sent)


def refused(answer, status, code):
    """What an error says, once its shape is right."""
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    (name,) = answer.json()
    error = answer.json()[name]
    assert (name, answer.status_code, error["code"], set(error)) == (
        *("error", status, code),
        {"code", "message", "details"},
    ), error
    return error


@pytest.fixture
def ada():
    return Program()


# --- starting --------------------------------------------------------------------------------------------
def test_a_program_starts_a_flow_with_values(ada):
    flow = sample_flow(parameters=[DAY, COUNT])
    answer = ada.post(f"/api/flows/{flow.pk}/runs", {"parameters": {"day": "2026-01-31"}})
    run = Run.objects.get()
    assert answer.status_code == 201 and answer["Location"] == f"http://testserver/api/runs/{run.pk}"
    shown = answer.json()
    assert (shown["id"], shown["state"], shown["trigger"], shown["started_by"]) == (run.pk, "queued", "api", "ada")
    assert shown["parameters"] == run.parameters == {"day": "2026-01-31", "count": 3}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["created_at"])
    assert (run.trigger, run.triggered_by, run.moved_by) == (Trigger.API, ada.user, "ada")
    assert ada.get(answer["Location"]).json() == shown


@pytest.mark.parametrize("kwargs", [{}, {"content_type": "application/x-www-form-urlencoded"}, {"content_type": ""}])
def test_a_start_needs_no_body(ada, kwargs):
    flow = sample_flow(parameters=[COUNT])
    assert ada.post(f"/api/flows/{flow.pk}/runs", None, **kwargs).json()["parameters"] == {"count": 3}


def test_a_request_sent_again_is_answered_with_the_first_run(ada):
    flow = sample_flow(parameters=[DAY, COUNT])
    address, body = f"/api/flows/{flow.pk}/runs", {"parameters": {"day": "2026-01-31"}}
    first, again = ada.post(address, body, key="a b"), ada.post(address, body, key="a b")
    spelled = ada.post(address, {"parameters": {"count": "3", "day": "2026-01-31"}}, key="a b")
    assert (first.status_code, again.status_code, spelled.status_code) == (201, 200, 200)
    assert "Idempotent-Replayed" not in first and again["Idempotent-Replayed"] == "true"
    assert first["Location"] == again["Location"] == spelled["Location"] and first.json() == again.json()
    assert ada.post(address, body, key="a c").status_code == ada.post(address, body).status_code == 201
    assert Run.objects.count() == 3


def test_a_key_is_not_used_for_another_request(ada):
    flow = sample_flow(parameters=[COUNT])
    address = f"/api/flows/{flow.pk}/runs"
    first = ada.post(address, {"parameters": {"count": 4}}, key="k").json()
    for given in ({"count": 5}, {}, {"count": "x"}, {"other": 1}):
        error = refused(ada.post(address, {"parameters": given}, key="k"), 422, "idempotency_key_reused")
        assert error["details"] == [{"run": first["id"]}]
    assert Run.objects.count() == 1


def test_a_key_that_was_refused_is_still_good(ada):
    flow = sample_flow(parameters=[COUNT])
    address = f"/api/flows/{flow.pk}/runs"
    refused(ada.post(address, {"parameters": {"count": "x"}}, key="k"), 422, "invalid_parameters")
    assert ada.post(address, {"parameters": {"count": 1}}, key="k").status_code == 201


def test_keys_of_two_people_and_of_two_flows_never_meet(ada):
    one, two = sample_flow("One"), sample_flow("Two")
    ben = Program("ben")
    for program in (ada, ben):
        for flow in (one, two):
            assert program.post(f"/api/flows/{flow.pk}/runs", key="nightly").status_code == 201
    assert Run.objects.count() == 4 and Run.objects.exclude(key__startswith="api ").count() == 0


@pytest.mark.django_db(transaction=True)
def test_twenty_requests_with_one_key_at_once_start_one_run():
    ada, flow = Program(), sample_flow(parameters=[COUNT])
    statuses, locations = [], set()

    def send(_):
        client = Program.__new__(Program)
        client.headers, client.client = ada.headers, Client(enforce_csrf_checks=True)
        answer = client.post(f"/api/flows/{flow.pk}/runs", {"parameters": {"count": 7}}, key="nightly")
        statuses.append(answer.status_code)
        locations.add(answer["Location"])

    together(20, send)
    assert Run.objects.count() == 1 and len(locations) == 1
    assert sorted(statuses) == [200] * 19 + [201]


@pytest.mark.django_db(transaction=True)
def test_twenty_requests_at_once_do_not_overtake_the_limit(settings):
    settings.API_STARTS_PER_MINUTE = 5
    ada, flow = Program(), sample_flow()
    statuses = []

    def send(number):
        headers = {**ada.headers, "Idempotency-Key": f"request {number}"}
        address = f"/api/flows/{flow.pk}/runs"
        statuses.append(Client().post(address, "{}", content_type="application/json", headers=headers).status_code)

    together(20, send)
    assert sorted(statuses) == [201] * 5 + [429] * 15 and Run.objects.count() == 5


def test_the_limit_says_when_there_is_room_again_and_counts_what_the_api_started_alone(ada, settings):
    settings.API_STARTS_PER_MINUTE = 2
    flow = sample_flow()
    address = f"/api/flows/{flow.pk}/runs"
    for _ in range(3):
        start_run(flow, trigger=Trigger.MANUAL, actor="ada", user=ada.user)
    assert [ada.post(address, key=key).status_code for key in ("a", "b")] == [201, 201]
    answer = ada.post(address, key="c")
    error = refused(answer, 429, "too_many_starts")
    assert 55 <= int(answer["Retry-After"]) <= 60 and f"Try again in {answer['Retry-After']} s." in error["message"]
    assert ada.post(address, key="a").status_code == 200  # an answer that was lost is still to be had
    assert Program("ben").post(address).status_code == 201
    assert Program("ada").post(address).status_code == 429  # another token of the same user
    Run.objects.filter(trigger="api").update(created_at=timezone.now() - timedelta(seconds=61))
    assert ada.post(address, key="c").status_code == 201


# --- what is wrong with a start --------------------------------------------------------------------------
def test_every_wrong_parameter_is_named(ada):
    flow = sample_flow(parameters=[DAY, COUNT, {"name": "full", "type": "flag"}])
    given = {"count": "many", "full": "perhaps", "dya": "2026-01-31", "\0": 1}
    error = refused(ada.post(f"/api/flows/{flow.pk}/runs", {"parameters": given}), 422, "invalid_parameters")
    said = {entry["parameter"]: entry["message"] for entry in error["details"]}
    assert said["day"] == "Parameter day is required." and set(said) == {"day", "count", "full", "dya", "\0"}
    assert said["count"] == "Parameter count must be a whole number, not 'many'."
    assert "has no parameter 'dya'" in said["dya"] and not Run.objects.exists()


NESTED = "[" * 30_000 + "]" * 30_000
BODIES = [
    ("{", 400, "broken_json"),
    ("\ufeff{}", 400, "broken_json"),
    (b"\xff\xfe", 400, "broken_json"),
    (b'{"parameters": {"count": "\xff"}}', 400, "broken_json"),
    ('{"parameters": {"count": NaN}}', 400, "broken_json"),
    ('{"parameters": {"count": Infinity}}', 400, "broken_json"),
    ('{"parameters": {}, "parameters": {"count": 1}}', 400, "broken_json"),
    (f'{{"parameters": {{"count": {"9" * 5000}}}}}', 400, "broken_json"),
    (NESTED, 400, "broken_json"),
    (f'{{"parameters": {{"count": {NESTED}}}}}', 400, "broken_json"),
    (" " * 65_537, 413, "body_too_large"),
    ("x" * 3_000_000, 413, "body_too_large"),
    ("[]", 422, "invalid_body"),
    ("null", 422, "invalid_body"),
    ("7", 422, "invalid_body"),
    ('{"params": {"count": 1}}', 422, "invalid_body"),
    ('{"parameters": null}', 422, "invalid_body"),
    ('{"parameters": [1]}', 422, "invalid_body"),
    ('{"parameters": {"count": 1e999}}', 422, "invalid_parameters"),
    (f'{{"parameters": {{"count": {"9" * 400}}}}}', 422, "invalid_parameters"),
    ('{"parameters": {"count": true}}', 422, "invalid_parameters"),
    ('{"parameters": {"count": {"a": [1]}}}', 422, "invalid_parameters"),
    ('{"parameters": {"word": "a\\u0000b"}}', 422, "invalid_parameters"),
    ('{"parameters": {"word": "\\ud800"}}', 422, "invalid_parameters"),
    ('{"parameters": {"\\ud800": 1}}', 422, "invalid_parameters"),
    ('{"\\ud800": 1}', 422, "invalid_body"),
]


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=range(len(BODIES)))
def test_a_hostile_body_is_refused_in_json_and_starts_nothing(ada, body, status, code):
    flow = sample_flow(parameters=[COUNT, {"name": "word"}])
    refused(ada.post(f"/api/flows/{flow.pk}/runs", body), status, code)
    assert not Run.objects.exists()


def test_a_body_that_is_no_json_by_its_name_is_refused(ada):
    flow = sample_flow()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"):
        answer = ada.post(f"/api/flows/{flow.pk}/runs", "{}", content_type=kind)
        refused(answer, 415, "unsupported_media_type")
    assert (
        ada.post(f"/api/flows/{flow.pk}/runs", "{}", content_type="application/json; charset=utf-8").status_code == 201
    )


def test_a_body_without_a_length_is_not_taken_for_an_empty_one(ada):
    flow = sample_flow(parameters=[COUNT])
    headers = {**ada.headers, "Transfer-Encoding": "chunked"}
    answer = ada.client.post(f"/api/flows/{flow.pk}/runs", headers=headers, content_type="application/json")
    refused(answer, 411, "length_required")


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", "schlüssel", "a\tb", "a\n", "\x7f"])
def test_a_key_is_printable_ascii(ada, key):
    flow = sample_flow()
    refused(ada.post(f"/api/flows/{flow.pk}/runs", key=key), 400, "invalid_idempotency_key")
    assert ada.post(f"/api/flows/{flow.pk}/runs", key="x" * 200).status_code == 201


# --- who ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer dex_", f"Bearer dex_{'a' * 43}", "Token {secret}"),
        *(
            "{secret}",
            "Bearer {secret} x",
            "Bearer {secret}x",
            "Bearer \0",
            "Bearer ü",
            "Bearer {secret},Bearer {secret}",
        ),
    ],
)
def test_without_a_good_token_there_is_no_answer(ada, header):
    flow = sample_flow()
    headers = {} if header is None else {"Authorization": header.replace("{secret}", ada.secret)}
    for path in ("/api/flows", f"/api/flows/{flow.pk}/runs", "/api/nothing", "/api/"):
        for method in ("get", "head", "post", "put", "delete", "options", "patch"):
            answer = getattr(Client(), method)(path, headers=headers)
            assert answer.status_code == 401 and answer["WWW-Authenticate"].startswith('Bearer realm="dex"')
    refused(Client().get("/api/flows", headers=headers), 401, "unauthorized")
    assert not Run.objects.exists()


def test_a_session_is_no_token_even_an_administrators():
    chief = get_user_model().objects.create_superuser("chief")
    client = Client()
    client.force_login(chief)
    refused(client.get("/api/flows"), 401, "unauthorized")
    viewer = Program("vic", "viewer")
    answer = client.post(f"/api/flows/{sample_flow().pk}/runs", headers=viewer.headers)
    assert "vic does not have permission to do this" in refused(answer, 403, "forbidden")["message"]


def test_a_token_that_ended_says_so_in_the_challenge(ada):
    for change in ({"revoked_at": timezone.now()}, {"revoked_at": None, "expires_at": timezone.now()}):
        Token.objects.update(**change)
        answer = ada.get("/api/flows")
        refused(answer, 401, "unauthorized")
        assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    Token.objects.update(expires_at=None)
    assert ada.get("/api/flows").status_code == 200
    get_user_model().objects.update(is_active=False)
    refused(ada.get("/api/flows"), 401, "unauthorized")


def test_a_token_in_an_address_is_refused_whatever_else_is_sent(ada):
    for query in (
        f"token={ada.secret}",
        f"name={ada.secret}",
        f"x{ada.secret}y",
        "access_token=1",
        "api_key=",
        "token",
    ):
        for headers in ({}, ada.headers):
            refused(Client().get(f"/api/flows?{query}", headers=headers), 400, "token_in_address")


def test_the_secret_is_in_no_log(ada, caplog):
    caplog.set_level("DEBUG")
    ada.get("/api/flows")
    ada.get("/api/nothing")
    Token.objects.update(revoked_at=timezone.now())
    ada.get("/api/flows")
    assert ada.secret not in caplog.text


ADDRESSES = [
    ("get", "/api/flows", "flows.view_flow", "viewer"),
    ("get", "/api/flows/{flow}", "flows.view_flow", "viewer"),
    ("get", "/api/flows/{flow}/runs", "runs.view_run", "viewer"),
    ("post", "/api/flows/{flow}/runs", "runs.add_run", "operator"),
    ("get", "/api/runs/{run}", "runs.view_run", "viewer"),
    ("get", "/api/runs/{run}/tasks", "runs.view_taskrun", "viewer"),
    ("post", "/api/runs/{run}/cancel", "runs.add_run", "operator"),
]


@pytest.mark.parametrize(("method", "address", "permission", "least"), ADDRESSES)
def test_a_token_has_the_permissions_that_its_user_has_at_that_moment(method, address, permission, least):
    flow = sample_flow()
    run = start_run(flow, trigger=Trigger.MANUAL, actor="test")
    path = address.format(flow=flow.pk, run=run.pk)
    roles = ["viewer", "operator", "editor", "admin"]
    for role in roles:
        program = Program(f"the {role}", role)
        if roles.index(role) >= roles.index(least):
            assert getattr(program, method)(path).status_code in (200, 201, 202)
        program.user.groups.clear()
        error = refused(getattr(program, method)(path), 403, "forbidden")
        assert error["details"] == [{"permission": permission}] and permission in error["message"]


def test_a_viewer_reads_but_does_not_start():
    vic, flow = Program("vic", "viewer"), sample_flow()
    assert vic.get(f"/api/flows/{flow.pk}").status_code == 200
    error = refused(vic.post(f"/api/flows/{flow.pk}/runs"), 403, "forbidden")
    assert error["message"] == "vic does not have permission to do this. Missing: runs.add_run."
    assert not Run.objects.exists()


# --- methods and addresses -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/flows", "GET, HEAD"),
        ("/api/flows/1", "GET, HEAD"),
        ("/api/flows/1/runs", "GET, HEAD, POST"),
        ("/api/runs/1", "GET, HEAD"),
        ("/api/runs/1/tasks", "GET, HEAD"),
        ("/api/runs/1/cancel", "POST"),
    ],
)
def test_a_method_that_an_address_does_not_take_is_refused_with_those_that_it_takes(ada, path, allowed):
    for method in {"get", "post", "put", "patch", "delete", "options"} - set(allowed.lower().split(", ")):
        answer = getattr(ada.client, method)(path, headers=ada.headers)
        refused(answer, 405, "method_not_allowed")
        assert answer["Allow"] == allowed


@pytest.mark.parametrize(
    "path",
    [
        *("/api/", "/api/flows/", "/api/flow", "/api/flows/1/run", "/api/flows/x", "/api/flows/-1", "/api/flows/1.5"),
        *("/api/flows/0", f"/api/flows/{2**63}", f"/api/flows/{'9' * 4000}", f"/api/flows/{'9' * 5000}"),
        *("/api/flows/12345", f"/api/flows/{2**63}/runs", "/api/runs/12345", f"/api/runs/{2**64}/tasks"),
        *("/api/flows/%00", "/api/flows/1%00", "/api/flows/٣", "/api/../admin/", "/api/runs/1/cancel/x", "/api//flows"),
    ],
)
def test_a_missing_flow_or_run_is_not_found(ada, path):
    refused(ada.get(path), 404, "not_found")


@pytest.mark.parametrize("path", [f"/api/flows/{2**63}/runs", "/api/flows/12345/runs", f"/api/runs/{2**70}/cancel"])
def test_a_missing_flow_or_run_cannot_be_started_or_cancelled(ada, path):
    refused(ada.post(path), 404, "not_found")


QUERIES = [
    *("limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1e2", "limit=%00", "limit=٣"),
    *(f"after={2**63}", f"after={'9' * 5000}", "after=-1", "after=", "nmae=x", "name=a%00b", "offset=3"),
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_is_not_understood_is_refused_and_names_the_field(ada, query):
    error = refused(ada.get(f"/api/flows?{query}"), 400, "invalid_query")
    assert [entry["field"] for entry in error["details"]] == [query.partition("=")[0]]


def test_other_lists_mind_their_queries_too(ada):
    flow = sample_flow()
    run = start_run(flow, trigger=Trigger.MANUAL, actor="test")
    for path in (
        *(f"/api/flows/{flow.pk}/runs?state=done", f"/api/flows/{flow.pk}/runs?after=1"),
        *(f"/api/runs/{run.pk}?x=1", f"/api/runs/{run.pk}/tasks?before=1", f"/api/flows/{flow.pk}?limit=1"),
    ):
        refused(ada.get(path), 400, "invalid_query")
    refused(ada.post(f"/api/flows/{flow.pk}/runs?dry=1"), 400, "invalid_query")


# --- reading --------------------------------------------------------------------------------------------
def test_flows_come_in_pages_and_are_found_by_name(ada):
    names = [sample_flow(f"Flow {number}").name for number in range(5)]
    found, address = [], "/api/flows?limit=2"
    while address:
        page = ada.get(address).json()
        assert len(page["flows"]) <= 2
        found += [flow["name"] for flow in page["flows"]]
        address = page["next"]
    assert found == names
    (one,) = ada.get("/api/flows?name=Flow+3").json()["flows"]
    assert one["name"] == "Flow 3" and one["environment"] == "shop / main"
    assert ada.get("/api/flows?name=flow").json() == {"flows": [], "next": None}


def test_a_flow_tells_its_schedule_and_what_is_due_next(ada):
    flow = sample_flow(cron="0 2 * * *", time_zone="Europe/Berlin", parameters=[DAY])
    soon = timezone.now().replace(microsecond=0) + timedelta(minutes=1)
    Tick.objects.create(flow=flow, due_at=soon, cause="once", outcome="planned")
    shown = ada.get(f"/api/flows/{flow.pk}").json()
    assert shown["schedule"] == {"cron": "0 2 * * *", "time_zone": "Europe/Berlin", "sentence": "Every day at 02:00"}
    assert len(shown["next_starts"]) == 5 and shown["next_starts"] == sorted(shown["next_starts"])
    assert f"{soon:%Y-%m-%dT%H:%M:%S}.000Z" in shown["next_starts"]
    assert shown["latest_run"] is None and shown["parameters"] == [DAY] and shown["description"] == ""
    flow.paused = True
    flow.save()
    assert ada.get(f"/api/flows/{flow.pk}").json()["next_starts"] == []
    started = ada.post(f"/api/flows/{flow.pk}/runs", {"parameters": {"day": "2026-01-31"}}).json()
    assert ada.get(f"/api/flows/{flow.pk}").json()["latest_run"] == started


def test_runs_of_a_flow_come_newest_first_by_state_and_in_pages(ada):
    flow, other = sample_flow(), sample_flow("Other")
    runs = [start_run(flow, trigger=Trigger.MANUAL, actor="test") for _ in range(5)]
    start_run(other, trigger=Trigger.MANUAL, actor="test")
    cancel_run(runs[1].pk, actor="test")
    found, address = [], f"/api/flows/{flow.pk}/runs?limit=2&state=queued"
    while address:
        page = ada.get(address).json()
        found += [run["id"] for run in page["runs"]]
        address = page["next"]
    assert found == [runs[number].pk for number in (4, 3, 2, 0)]
    (cancelled,) = ada.get(f"/api/flows/{flow.pk}/runs?state=cancelled").json()["runs"]
    assert cancelled["id"] == runs[1].pk and cancelled["started_by"] is None


def test_a_run_tells_how_its_tasks_stand_and_each_task_how_it_went(ada):
    run = drain(open_graph({"a": (), "b": ("a",), "c": ("b",)}, {"b": {"end": "fail"}}))
    shown = ada.get(f"/api/runs/{run.pk}").json()
    assert shown["state"] == "failed" and shown["finished_at"] > shown["started_at"]
    assert {state: number for state, number in shown["tasks"].items() if number} == {
        "succeeded": 1,
        "failed": 1,
        "skipped": 1,
    }
    found, address = [], f"/api/runs/{run.pk}/tasks?limit=2"
    while address:
        page = ada.get(address).json()
        found += page["tasks"]
        address = page["next"]
    assert [(task["identifier"], task["state"], task["attempts"]) for task in found] == [
        ("a", "succeeded", 1),
        ("b", "failed", 1),
        ("c", "skipped", 0),
    ]
    assert found[1]["reason"] and found[2]["started_at"] is None


def test_the_command_prints_a_run_as_the_api_returns_it(ada, settings):
    settings.SITE_URL = "http://testserver"
    flow = drain(open_graph({"a": ()})).flow
    out = io.StringIO()
    call_command("run_flow", flow.name, stdout=out, stderr=io.StringIO())
    run = drain(Run.objects.first())
    TaskRun.objects.create(run=run, unique_id="model.shop.a", identifier="a", resource_type="model", kind="noop")
    printed = json.loads(out.getvalue())
    assert printed["run"].keys() == ada.get(f"/api/runs/{run.pk}").json().keys() and printed["run"]["id"] == run.pk
    assert run_with_tasks(link_to, run.pk) == {
        "run": ada.get(f"/api/runs/{run.pk}").json(),
        "tasks": ada.get(f"/api/runs/{run.pk}/tasks").json()["tasks"],
    }


def test_a_task_tells_its_batches_as_the_page_does(ada):
    run = drain(open_graph({"a": (), "b": ()}))
    began = "2026-01-30T00:00:00+00:00"
    kept = [
        {
            "start": began,
            "end": "2026-01-31T00:00:00+00:00",
            "label": "2026-01-30",
            "status": "success",
            "seconds": 4.2,
        },
        {"start": "2026-01-31T00:00:00+00:00", "end": "2026-02-01T00:00:00+00:00", "label": "2026-01-31", "status": ""},
    ]
    kept[0]["earlier"] = True
    run.task_runs.filter(identifier="a").update(result={"batches": {"incremental": True, "rows": kept}})
    with CaptureQueriesContext(connection) as captured:
        one, two = ada.get(f"/api/runs/{run.pk}/tasks").json()["tasks"]
    assert two["batches"] == []
    assert one["batches"] == [
        {
            "label": "2026-01-30",
            "start": "2026-01-30T00:00:00.000Z",
            "end": "2026-01-31T00:00:00.000Z",
            "state": "succeeded",
            "seconds": 4.2,
            "message": "",
            "earlier": True,
        },
        {
            "label": "2026-01-31",
            "start": "2026-01-31T00:00:00.000Z",
            "end": "2026-02-01T00:00:00.000Z",
            "state": "pending",
            "seconds": None,
            "message": "",
            "earlier": False,
        },
    ]
    assert sum("kept_batches" in query["sql"] for query in captured) == 1


def test_gates_are_no_tasks(ada):
    run = start_run(sample_flow(), trigger=Trigger.MANUAL, actor="test")
    TaskRun.objects.create(run=run, unique_id="gate", identifier="gate", kind="gate")
    assert ada.get(f"/api/runs/{run.pk}/tasks").json()["tasks"] == []
    assert sum(ada.get(f"/api/runs/{run.pk}").json()["tasks"].values()) == 0


def test_a_run_outlives_its_flow_and_the_one_who_started_it():
    ada, ben = Program(), Program("ben")
    flow = sample_flow()
    run = ben.post(f"/api/flows/{flow.pk}/runs").json()
    flow.delete()
    ben.user.delete()
    shown = ada.get(f"/api/runs/{run['id']}").json()
    assert shown["flow"] == {"id": None, "name": "Daily shop"} and shown["started_by"] is None


def test_a_run_is_cancelled_once_and_not_after_its_end(ada):
    run = ada.post(f"/api/flows/{sample_flow().pk}/runs").json()
    address = f"/api/runs/{run['id']}/cancel"
    first, again = ada.post(address), ada.post(address)
    assert first.status_code == again.status_code == 202 and first.json() == again.json()
    assert first.json()["state"] == "cancelled" and first.json()["cancel_requested_by"] == "ada"
    done = drain(open_graph())
    error = refused(ada.post(f"/api/runs/{done.pk}/cancel"), 409, "run_over")
    assert error["details"] == [{"state": "succeeded"}]


def test_every_answer_costs_the_same_queries_however_much_there_is(ada):
    def cost():
        made = {}
        for method, address, _, _ in ADDRESSES[:3] + ADDRESSES[4:6]:
            path = address.format(flow=flow.pk, run=run.pk)
            with CaptureQueriesContext(connection) as asked:
                assert getattr(ada, method)(path).status_code == 200
            made[path] = len(asked)
        return made

    flow = sample_flow(cron="0 2 * * *")
    run = start_run(flow, trigger=Trigger.API, actor="ada", user=ada.user)
    TaskRun.objects.create(run=run, unique_id="t", identifier="t", kind="noop")
    ada.get("/api/flows")
    before = cost()
    for number in range(60):
        sample_flow(f"Flow {number}")
        start_run(flow, trigger=Trigger.API, actor="ada", user=ada.user)
        TaskRun.objects.create(run=run, unique_id=f"t{number}", identifier="t", kind="noop")
    assert cost() == before and max(before.values()) <= 7


# --- when dex itself is in trouble --------------------------------------------------------------------------
def test_an_internal_error_is_answered_in_json_without_details(ada, monkeypatch, rf):
    def broken(error):
        def view(request):
            raise error

        return endpoint(get=(view, "flows.view_flow"))

    request = rf.get("/api/flows", headers=ada.headers)
    answer = broken(OperationalError("database is locked at /secret/path"))(request)
    assert answer.status_code == 503 and answer["Retry-After"] == "5" and b"secret" not in answer.content
    answer = broken(ZeroDivisionError("hunter2"))(request)
    assert answer.status_code == 500 and json.loads(answer.content)["error"]["code"] == "internal_error"
    assert b"hunter2" not in answer.content
    assert views.flows_endpoint(request).status_code == 200
