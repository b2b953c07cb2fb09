"""Environments that follow a branch: commits, pushes, broken ones, credentials, warehouses from fields."""

import hashlib
import hmac
import json
import re

import psycopg
import pytest
from django.test import Client

from flows.access import acting_as
from flows.models import Environment, Flow, Project
from flows.projects import credentials
from flows.variables.sealed import rotate
from flows.variables.values import save_variable
from nodes.models import Node
from nodes.services import save_node
from nodes.services.sync import SyncError, sync
from runs.logs import store
from runs.models import Attempt
from runs.operations.syncing import sync_if_requested, sync_what_is_due
from runs.states import RunState
from tests.helpers.engines import run_to_end
from tests.helpers.git_hosts import TOKEN, USER, Clone, git, https_host
from tests.helpers.pages import Person
from tests.helpers.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
PROJECT_YML = "name: shop\nprofile: shop\nversion: '1.0'\n"
SCRIPT = "import os, sys\nprint('said', sys.argv[1], os.getenv('MY_VAR'))\n"
PROJECTS, ENVIRONMENTS = "/admin/flows/project/", "/admin/flows/environment/"


@pytest.fixture
def clone(tmp_path):
    made = Clone(tmp_path / "host")
    made.write({"transform/dbt_project.yml": PROJECT_YML, "transform/models/a.sql": "select 1 as id"})
    made.write({"dex-custom-scripts/job/__main__.py": SCRIPT, "README.md": "the whole repository"})
    made.push("first")
    return made


@pytest.fixture
def environment(clone):
    project = Project.objects.create(name="shop", path=str(clone.bare), subfolder="transform")
    return Environment.objects.create(project=project, name="main", branch="main")


def test_a_push_is_the_next_revision_and_a_broken_one_keeps_the_last_good(engine, environment, clone):
    first = sync(environment)
    assert (first.subject, first.author) == ("first", "Ada") and len(first.commit) == 40
    flow = Flow.objects.create(name="flow", environment=environment)
    save_node(Node(flow=flow, name="all"))
    sha = clone.write({"transform/models/b.sql": "select 2 as id"}).push("a second model")
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED and run.revision.commit == sha
    assert {task.identifier for task in run.task_runs.all()} == {"a", "b"}

    clone.write({"transform/models/b.sql": "select * from {{ ref('gone') }}"}).push("broken")
    with pytest.raises(SyncError, match="gone"):
        sync(environment)
    environment.refresh_from_db()
    assert "gone" in environment.sync_error and environment.current_revision.commit == sha
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED and run.revision.commit == sha and "last good revision" in run.warnings[0]


def test_a_script_at_the_top_of_the_repository_runs_from_the_commit(engine, environment, clone):
    sync(environment)
    flow = Flow.objects.create(name="flow", environment=environment)
    save_variable(environment.project, environment, "MY_VAR", "mine", secret=False)
    arguments = [{"key": "x", "value": "one"}]
    save_node(Node(flow=flow, name="job", kind="script", package="job", arguments=arguments))
    sha = clone.write({"dex-custom-scripts/job/__main__.py": SCRIPT + "print('newer')\n"}).push("newer")
    run = run_to_end(flow)
    said = store.read(Attempt.objects.get(task_run__run=run).log_path).text
    assert run.state == RunState.SUCCEEDED and run.revision.commit == sha
    assert "said one mine\nnewer" in said


def test_two_commits_with_the_same_content_are_two_revisions(environment, clone):
    first = sync(environment)
    clone.push("nothing changed")
    second = sync(environment)
    assert first.pk != second.pk and first.fingerprint == second.fingerprint and second.subject == "nothing changed"
    assert sync(environment).pk == second.pk


# --- pushes and intervals ---------------------------------------------------------------------------------------
def tell(project, body, *, secret, gitlab=False, **headers):
    data = json.dumps(body).encode()
    if gitlab:
        headers = {"X-Gitlab-Token": secret, "X-Gitlab-Event": "Push Hook", **headers}
    else:
        signature = "sha256=" + hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": "push", **headers}
    return Client(enforce_csrf_checks=True).post(
        f"/hooks/git/{project.pk}/", data, content_type="application/json", headers=headers
    )


