"""Projects, environments and flows as a new user makes them in the admin."""

import json
import re
import shutil

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.models import Environment, Flow, Project
from flows.projects import checks
from nodes.models import Node
from nodes.services import save_node
from runs.operations.syncing import sync_if_requested
from tests.helpers.engines import write_project
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Page, Person, sample_flow
from tests.helpers.paths import SAMPLE

pytestmark = pytest.mark.django_db
PROJECTS, ENVIRONMENTS, FLOWS = "/admin/flows/project/", "/admin/flows/environment/", "/admin/flows/flow/"


@pytest.fixture
def ada():
    return Person("ada", "everything")


# --- projects ----------------------------------------------------------------------------------------------
def test_a_project_is_a_folder_with_a_dbt_project(ada):
    page = ada.fill(f"{PROJECTS}add/", name="shop", path=f"{SAMPLE}/models/..")
    assert "was added successfully" in page.messages[0]
    assert Project.objects.get().path == str(SAMPLE)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/no/such/folder", "The folder /no/such/folder does not exist"),
        ("tests/sample_project", "is not an absolute path"),
        (str(SAMPLE.parent), "has no dbt_project.yml"),
        (str(SAMPLE / "dbt_project.yml"), f"enter its folder, {SAMPLE}"),
        (str(SAMPLE / "profiles.yml"), "does not exist on this machine"),
        ("~nobody-of-this-name/project", "dex cannot open the folder"),
        ("/" + "x" * 900, "dex cannot open the folder"),
        ("/" + "x/" * 700, "at most 1000 characters"),
        ("/tmp/\x00", "Null characters"),
        ("", "URL of a repository or a folder"),
        ("<img src=x onerror=alert(1)>", "is not an absolute path"),
    ],
)
def test_a_folder_that_is_no_project_is_an_error_at_its_field(ada, path, says):
    page = ada.fill(f"{PROJECTS}add/", name="shop", path=path)
    assert page.status == 200 and not Project.objects.exists()
    assert says in page.errors("path")[0]
    assert page.inline == []
    assert page.form("project_form").fields["name"] == ["shop"]


# --- environments ------------------------------------------------------------------------------------------
def test_an_environment_is_added_and_synced_and_a_broken_project_keeps_its_last_good_revision(ada, tmp_path):
    folder = write_project(tmp_path / "small", {"a": "select 1 as id"})
    ada.fill(f"{PROJECTS}add/", name="small", path=str(folder))
    page = ada.fill(f"{ENVIRONMENTS}add/", project="small", name="main")
    assert any("Sync small / main" in said for said in page.messages)
    environment = Environment.objects.get()
    assert environment.current_revision is None

    page = ada.act(ENVIRONMENTS, "sync_environments", environment)
    environment.refresh_from_db()
    state = f"/environments/{environment.pk}/sync/"
    assert page.messages == ["A worker syncs small / main."] and page.url == f"{ENVIRONMENTS}{environment.pk}/change/"
    assert environment.current_revision is None and state in page.html  # the page asks until a worker has done it
    assert "Syncing, requested" in ada.open(state).html
    sync_if_requested(environment.pk)
    environment.refresh_from_db()
    good = environment.current_revision
    assert f"At {good}" in ada.open(state).html and "hx-get" not in ada.open(state).html

    (folder / "models" / "b.sql").write_text("select * from {{ ref('<script>gone</script>') }}")
    page = ada.open(f"{ENVIRONMENTS}{environment.pk}/change/")
    page = ada.press(page, "sync_environments")
    assert page.inline == []
    sync_if_requested(environment.pk)
    said = ada.open(state)
    assert "The last sync failed" in said.html and "gone" in said.html and "<script>gone" not in said.html
    environment.refresh_from_db()
    assert environment.current_revision == good
    page = ada.open(f"{ENVIRONMENTS}{environment.pk}/change/")
    assert "gone" in page.shown("sync_error") and page.inline == []
    assert str(good) in page.shown("commit")

    shutil.rmtree(folder)
    ada.act(ENVIRONMENTS, "sync_environments", environment)
    sync_if_requested(environment.pk)
    assert "no dbt_project.yml" in ada.open(state).html


