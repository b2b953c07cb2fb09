"""Runs on their pages and in the admin: started, watched, cancelled and rerun, by people who may and who may not."""

import pytest
from django.core.management import call_command

from flows.models import Flow
from runs.logs import store
from runs.models import Attempt, Run, TaskRun
from runs.services import cancel_run
from tests.helpers.engines import make_flow, write_project
from tests.helpers.graphs import drain, open_graph, states
from tests.helpers.pages import Page, Person
from tests.helpers.waiting import until, within

RUNS, TASKS = "/admin/runs/run/", "/admin/runs/taskrun/"
VIEWER = ("runs.view_run", "runs.view_taskrun", "runs.view_log", "flows.view_flow", "flows.view_environment")
OPERATOR = (*VIEWER, "runs.add_run")


@pytest.fixture
def ada(db):
    return Person("ada", *OPERATOR)


@pytest.fixture
def eve(db):
    return Person("eve", *VIEWER)


def said(page, words):
    return page.status == 200 and [message for message in page.messages if words in message]


def send(person, path, **data):
    """Post to an address as a form of the site would."""
    page = person.open("/admin/password_change/")
    token = page.form("logout-form").fields["csrfmiddlewaretoken"]
    return Page(person.client.post(path, {**data, "csrfmiddlewaretoken": token}, follow=True))


def run_now(person, flow):
    """The button on the page of a flow."""
    page = person.open(f"/flows/{flow.pk}/")
    (form,) = [form for form in page.forms if form.action == f"/flows/{flow.pk}/run/"]
    return person.post(page, form, {})


def rerun_from_failure(person, run):
    """The button of the list of runs; it shows first what it would do."""
    return send(person, "/runs/bulk/", action="rerun", run=run.pk, key="k")


def plain_flow(**fields):
    """A flow that waits for an engine that no test here starts."""
    run = open_graph({"a": ()}, start=False)
    Flow.objects.filter(pk=run.flow_id).update(**fields)
    run.delete()
    return Flow.objects.get()


# --- starting ------------------------------------------------------------------------------------------------
def test_run_now_opens_a_run_in_the_users_name(ada):
    flow = plain_flow()
    page = run_now(ada, flow)
    run = Run.objects.get()
    assert (run.flow, run.state, run.trigger, run.triggered_by) == (flow, "queued", "manual", ada.user)
    assert run.transitions.get().actor == "ada"
    assert f"/runs/{run.pk}/" in page.links


def test_the_list_of_flows_offers_run_now(ada):
    flow = plain_flow()
    page = ada.open("/flows/")
    (form,) = [form for form in page.forms if form.action == f"/flows/{flow.pk}/run/"]
    ada.post(page, form, {})
    assert Run.objects.get().triggered_by == ada.user


DAY = {"name": "day", "type": "date", "required": True}
PARAMETERS = [
    DAY,
    {"name": "limit", "type": "integer", "default": 10},
    {"name": "dry", "type": "flag", "default": True},
]


def values(**given):
    return {f"values-{name}": value for name, value in given.items()}


def test_a_flow_with_parameters_asks_for_their_values(ada):
    flow = plain_flow(parameters=PARAMETERS)
    page = run_now(ada, flow)
    assert not Run.objects.exists() and page.inline == []
    (form,) = [form for form in page.forms if "values-day" in form.fields]
    assert form.fields["values-limit"] == ["10"] and form.fields["values-dry"] == ["true"]

    again = ada.post(page, form, {**values(day="tomorrow", limit="many"), "start": "1"})
    assert not Run.objects.exists()
    assert "Parameter day must be a date" in again.html and "Parameter limit must be a whole number" in again.html
    (form,) = [form for form in again.forms if "values-day" in form.fields]
    assert (form.fields["values-day"], form.fields["values-limit"]) == (["tomorrow"], ["many"])

    ada.post(again, form, {**values(day="2026-01-31", limit="3", dry="false"), "start": "1"})
    assert Run.objects.get().parameters == {"day": "2026-01-31", "limit": 3, "dry": False}


def test_an_empty_required_value_is_an_error(ada):
    page = run_now(ada, plain_flow(parameters=[DAY]))
    (form,) = [form for form in page.forms if "values-day" in form.fields]
    assert "This field is required" in ada.post(page, form, {"start": "1"}).html
    assert not Run.objects.exists()


