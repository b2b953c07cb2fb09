"""Who may open and send what: every address x (visitor, viewer, operator, editor, admin) x method, against a table.

An address that is not in the table fails the build. Every address checks permissions, nothing is open but what is
listed, and state changes are POST with a token; looking never writes.
"""

import base64
import io
import json
import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from flows.access import ROLES, SYSTEM, acting_as, role_permissions
from flows.logins import tokens
from flows.models import Flow, LogIn, Token, Variable
from flows.projects.credentials import keep, new_push_secret
from flows.variables.values import save_variable
from nodes import services as node_services
from nodes.connections.services import save_connection
from nodes.models import Connection, ConnectionCheck, Link, Node
from runs import services as run_services
from runs.alerts import services as alerts
from runs.models import Attempt, Channel, Delivery, FailureGroup, Pool, Run, TaskRun, Trigger
from runs.pages.run_list.bulk import acknowledge_all, cancel_all
from runs.pages.run_list.repeating import rerun_all
from runs.planning.reruns import rerun
from runs.scheduling.planned import plan_start, withdraw_start
from tests.helpers.pages import sample_flow

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db]

NOBODY, ANYBODY, NO = "nobody", "anybody", "not allowed"
TOKEN = "a token"  # a session, whoever's, is 401 there: tests/runs/api/test_api.py asks with tokens
PEOPLE = ("visitor", *ROLES)
# address -> (the least that may GET it, the least that may POST to it); NO: there is no such method (405)
TABLE = {
    "healthz": (ANYBODY, NO),
    "readyz": (ANYBODY, NO),
    "metrics": (TOKEN, TOKEN),
    "home": ("viewer", NO),
    "switch-environment": (NO, "viewer"),
    "search": ("viewer", NO),
    "status": ("admin", NO),
    "runs": ("viewer", NO),
    "runs:bulk_runs": (NO, "operator"),
    "runs:flows": ("viewer", NO),
    "runs:calendar": ("viewer", NO),
    "runs:dbt_runtime": ("admin", "admin"),
    "runs:dbt_runtime_state": ("admin", NO),
    "runs:bulk": (NO, "viewer"),  # what it does is asked of the services: see below
    "runs:start": ("operator", "operator"),
    "runs:states": ("viewer", NO),
    "runs:due": ("viewer", NO),
    "runs:plan": ("operator", "operator"),
    "runs:run": ("viewer", NO),
    "runs:live": ("viewer", NO),
    "runs:graph": ("viewer", NO),
    "runs:cancel": (NO, "operator"),
    "runs:rerun": ("operator", "operator"),
    "runs:compare": ("viewer", NO),
    "runs:task": ("viewer", NO),
    "runs:cancel_task": (NO, "operator"),
    "runs:log": ("viewer", NO),
    "runs:log_tail": ("viewer", NO),
    "runs:log_download": ("operator", NO),
    "runs:withdraw": (NO, "operator"),
    "runs:failures": ("viewer", NO),
    "runs:failure": ("viewer", "operator"),
    "runs:alerts": ("admin", NO),
    "runs:alert_new": ("admin", "admin"),
    "runs:alert": ("admin", "admin"),
    "runs:alert_test": (NO, "admin"),
    "runs:alert_secret": (NO, "admin"),
    "runs:alert_delete": (NO, "admin"),
    "runs:alert_again": (NO, "admin"),
    "runs:virtualenv": ("viewer", "editor"),
    "runs:start_script_test": (NO, "editor"),
    "runs:script_test": ("viewer", NO),
    "flows:pushes": ("admin", "admin"),
    "pushed": (NO, TOKEN),  # the signature says who: tests/runs/operations/test_environments_from_git.py
    "flows:tokens": ("viewer", "viewer"),
    "flows:revoke_token": (NO, "viewer"),  # one's own: tests/flows/logins/test_tokens.py
    "api:flows": (TOKEN, TOKEN),
    "api:flow": (TOKEN, TOKEN),
    "api:flow_runs": (TOKEN, TOKEN),
    "api:run": (TOKEN, TOKEN),
    "api:tasks": (TOKEN, TOKEN),
    "api:cancel": (TOKEN, TOKEN),
    "api:nothing": (TOKEN, TOKEN),
    "nodes:new_flow": ("editor", "editor"),
    "nodes:schedule": ("viewer", NO),
    "nodes:settings": ("viewer", "editor"),
    "nodes:pause": (NO, "operator"),
    "nodes:delete_flow": ("editor", "editor"),
    "nodes:duplicate_flow": (NO, "editor"),
    "nodes:import": ("editor", "editor"),
    "nodes:editor": ("viewer", NO),
    "nodes:canvas": ("viewer", "editor"),
    "nodes:preview": (NO, "editor"),
    "nodes:suggest": ("editor", NO),
    "nodes:new": ("editor", "editor"),
    "nodes:node": ("viewer", "editor"),
    "nodes:components": ("viewer", NO),
    "nodes:delete": (NO, "editor"),
    "nodes:history": ("viewer", NO),
    "nodes:version": ("viewer", NO),
    "nodes:restore": (NO, "editor"),
    "nodes:yaml": ("viewer", NO),
    "nodes:connections": ("admin", NO),
    "nodes:connection_new": ("admin", NO),
    "nodes:connection_settings": ("admin", "admin"),
    "nodes:connection": ("admin", "admin"),
    "nodes:connection_tables": ("admin", "admin"),
    "nodes:connection_sources": ("admin", NO),
    "nodes:connection_accept": (NO, "admin"),
    "nodes:connection_delete": (NO, "admin"),
    "runs:check_connection": (NO, "admin"),
    "runs:connection_check": ("admin", NO),
    "runs:sync": ("editor", NO),
    "runs:warehouse_check": ("editor", NO),
    "runs:check_warehouse": (NO, "admin"),
    "nodes:variables": ("editor", NO),
    "nodes:new_variable": ("admin", "admin"),
    "nodes:variable": ("editor", "admin"),
    "nodes:delete_variable": (NO, "admin"),
    "nodes:models": ("viewer", NO),
    "nodes:model": ("viewer", NO),
    "nodes:lineage": ("viewer", NO),
    "admin:index": ("viewer", "viewer"),
    "admin:app_list": ("viewer", "viewer"),
    "admin:login": (ANYBODY, ANYBODY),
    "admin:logout": (NO, "viewer"),
    "admin:password_change": ("viewer", "viewer"),
    "admin:password_change_done": ("viewer", NO),
    "admin:autocomplete": (NOBODY, NO),
    "admin:jsi18n": ("viewer", NO),
    "admin:view_on_site": ("viewer", "viewer"),
    "admin:runs_log": ("viewer", "viewer"),
    "admin:auth_user_password_change": ("admin", "admin"),
}
# model -> who may look, add, change, delete
ROWS = {
    "flows_project": ("admin", "admin", "admin", "admin"),
    "flows_environment": ("editor", "admin", "admin", "admin"),
    "flows_revision": ("editor", NOBODY, NOBODY, NOBODY),
    "flows_login": ("admin", NOBODY, NOBODY, NOBODY),
    "flows_flow": ("viewer", NOBODY, NOBODY, NOBODY),
    "nodes_node": ("viewer", NOBODY, NOBODY, NOBODY),
    "nodes_link": ("viewer", NOBODY, NOBODY, NOBODY),
    "nodes_change": ("admin", NOBODY, NOBODY, NOBODY),
    "runs_run": ("viewer", NOBODY, NOBODY, NOBODY),
    "runs_taskrun": ("viewer", NOBODY, NOBODY, NOBODY),
    "runs_pool": ("admin", "admin", "admin", "admin"),
    "auth_group": ("admin", "admin", "admin", "admin"),
    "auth_user": ("admin", "admin", "admin", "admin"),
}
for model, (look, add, change, delete) in ROWS.items():
    TABLE |= {
        f"admin:{model}_changelist": (look, look),
        f"admin:{model}_add": (add, add),
        f"admin:{model}_change": (look, change),
        f"admin:{model}_delete": (delete, delete),
        f"admin:{model}_history": (look, look),
    }