def test_an_environment_with_flows_is_not_deleted_under_them(ada):
    flow = sample_flow()
    page = ada.act(ENVIRONMENTS, "delete_selected", flow.environment, post="yes")
    assert page.status == 200 and Environment.objects.filter(pk=flow.environment_id).exists()
    assert "Daily shop" in page.html


# --- flows -------------------------------------------------------------------------------------------------
def add_flow(person, environment, **fields):
    page = person.open("/flows/new/")
    return person.post(page, page.form("settings"), {"name": "Daily", "environment": str(environment), **fields})


@pytest.fixture
def environment(tmp_path):
    """Never parsed: enough for the settings of a flow."""
    project = Project.objects.create(name="small", path=str(write_project(tmp_path / "small", {})))
    return Environment.objects.create(project=project, name="main")


def test_a_flow_is_added_with_its_parameters(ada, environment):
    declared = [{"name": "day", "type": "date", "required": True}, {"name": "limit", "type": "integer", "default": 5}]
    page = add_flow(ada, environment, parameters=json.dumps(declared))
    assert page.errors("parameters") == []
    assert Flow.objects.get().parameters == declared


def test_a_flow_needs_no_parameters(ada, environment):
    add_flow(ada, environment, parameters="")
    assert Flow.objects.get().parameters == []


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("day", "Enter a valid JSON"),
        ('[{"name": "day"', "Enter a valid JSON"),
        ("[" * 100_000, "Enter a valid JSON"),
        ('[{"name": "a", "type": "integer", "default": ' + "9" * 5000 + "}]", "Enter a valid JSON"),
        ('{"name": "day"}', "are a list of objects"),
        ('[{"name": "two words"}]', "needs a name of letters"),
        ('[{"name": "day", "type": "datum"}]', "use one of text, integer, number, flag, date"),
        ('[{"name": "day", "type": ["date"]}]', "use one of text, integer, number, flag, date"),
        ('[{"name": "day"}, {"name": "day"}]', "declared twice"),
        ('[{"name": "x", "default": NaN}]', "x must be text"),
        ('[{"name": "x", "type": "integer", "default": 1e999}]', "x must be a whole number"),
        ('[{"name": "x", "label": "y"}]', "known are name, type, default, required"),
        ('"<script>alert(1)</script>"', "are a list of objects"),
    ],
)
def test_invalid_parameters_are_errors_at_their_field_and_nothing_typed_is_lost(ada, environment, typed, says):
    page = add_flow(ada, environment, parameters=typed, description="for the morning")
    assert page.status == 422 and not Flow.objects.exists()
    assert says in page.errors("parameters")[0]
    sent = page.form("settings").fields
    assert (sent["description"], sent["name"]) == (["for the morning"], ["Daily"])
    if "Enter" in says:
        assert sent["parameters"] == [typed]
    assert page.inline == []


@pytest.mark.parametrize(
    ("fields", "at"),
    [({"retries": "21"}, "retries"), ({"retry_delay": "-1"}, "retry_delay"), ({"timeout": "9" * 30}, "timeout")],
)
def test_numbers_out_of_range_are_errors_at_their_field(ada, environment, fields, at):
    page = add_flow(ada, environment, **fields)
    assert page.status == 422 and page.errors(at) and not Flow.objects.exists()


def test_a_name_is_taken_once(ada, environment):
    add_flow(ada, environment)
    assert add_flow(ada, environment).errors("name") == ["Flow with this Name already exists."]


# --- who may, and what pages are made of --------------------------------------------------------------------
def everything_there_is():
    """A row of every kind, with names that would be markup."""
    hostile = "<img src=x onerror=alert(1)>'\"{{7*7}}"
    flow = sample_flow(hostile, description=hostile)
    first = save_node(Node(flow=flow, name=hostile, include=["stg_orders"]))
    second = save_node(Node(flow=flow, name=f"{hostile} 2", include=["stg_customers"]))
    flow.links.create(up=first, down=second)
    run = open_graph({hostile: (), "b": (hostile,)}, {hostile: {"end": "fail"}})
    drain(run)
    return hostile


def admin_pages(person):
    """Every page of the admin that a link could lead this person to: path -> response."""
    seen, waiting = {}, ["/admin/"]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.startswith("/admin/"):
            continue
        seen[path] = person.client.get(path)
        if seen[path].status_code == 200 and seen[path]["Content-Type"].startswith("text/html"):
            links = [link.split("?")[0].split("#")[0] for link in Page(seen[path]).links]
            waiting += [link for link in links if link and "logout" not in link and "/r/" not in link]
    return seen