def test_when_several_flows_are_started_those_start_that_need_no_value(ada):
    first = plain_flow()
    second = Flow.objects.create(name="Asks", environment=first.environment, parameters=[DAY])
    page = send(ada, "/flows/bulk/", action="run", flow=[first.pk, second.pk], key="k")
    assert [run.flow for run in Run.objects.all()] == [first]
    assert "Asks: Parameter day is required. Start this flow on its own to enter its values." in page.messages


# --- the page of a run ---------------------------------------------------------------------------------------
def test_the_page_of_a_run_lists_its_tasks_with_their_states_and_logs(eve):
    run = open_graph({"a": (), "b": ("a",)}, {"a": {"end": "fail", "print": "no luck"}})
    drain(run)
    page = eve.open(f"{RUNS}{run.pk}/change/")
    for said in ("told to fail", "upstream a failed"):
        assert said in page.html
    log = f"/admin/runs/run/log/{run.task_runs.get(identifier='a').pk}/1/"
    assert log in page.links
    response = eve.client.get(log)
    assert response["Content-Type"] == "text/plain; charset=utf-8" and "no luck" in response.content.decode()
    assert eve.open(f"{TASKS}{run.task_runs.get(identifier='a').pk}/change/").status == 200


@pytest.mark.parametrize("way", ["list", "page"])
def test_a_run_is_cancelled_and_says_by_whom(ada, way):
    run = open_graph({"a": (), "b": ("a",)})
    if way == "list":
        page = send(ada, "/runs/bulk/", action="cancel", run=run.pk, key="k")
    else:
        page = ada.open(f"/runs/{run.pk}/")
        (form,) = [form for form in page.forms if form.action == f"/runs/{run.pk}/cancel/"]
        page = ada.post(page, form, {})
    run.refresh_from_db()
    assert (run.state, run.cancel_requested_by) == ("cancelled", "ada")
    assert said(page, "being cancelled")
    assert said(send(ada, f"/runs/{run.pk}/cancel/"), f"#{run.pk} was already being cancelled by ada.")


def test_a_failed_run_is_repeated_from_its_failure(ada):
    run = open_graph({"a": (), "b": ()}, {"a": {"end": "fail"}})
    drain(run)
    plan = rerun_from_failure(ada, run)
    assert "1 task runs again, 1 is reused" in plan.html and Run.objects.count() == 1
    repeat(ada, plan)
    again = Run.objects.exclude(pk=run.pk).get()
    assert (again.retry_of, again.trigger, again.triggered_by) == (run, "rerun", ada.user)


def test_a_run_that_cannot_be_rerun_says_why(ada):
    done, busy = open_graph({"a": ()}), open_graph({"a": ()})
    drain(done)
    assert "Everything in this run succeeded" in rerun_from_failure(ada, done).html
    assert "This run has not finished" in rerun_from_failure(ada, busy).html
    broken = drain(open_graph({"a": ()}, {"a": {"end": "fail"}}))
    broken.flow.delete()
    plan = rerun_from_failure(ada, broken)
    assert "The flow of this run was deleted" in plan.html
    repeat(ada, plan)
    assert Run.objects.count() == 3


def repeat(person, plan):
    """Start what the plan has chosen."""
    (form,) = [form for form in plan.forms if form.id == "repeat"]
    return person.post(plan, form, {"start": "1"})


def test_a_run_whose_parameters_the_flow_no_longer_has_says_so(ada):
    run = open_graph({"a": ()}, {"a": {"end": "fail"}})
    Run.objects.filter(pk=run.pk).update(parameters={"day": "2026-01-31"})
    drain(run)
    page = rerun_from_failure(ada, run)
    assert page.status == 200 and "no parameter &#x27;day&#x27;" in page.html


def test_buttons_fit_the_state_of_the_run(ada):
    def offered(run):
        page = ada.open(f"/runs/{run.pk}/")
        buttons = {*page.links, *(form.action for form in page.forms if form.method == "post")}
        return {name for name in ("cancel", "rerun") if f"/runs/{run.pk}/{name}/" in buttons}

    run = open_graph({"a": ()}, {"a": {"end": "fail"}})
    assert offered(run) == {"cancel"}
    drain(run)
    assert offered(run) == {"rerun"}
    done = open_graph({"a": ()})
    drain(done)
    assert offered(done) == {"rerun"}  # of everything