def addresses(resolver=None, prefix="", namespace=""):
    for pattern in (resolver or get_resolver()).url_patterns:
        if hasattr(pattern, "url_patterns"):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from addresses(pattern, prefix + str(pattern.pattern), namespace + inner)
        else:
            yield prefix + str(pattern.pattern), namespace + (pattern.name or "")


def test_every_address_is_in_the_table():
    named = {name for _, name in addresses()}
    assert named - {"admin:"} == set(TABLE)  # the nameless ones lead from a row to its page, and from nothing to 404


@pytest.fixture
def world():
    """One of everything, and the path of every address."""
    flow = sample_flow("World")
    up = node_services.save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    down = node_services.save_node(Node(flow=flow, name="Marts", include=["tag:mart"]))
    arrow = node_services.link(up, down)
    loads = Connection.objects.create(
        project=flow.environment.project, name="shop", connector="sql_database", dataset="raw", streams=["orders"]
    )
    run = run_services.start_run(flow, trigger=Trigger.MANUAL, actor="test")
    task = TaskRun.objects.create(run=run, unique_id="model.shop.x", identifier="x", kind="transformation", fence=1)
    Attempt.objects.create(task_run=task, fence=1, owner="w", started_at=timezone.now(), log_path="1/1.log")
    pool = Pool.objects.create(name="api", slots=2)
    known = FailureGroup.objects.create(digest="0" * 64, text="x", first_seen=timezone.now(), last_seen=timezone.now())
    told = Channel.objects.create(name="team", kind="email", target="ada@example.org", events=["failure"])
    message = Delivery.objects.create(channel=told, event="failure", key="0", subject="x", status="sent")
    value = save_variable(flow.environment.project, None, "REGION", "eu", secret=False)
    check = ConnectionCheck.objects.create(
        connection=loads, environment=flow.environment, what="test", requested_by="ada"
    )
    planned = plan_start(flow, timezone.now() + timedelta(days=1))
    flow.refresh_from_db()
    group = Group.objects.get(name="viewer")
    holder = get_user_model().objects.create_user("holder")
    script = Token.objects.create(user=holder, name="script", digest="0" * 64)
    user = get_user_model().objects.create_user("somebody")
    rows = {
        "flows_project": flow.environment.project,
        "flows_environment": flow.environment,
        "flows_revision": flow.environment.current_revision,
        "flows_login": LogIn.objects.create(account="0" * 32, name="ada"),
        "flows_flow": flow,
        "nodes_node": up,
        "nodes_link": arrow,
        "nodes_change": flow.changes.first(),
        "runs_run": run,
        "runs_taskrun": task,
        "runs_pool": pool,
        "auth_group": group,
        "auth_user": user,
    }
    known = {
        "<id:flow_id>": flow.pk,
        "<id:node_id>": up.pk,
        "<id:connection_id>": loads.pk,
        "<id:check_id>": check.pk,
        "<id:environment_id>": flow.environment_id,
        "<slug:connector>": "sql_database",
        "<slug:what>": "test",
        "<id:number>": flow.version,
        "<slug:kind>": "transformation",
        "<path:unique_id>": "model.shop.mart_orders",
        "<id:task_run_id>": task.pk,
        "<id:fence>": 1,
        "<id:run_id>": run.pk,
        "<id:project_id>": flow.environment.project_id,
        "<id:other_id>": run.pk,
        "<id:tick_id>": planned.pk,
        "<id:token_id>": script.pk,
        "<id:variable_id>": value.pk,
        "<id:group_id>": known.pk,
        "<id:channel_id>": told.pk,
        "<id:delivery_id>": message.pk,
        "<id>": user.pk,
        "<path:content_type_id>": 1,
        "^(?P<app_label>flows|nodes|runs|auth)$": "flows",
        "^(?P<app_label>flows|nodes|runs|auth)/$": "flows/",
    }
    paths = {}
    for pattern, name in addresses():
        path = "/" + pattern
        for model, row in rows.items():
            if name.startswith(f"admin:{model}_"):
                path = path.replace("<path:object_id>", str(row.pk))
        for part, value in {**known, "<path:object_id>": 1}.items():
            path = path.replace(part, str(value))
        paths[name] = path
    return flow, paths