@pytest.mark.exhaustive
def test_no_page_has_what_the_strict_policy_blocks_and_hostile_names_stay_text():
    hostile = everything_there_is()
    pages = admin_pages(Person("reader", "everything"))
    kinds = {re.sub(r"\d+", "N", path) for path in pages}
    for expected in (
        "runs/run/N/change/",
        "runs/taskrun/N/change/",
        "flows/project/N/delete/",
        "flows/flow/N/history/",
    ):
        assert f"/admin/{expected}" in kinds
    assert len(kinds) > 40
    for path, response in pages.items():
        assert response.status_code in (200, 302), path
        policy = response["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "style-src 'self'" in policy and "unsafe" not in policy, path
        if response.status_code == 200 and response["Content-Type"].startswith("text/html"):
            page = Page(response)
            assert page.inline == [], path
            assert hostile not in page.html, path


@pytest.mark.exhaustive
def test_looking_never_writes():
    everything_there_is()
    person = Person("reader", "everything")
    with CaptureQueriesContext(connection) as asked:
        pages = admin_pages(person)
        for path in pages:
            person.client.head(path)
    written = [query["sql"] for query in asked if not query["sql"].startswith(("SELECT", "PRAGMA", "EXPLAIN"))]
    assert len(pages) > 40 and written == []


def test_without_a_login_everything_but_healthz_leads_to_the_login_page():
    everything_there_is()
    visitor = Client()
    for path in [*admin_pages(Person("reader", "everything")), "/", "/admin/nothing/", "/admin/runs/run/log/1/1/"]:
        if path in ("/admin/login/", "/admin/logout/"):
            continue
        for method in ("get", "post", "head"):
            response = getattr(visitor, method)(path)
            assert response.status_code == 302 and response["Location"].startswith("/admin/login/"), (method, path)
    assert visitor.get("/healthz").json() == {"status": "ok"}
    assert visitor.post("/healthz").status_code == 405
    assert visitor.get("/healthz/").status_code == visitor.get("/x/healthz").status_code == 404


def test_a_user_who_is_not_staff_sees_nothing():
    person = Person("eve", staff=False)
    for path in ("/admin/", FLOWS, "/admin/runs/run/"):
        assert person.client.get(path)["Location"].startswith("/admin/login/")


def test_a_form_without_its_token_is_refused(ada, environment):
    flow = Flow.objects.create(name="Daily", environment=environment)
    assert ada.client.post(f"/flows/{flow.pk}/run/", {"start": "1"}).status_code == 403
    assert ada.client.post(ENVIRONMENTS, {"action": "sync_environments", "_selected_action": "1"}).status_code == 403
    assert not flow.runs.exists()


def test_the_health_page_says_when_the_database_does_not_answer(monkeypatch):
    def broken() -> None:
        raise DatabaseError("password=hunter2")

    monkeypatch.setattr(connection, "cursor", broken)
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (503, {"status": "the database does not answer"})


# --- the system check ----------------------------------------------------------------------------------------
def found():
    return run_checks(tags=[Tags.database], databases=["default"])


def test_an_environment_whose_project_is_gone_is_named_by_the_system_check(environment, tmp_path):
    assert found() == []
    (tmp_path / "small" / "dbt_project.yml").unlink()
    (error,) = found()
    assert error.id == "flows.E001"
    assert "environment small/main has no dbt_project.yml" in error.msg
    assert "project small in the admin" in error.hint
    with pytest.raises(SystemCheckError, match=r"flows\.E001"):
        call_command("check", databases=["default"])


def test_a_deleted_project_does_not_keep_other_commands_from_starting(environment, tmp_path):
    (tmp_path / "small" / "dbt_project.yml").unlink()
    assert run_checks() == []


def test_the_check_is_quiet_while_migrations_are_missing(environment, tmp_path, monkeypatch):
    (tmp_path / "small" / "dbt_project.yml").unlink()
    monkeypatch.setattr(checks.MigrationExecutor, "migration_plan", lambda *_: ["one"])
    assert found() == []