def test_one_task_is_cancelled_and_one_is_repeated(ada):
    run = open_graph({"a": (), "b": ("a",), "x": ()})
    first = run.task_runs.get(identifier="a")
    send(ada, f"/runs/{run.pk}/tasks/{first.pk}/cancel/")
    assert states(run)["a"] == "cancelled"
    late = send(ada, f"/runs/{run.pk}/tasks/{first.pk}/cancel/")
    assert said(late, "has already finished or is being cancelled.")
    drain(run)
    plan = ada.open(f"/runs/{run.pk}/rerun/?key=x")
    assert "chosen" in plan.html and Run.objects.count() == 1
    ada.post(plan, plan.form("rerun"), {"start": "1"})
    assert Run.objects.exclude(pk=run.pk).get().scope == {"mode": "selected", "keys": ["x"], "revision": "same"}


# --- who may -------------------------------------------------------------------------------------------------
def test_viewers_can_neither_start_cancel_nor_rerun(eve):
    active, failed = open_graph({"a": ()}), open_graph({"a": ()}, {"a": {"end": "fail"}})
    drain(failed)
    before = states(active)
    task = active.task_runs.get()
    for path in (
        f"/flows/{active.flow.pk}/run/",
        f"/runs/{active.pk}/cancel/",
        f"/runs/{active.pk}/tasks/{task.pk}/cancel/",
        f"/runs/{failed.pk}/rerun/",
        "/runs/bulk/",
    ):
        assert send(eve, path, start="1", action="cancel", run=active.pk).status == 403
    for path in ("/flows/", f"/flows/{active.flow.pk}/", "/runs/", f"/runs/{active.pk}/", f"/runs/{failed.pk}/"):
        page = eve.open(path)
        buttons = [*page.links, *(form.action for form in page.forms if form.method == "post")]
        assert page.status == 200 and not [each for each in buttons if each.endswith(("/cancel/", "/rerun/", "/run/"))]
    active.refresh_from_db()
    assert (Run.objects.count(), active.cancel_requested_at, states(active)) == (2, None, before)


@pytest.mark.parametrize("path", [RUNS, TASKS])
def test_the_admin_has_no_second_way_to_cancel_and_rerun(db, path):
    root = Person("root", "everything")
    run = open_graph({"a": ()})
    row = run if path == RUNS else run.task_runs.get()
    for page in (root.open(path), root.open(f"{path}{row.pk}/change/")):
        assert page.status == 200 and not [form for form in page.forms if "action" in form.fields]
    for action in ("cancel", "rerun", "rerun_from_failure", "delete_selected"):
        send(root, path, action=action, _selected_action=row.pk, index="0", post="yes")
    run.refresh_from_db()
    assert (Run.objects.count(), run.cancel_requested_at, states(run)) == (1, None, {"a": "queued"})


def test_history_is_never_edited_not_even_by_an_administrator(db):
    root = Person("root", "everything")
    run = open_graph({"a": ()})
    task = run.task_runs.get()
    for path in (f"{RUNS}{run.pk}", f"{TASKS}{task.pk}"):
        token = root.open(f"{path}/change/").form("logout-form").fields["csrfmiddlewaretoken"][0]
        data = {"state": "succeeded", "owner": "me", "fence": "99", "csrfmiddlewaretoken": token}
        assert root.client.post(f"{path}/change/", data).status_code == 403
        assert root.client.get(f"{path}/delete/").status_code == 403
        assert root.client.post(f"{path}/delete/", {**data, "post": "yes"}).status_code == 403
    assert root.client.get(f"{RUNS}add/").status_code == root.client.get(f"{TASKS}add/").status_code == 403
    task.refresh_from_db()
    assert (task.state, task.fence) == ("queued", 0)


def test_people_who_cannot_see_runs_see_no_log(db):
    run = open_graph({"a": ()})
    drain(run)
    nosy = Person("nosy", "flows.view_flow")
    assert nosy.client.get(f"/admin/runs/run/log/{run.task_runs.get().pk}/1/").status_code == 403


# --- the log -------------------------------------------------------------------------------------------------
@pytest.fixture
def log(eve):
    run = open_graph({"a": ()}, {"a": {"print": "0123456789"}})
    drain(run)
    attempt = Attempt.objects.get()
    path = store.root() / attempt.log_path
    path.write_bytes(b"0123456789<script>\x1b[31m\x00\xff")
    return f"/admin/runs/run/log/{attempt.task_run_id}/{attempt.fence}/"