def person(role, **kwargs):
    client = Client(**kwargs)
    if role == "visitor":
        return client
    user, made = get_user_model().objects.get_or_create(username=f"the {role}")
    if made:
        user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return client


def allowed(role, least):
    if least in (NOBODY, NO):
        return False
    return least == ANYBODY or (role != "visitor" and PEOPLE.index(role) >= PEOPLE.index(least))


def decision(response, path):
    """What an answer says about permission: "in", "login", "refused", "no token" or "no method"."""
    if response.status_code == 302 and response["Location"].startswith("/admin/login/"):
        return "login"
    if response.status_code in (401, 403, 405):
        return {401: "no token", 403: "refused", 405: "no method"}[response.status_code]
    assert response.status_code < 500, (path, response.status_code)
    return "in"


def expected(role, least, name):
    if least == TOKEN:
        return {"no token"}
    if role == "visitor" and least != ANYBODY:
        return {"login", "no method"} if least == NO else {"login"}
    if least == NO:
        return {"no method", "refused"}  # where both hold, either may be said
    return {"in"} if allowed(role, least) else {"refused"}


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("method", ["get", "head", "post", "put", "delete"])
def test_every_address_opens_for_whom_the_table_says(world, role, method):
    _, paths = world
    wrong = {}
    client = person(role)
    for name, (get, post) in TABLE.items():
        if method in ("post", "put", "delete") and name == "admin:logout" and role != "visitor":
            continue  # it would end the session of the walk; it has a test of its own
        answer = getattr(client, method)(paths[name])
        said = decision(answer, paths[name])
        least = {"get": get, "head": get, "post": post}.get(method, NO)
        if method in ("put", "delete"):
            # No page takes these; the admin's treat them as looking.
            shut = ("login", "no method", "no token")
            assert role != "visitor" or said in shut or get == ANYBODY or post == ANYBODY, name
            assert get != TOKEN or said == "no token", name
            continue
        if said not in expected(role, least, name):
            wrong[name] = (said, expected(role, least, name), answer.status_code)
    assert wrong == {}