def test_a_push_that_the_host_tells_of_syncs_the_environments_of_its_branch(environment, clone):
    sync(environment)
    project = environment.project
    ada = Person("ada", "flows.change_project", "flows.view_project")
    page = ada.open(f"/projects/{project.pk}/pushes/")
    page = ada.post(page, page.form("pushes"), {})
    (secret,) = re.findall(r'<code id="secret">([^<]+)</code>', page.html)
    assert secret not in ada.open(f"/projects/{project.pk}/pushes/").html
    sha = clone.write({"transform/models/c.sql": "select 3 as id"}).push("pushed")
    answer = tell(project, {"ref": "refs/heads/main"}, secret=secret)
    assert (answer.status_code, answer.json()) == (202, {"synced": 1, "branch": "main"})
    sync_if_requested(environment.pk)  # what the message asks a worker for
    environment.refresh_from_db()
    assert environment.current_revision.commit == sha and environment.sync_requested_at is None
    assert tell(project, {"ref": "refs/heads/main"}, secret=secret, gitlab=True).status_code == 202
    for answer in (
        tell(project, {"ref": "refs/heads/other"}, secret=secret),
        tell(project, {"ref": "refs/tags/v1"}, secret=secret),
        tell(project, ["x"], secret=secret),
        tell(project, {"zen": "ping"}, secret=secret, **{"X-GitHub-Event": "ping"}),
    ):
        assert answer.status_code == 200 and answer.json()["synced"] == 0
    for answer in (
        tell(project, {"ref": "refs/heads/main"}, secret="wrong"),
        tell(project, {"ref": "refs/heads/main"}, secret="wrong", gitlab=True),
        tell(project, {"ref": "refs/heads/main"}, secret="", gitlab=True),
        Client().post(f"/hooks/git/{project.pk}/", b"{}", content_type="application/json"),
        Client().post("/hooks/git/99999/", b"{}", content_type="application/json"),
    ):
        assert answer.status_code == 401
    assert Client().post(f"/hooks/git/{2**70}/", b"{}", content_type="application/json").status_code == 404
    page = ada.open(f"/projects/{project.pk}/pushes/")
    ada.post(page, page.form("pushes"), {"stop": "1"})
    assert tell(project, {"ref": "refs/heads/main"}, secret=secret).status_code == 401
    assert tell(project, {"ref": "refs/heads/main"}, secret="").status_code == 401


def test_a_deleted_branch_is_reported_and_not_synced(environment, clone):
    revision = sync(environment)
    project = environment.project
    credentials.keep(project, "push_secret", "key")
    project.save()
    for body, gitlab in (
        ({"ref": "refs/heads/main", "deleted": True, "after": "0" * 40}, False),
        ({"ref": "refs/heads/main", "after": "0" * 40}, True),
    ):
        Environment.objects.update(sync_error="")
        answer = tell(project, body, secret="key", gitlab=gitlab)
        assert answer.status_code == 200 and answer.json() == {
            "synced": 0,
            "branch": "main",
            "said": "The branch was deleted.",
        }
        environment.refresh_from_db()
        assert environment.sync_requested_at is None and environment.current_revision == revision
        assert "The branch main was deleted" in environment.sync_error
    assert "The branch main was deleted" in Person("ada", "everything").open(ENVIRONMENTS).html


def test_a_pushed_tag_of_the_branchs_name_is_not_the_branch(environment, clone):
    sha = sync(environment).commit
    clone.write({"transform/models/c.sql": "select 3 as id"}).push("newer")
    git(clone.work, "tag", "main", sha)
    git(clone.work, "push", "--quiet", "origin", "refs/tags/main")
    newer = sync(environment)
    assert newer.commit != sha and newer.subject == "newer"


def test_an_environment_is_synced_when_its_interval_is_over(environment, clone):
    sync(environment)
    sync_what_is_due()
    environment.refresh_from_db()
    assert environment.sync_requested_at is None
    Environment.objects.update(sync_every=5, synced_at="2026-01-01T00:00:00Z")
    sync_what_is_due()
    environment.refresh_from_db()
    assert environment.sync_requested_at is not None


# --- pages ------------------------------------------------------------------------------------------------------
def test_a_repository_is_added_on_the_pages_with_a_token_that_nobody_sees_again(engine, tmp_path, clone, settings):
    ada = Person("ada", "everything")
    with https_host(clone.bare.parent) as (url, authority):
        settings.GIT_ENVIRONMENT = {"GIT_SSL_CAINFO": str(authority)}
        typed = {"url": f"{url}/shop.git", "subfolder": "/transform/", "username": USER, "new_token": TOKEN}
        page = ada.fill(f"{PROJECTS}add/", name="shop", path="", **typed)
        assert "was added successfully" in page.messages[0], page.html
        page = ada.fill(f"{ENVIRONMENTS}add/", project="shop", name="main")
        environment = Environment.objects.get()
        assert environment.branch == "main"  # a repository has one, and this is what it is called
        ada.act(ENVIRONMENTS, "sync_environments", environment)
        until(lambda: Environment.objects.filter(pk=environment.pk, sync_requested_at=None).exists(), what="the sync")
        environment.refresh_from_db()
        assert environment.current_revision is not None, environment.sync_error
    project = Project.objects.get()
    assert project.subfolder == "transform" and credentials.value_of(project, "token") == TOKEN
    assert TOKEN not in project.token
    for path in (f"{PROJECTS}{project.pk}/change/", PROJECTS, f"{ENVIRONMENTS}{environment.pk}/change/"):
        page = ada.open(path)
        assert page.status == 200 and TOKEN not in page.html and page.inline == []
    assert "first, by Ada" in ada.open(f"{ENVIRONMENTS}{environment.pk}/change/").html
    ada.fill(f"{PROJECTS}{project.pk}/change/", username="other")
    project.refresh_from_db()
    assert credentials.value_of(project, "token") == TOKEN  # an empty field keeps it
    ada.fill(f"{PROJECTS}{project.pk}/change/", forget="on")
    project.refresh_from_db()
    assert credentials.value_of(project, "token") == ""


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"url": "https://u:p@h/x"}, "url", "must not contain a user name or password"),
        ({"url": "ext::sh -c x"}, "url", "space"),
        ({"url": "http://h/x"}, "url", "other protocols are not allowed"),
        ({"url": "https://h/x", "path": "/tmp"}, "path", "not both"),
        ({}, "path", "URL of a repository or a folder"),
        ({"url": "git@h:x"}, "known_hosts", "ssh-keyscan"),
        ({"url": "https://h/x", "subfolder": "../x"}, "subfolder", "a folder in the repository"),
    ],
)
def test_an_address_that_is_no_repository_is_an_error_at_its_field(typed, field, said):
    ada = Person("ada", "everything")
    page = ada.fill(f"{PROJECTS}add/", name="shop", **{"path": "", **typed})
    assert not Project.objects.exists() and said in page.errors(field)[0]