@pytest.mark.parametrize(
    ("query", "text", "end"),
    [
        ("", "0123456789<script>\x1b[31m\ufffd", "25"),
        ("?start=3&length=4", "3456", "7"),
        ("?start=-2", "\ufffd", "25"),
        ("?start=99", "", "25"),
        ("?start=0&length=0", "", "0"),
        ("?length=99999999999999999999", "0123456789<script>\x1b[31m\ufffd", "25"),
    ],
)
def test_a_log_is_read_by_byte_range_as_plain_text(eve, log, query, text, end):
    response = eve.client.get(log + query)
    assert response.content.decode() == text
    assert (response["X-Log-End"], response["X-Log-Size"]) == (end, "25")
    assert response["Content-Type"].startswith("text/plain") and response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("query", ["start=x", "length=", "start=1.5", "length=-1", "start=" + "9" * 5000, "start=%00"])
def test_bad_numbers_are_a_bad_request(eve, log, query):
    response = eve.client.get(f"{log}?{query}")
    assert response.status_code == 400 and b"whole numbers" in response.content


@pytest.mark.parametrize("path", ["999999/1/", "1/99/", f"{10**30}/1/", f"1/{10**30}/"])
def test_an_unknown_log_is_not_found(eve, log, path):
    assert eve.client.get(f"/admin/runs/run/log/{path}").status_code == 404


@pytest.mark.parametrize(
    "path", ["log/x/1/", "log/../1/", "log/1/-1/", f"{10**30}/change/", "0x10/change/", "%00/change/"]
)
def test_an_address_that_names_nothing_leads_back_and_says_so(eve, log, path):
    page = eve.open(f"{RUNS}{path}")
    assert page.status == 404 or "exist" in page.messages[0]


@pytest.mark.parametrize("row", ["9" * 30, "", "x", "-1", "1' or '1'='1", "\x00"])
def test_an_action_on_a_row_that_cannot_be_does_nothing(db, row):
    root = Person("root", "everything")
    environment = open_graph({"a": ()}).flow.environment
    page = root.open("/admin/flows/environment/")
    sent = {"action": "sync_environments", "_selected_action": row, "index": "0"}
    assert root.post(page, page.form("changelist-form"), sent).status == 400
    environment.refresh_from_db()
    assert environment.sync_requested_at is None


def test_a_log_that_leads_out_of_its_folder_is_not_found(eve, log):
    Attempt.objects.update(log_path="../keys/secret_key")
    assert eve.client.get(log).status_code == 404
    Attempt.objects.update(log_path="")
    assert eve.client.get(log).content == b""


def test_a_page_of_a_thousand_tasks_is_there_within_seconds(eve):
    run = open_graph({f"t{number}": () for number in range(1000)})
    with within(5):
        page = eve.open(f"{RUNS}{run.pk}/change/")
    assert "t999" in page.html


# --- and all of it once with an engine and dbt ------------------------------------------------------------------
def test_a_flow_started_on_its_page_runs_fails_and_is_rerun(engine, tmp_path):
    ada = Person("ada", *OPERATOR)
    models = {"a": "select 1 as id", "b": "select nonsense from {{ ref('a') }}"}
    flow = make_flow(write_project(tmp_path / "p", models))
    run_now(ada, flow)
    run = Run.objects.get()
    until(lambda: Run.objects.filter(pk=run.pk, state="failed").exists(), 60)
    page = ada.open(f"{RUNS}{run.pk}/change/")
    (log,) = [
        link for link in page.links if link.startswith("/admin/runs/run/log/") and link.split("/")[5] == str(_b(run).pk)
    ]
    assert "nonsense" in ada.client.get(log).content.decode()
    repeat(ada, rerun_from_failure(ada, run))
    again = Run.objects.get(retry_of=run)
    until(lambda: Run.objects.filter(pk=again.pk, state="failed").exists(), 60)
    assert states(again) == {"a": "reused", "b": "failed"}
    call_command("check_history")


def _b(run):
    return TaskRun.objects.get(run=run, identifier="b")


def test_a_run_that_is_being_cancelled_is_not_cancelled_twice(ada):
    run = open_graph({"a": ()}, start=False)
    cancel_run(run.pk, actor="bob")
    page = send(ada, f"/runs/{run.pk}/cancel/")
    assert said(page, f"#{run.pk} was already being cancelled by bob.")