def test_looking_writes_nothing(world):
    _, paths = world
    client = person("admin")
    for path in paths.values():  # the first look of a session may mark it
        client.get(path)
    with CaptureQueriesContext(connection) as asked:
        for name, path in paths.items():
            if name not in ("admin:logout",):
                client.get(path)
                client.head(path)
    harmless = ("SELECT", "PRAGMA", "EXPLAIN", "SAVEPOINT", "RELEASE")
    assert [query["sql"] for query in asked if not query["sql"].lstrip().startswith(harmless)] == []


def test_no_page_answer_or_copy_of_the_database_holds_a_secret(world):
    """S5: values that no page could show by chance are kept wherever dex keeps secrets, then everything is opened."""
    flow, paths = world
    project = flow.environment.project
    kept = {each: f"S3CR3T-{uuid4().hex}" for each in ("variable", "own", "token", "private_key", "password")}
    save_variable(project, None, "TOKEN", kept["variable"], secret=True)
    save_variable(project, flow.environment, "OWN", kept["own"], secret=True)
    keep(project, "token", kept["token"])
    keep(project, "private_key", kept["private_key"])
    pushes = new_push_secret(project)
    loads = Connection.objects.get()
    save_connection(
        loads,
        {"system": "postgresql", "host": "db", "database": "shop", "user": "reader", "password": kept["password"]},
    )
    root = Client()
    root.force_login(get_user_model().objects.create_superuser("root"))
    with acting_as(get_user_model().objects.get(username="root")):
        _, script = tokens.issue("script", timezone.now() + timedelta(days=1))
    program = Client(headers={"authorization": f"Bearer {script}"})
    row = Variable.objects.get(name="TOKEN")
    more = [f"/variables/{row.pk}/", *(f"/search/?q={words}" for words in ("TOKEN", "S3CR3T", kept["own"]))]
    opened = 0
    for path in (*paths.values(), *more):
        if path != paths["admin:logout"]:
            for client in (root, program):
                answer = client.get(path)
                body = answer.getvalue() if answer.streaming else answer.content
                opened += answer.status_code == 200
                shown = [what for what, value in (*kept.items(), ("pushes", pushes)) if told(value, body, path)]
                assert shown == [], path
    assert opened > len(paths) / 2  # or the walk is blind
    copies = io.StringIO()
    call_command("dumpdata", stdout=copies)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            copies.write(repr(cursor.fetchall()))
    everything = copies.getvalue().encode()
    assert [
        what for what, value in (*kept.items(), ("pushes", pushes), ("api", script)) if told(value, everything)
    ] == []