def test_credentials_are_bound_to_their_project_and_field_and_are_rotated(environment, settings, tmp_path):
    project = environment.project
    other = Project.objects.create(name="other", path="/nowhere")
    credentials.keep(project, "token", "a-token-to-keep")
    other.token = project.token
    other.save()
    assert credentials.all_of(other) == []
    Project.objects.filter(pk=project.pk).update(private_key=project.token)
    project.refresh_from_db()
    assert credentials.all_of(project) == ["a-token-to-keep"]
    Project.objects.filter(pk=project.pk).update(private_key="")
    from cryptography.fernet import Fernet

    from flows.variables.encryption import keys_path

    before = keys_path().read_text()
    try:
        keys_path().write_text(f"{Fernet.generate_key().decode()}\n{before}")
        assert rotate()["rotated"] == 1
        project.refresh_from_db()
        assert credentials.value_of(project, "token") == "a-token-to-keep"
        assert rotate() == {"secrets": 2, "rotated": 0, "unreadable": 1}
    finally:
        keys_path().write_text(before)


def test_only_people_who_can_change_projects_can_save_credentials(environment):
    bob = Person("bob", "flows.view_project")
    from django.core.exceptions import PermissionDenied

    with acting_as(bob.user), pytest.raises(PermissionDenied):
        credentials.keep(environment.project, "token", "x")


# --- the warehouse ----------------------------------------------------------------------------------------------
def test_a_warehouse_from_fields_runs_with_a_secret_that_is_in_no_file_and_no_log(
    engine, environment, postgres, settings
):
    ada = Person("ada", "everything")
    save_variable(environment.project, None, "WAREHOUSE_PASSWORD", "warehouse-secret-1", secret=True)
    save_variable(environment.project, environment, "SCHEMA", "marts_of_ada", secret=False)
    fields = {
        "warehouse_type": "PostgreSQL",
        "postgres_host": "127.0.0.1",
        "postgres_port": str(postgres.port),
        "postgres_user": "dex",
        "postgres_password": "{{ WAREHOUSE_PASSWORD }}",
        "postgres_dbname": "dex",
        "postgres_schema": "{{ SCHEMA }}",
    }
    page = ada.fill(f"{ENVIRONMENTS}{environment.pk}/change/", **{**fields, "postgres_password": "typed-in-clear"})
    assert "Add it as a secret" in page.errors("postgres_password")[0]
    ada.fill(f"{ENVIRONMENTS}{environment.pk}/change/", **fields)
    environment.refresh_from_db()
    assert environment.warehouse["type"] == "postgres"
    sync(environment)
    flow = Flow.objects.create(name="flow", environment=environment)
    save_node(Node(flow=flow, name="all"))
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED, run.error
    with psycopg.connect(postgres.url) as asked:
        assert asked.execute("select count(*) from marts_of_ada.a").fetchone() == (1,)
    from pathlib import Path

    for path in Path(settings.DEX_HOME).rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".sock") and path.stat().st_size < 5_000_000:
            assert b"warehouse-secret-1" not in path.read_bytes(), path
    assert "warehouse-secret-1" not in ada.open(f"{ENVIRONMENTS}{environment.pk}/change/").html


def test_a_warehouse_field_that_names_a_missing_variable_is_an_error(environment):
    environment.warehouse = {
        "type": "postgres",
        "host": "h",
        "port": "1",
        "user": "u",
        "password": "{{ GONE }}",
        "dbname": "d",
        "schema": "s",
    }
    environment.save()
    with pytest.raises(SyncError, match="There is no variable GONE"):
        sync(environment)