def told(value, body, path=""):
    """Whether bytes hold a value, as it is or as base64; an address that was typed with it may repeat it."""
    typed = value in path
    return not typed and any(form in body for form in (value.encode(), base64.b64encode(value.encode()).rstrip(b"=")))


@pytest.mark.parametrize("role", ["visitor", "admin"])
def test_a_post_without_the_token_or_from_elsewhere_changes_nothing(world, role):
    flow, paths = world
    client = person(role, enforce_csrf_checks=True)
    before = (flow.version, Run.objects.count(), Flow.objects.count(), Node.objects.count(), Link.objects.count())
    for path in paths.values():
        for headers in ({}, {"Origin": "https://elsewhere.example"}, {"X-CSRFToken": "x" * 64}):
            assert client.post(path, headers=headers).status_code in (401, 403, 405), path
    flow.refresh_from_db()
    after = (flow.version, Run.objects.count(), Flow.objects.count(), Node.objects.count(), Link.objects.count())
    assert before == after


@pytest.mark.parametrize(
    "path",
    [
        *("/x/healthz", "/healthz/", "/healthz/..;/flows/", "//healthz", "/healthz.", "/healthz%2f"),
        *("/flows/1/healthz", "/flows./", "/admin/../flows/", "/static/../flows/"),
    ],
)
def test_no_shape_of_an_address_opens_a_page(world, path):
    for headers in ({}, {"X-HTTP-Method-Override": "GET", "X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"}):
        answer = Client().get(path, headers=headers)
        assert answer.status_code in (302, 404) and b"World" not in answer.content


def test_polls_and_data_need_a_session_too(world):
    _, paths = world
    for name in ("nodes:canvas", "runs:states", "nodes:suggest", "nodes:lineage", "search", "admin:runs_log"):
        answer = Client().get(paths[name], headers={"HX-Request": "true", "Accept": "application/json"})
        assert answer.status_code == 302 and answer["Location"].startswith("/admin/login/"), name


SERVICES = [
    # what is called, the permission that it asks for
    (lambda flow: node_services.save_flow(flow), "flows.change_flow"),
    (lambda flow: node_services.save_flow(Flow(name="New", environment=flow.environment)), "flows.add_flow"),
    (lambda flow: node_services.delete_flow(flow), "flows.delete_flow"),
    (lambda flow: node_services.duplicate_flow(flow), "flows.add_flow"),
    (lambda flow: node_services.restore_flow(flow, 1), "flows.change_flow"),
    (lambda flow: plan_start(flow, timezone.now() + timedelta(hours=1)), "runs.add_run"),
    (lambda flow: withdraw_start(flow.ticks.get()), "runs.add_run"),
    (lambda flow: tokens.issue("script", None), "flows.view_flow"),
    (lambda flow: tokens.revoke(Token.objects.get()), "auth.view_user"),
    (lambda flow: node_services.pause_flow(flow, True), "flows.pause_flow"),
    (lambda flow: node_services.save_node(flow.nodes.first()), "nodes.change_node"),
    (lambda flow: node_services.save_node(Node(flow=flow, name="n", include=["tag:mart"])), "nodes.add_node"),
    (lambda flow: node_services.delete_node(flow.nodes.first()), "nodes.delete_node"),
    (lambda flow: node_services.duplicate_node(flow.nodes.first(), 0, 0), "nodes.add_node"),
    (lambda flow: node_services.arrange(flow), "nodes.change_node"),
    (lambda flow: node_services.unlink(flow.links.first()), "nodes.delete_link"),
    (lambda flow: run_services.start_run(flow, trigger=Trigger.MANUAL, actor="x"), "runs.add_run"),
    (lambda flow: run_services.cancel_run(flow.runs.first().pk, actor="x"), "runs.add_run"),
    (lambda flow: run_services.cancel_task_run(TaskRun.objects.first().pk, actor="x"), "runs.add_run"),
    (lambda flow: alerts.save_channel(Channel(name="n", kind="email", target="a@example.org")), "runs.add_channel"),
    (lambda flow: alerts.save_channel(Channel.objects.get()), "runs.change_channel"),
    (lambda flow: alerts.delete_channel(Channel.objects.get()), "runs.delete_channel"),
    (lambda flow: alerts.renew_secret(Channel.objects.get()), "runs.change_channel"),
    (lambda flow: alerts.send_test(Channel.objects.get()), "runs.change_channel"),
    (lambda flow: alerts.send_again(Delivery.objects.get()), "runs.change_channel"),
    (lambda flow: alerts.save_note(FailureGroup.objects.get(), note="n", muted_until=None), "runs.add_run"),
    (lambda flow: rerun(flow.runs.first(), actor="x"), "runs.add_run"),
    (lambda flow: rerun_all(flow.runs.all(), key=""), "runs.add_run"),
    (lambda flow: cancel_all(flow.runs.all()), "runs.add_run"),
    (lambda flow: acknowledge_all(flow.runs.all()), "runs.add_run"),
]


@pytest.mark.parametrize(("service", "permission"), SERVICES)
def test_services_check_permissions_whoever_calls_them(world, service, permission):
    flow, _ = world
    for role in ROLES:
        user = get_user_model().objects.create_user(f"the {role}")
        user.groups.add(Group.objects.get(name=role))
        may = permission in role_permissions(role)
        with acting_as(user), transaction.atomic():
            try:
                service(Flow.objects.get(pk=flow.pk))
            except PermissionDenied as error:
                assert not may and permission in str(error)
            except run_services.RunError:
                assert may
            else:
                assert may
            transaction.set_rollback(True)


def test_bulk_actions_of_a_viewer_are_refused(world):
    flow, paths = world
    for action in ("run", "pause", "resume"):
        assert person("viewer").post(paths["runs:bulk"], {"flow": flow.pk, "action": action}).status_code == 403
    assert flow.runs.count() == 1


def test_an_operator_runs_and_pauses_but_does_not_edit(world):
    flow, paths = world
    operator = person("operator")
    assert operator.post(paths["runs:start"], {"key": "k"}).status_code == 302
    assert operator.post(paths["nodes:pause"], {"paused": "1"}).status_code == 302
    flow.refresh_from_db()
    assert flow.paused and flow.runs.count() == 2
    sent = {"version": flow.version, "operations": [{"op": "arrange"}]}
    refused = operator.post(paths["nodes:canvas"], json.dumps(sent), content_type="application/json")
    assert refused.status_code == 403


def test_fields_that_no_form_shows_are_not_taken(world):
    flow, paths = world
    page = person("editor").post(
        paths["nodes:settings"],
        {"name": "World", "environment": flow.environment_id, "id": 99, "created_at": "2001-01-01", "state": "success"},
    )
    assert page.status_code == 302
    flow.refresh_from_db()
    assert flow.pk != 99 and flow.created_at.year > 2001


def test_a_role_that_is_taken_away_is_gone_at_the_next_request(world):
    _, paths = world
    client = person("editor")
    assert client.get(paths["nodes:new_flow"]).status_code == 200
    get_user_model().objects.get(username="the editor").groups.clear()
    assert client.get(paths["nodes:new_flow"]).status_code == 403


def test_outside_of_requests_the_system_has_every_permission():
    with acting_as(SYSTEM) as actor:
        assert actor.may("flows.delete_flow") and actor.name == "system"


def test_every_address_that_a_template_names_exists():
    def names(resolver, before=""):
        yield from (before + name for name in resolver.reverse_dict if isinstance(name, str))
        for space, (_, inner) in resolver.namespace_dict.items():
            yield from names(inner, f"{before}{space}:")

    known = set(names(get_resolver()))
    asked = {
        (str(path), name)
        for path in Path("templates").rglob("*.html")
        for name in re.findall(r"{% url [\"']([^\"']+)", path.read_text())
    }
    assert len(asked) > 100 and {(path, name) for path, name in asked if name not in known} == set()
