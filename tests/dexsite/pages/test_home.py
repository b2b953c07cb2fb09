"""Home, the environment switch and the search, as the roles of dex see them."""

import re
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Environment, Flow, Project, Revision
from runs.models import Heartbeat, Run, TaskRun
from runs.operations import health
from runs.scheduling.upcoming import next_starts
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Page, Person
from tests.helpers.paths import SAMPLE
from tests.helpers.small_manifests import small_manifest
from tests.helpers.waiting import within

pytestmark = pytest.mark.django_db


def member(role: str) -> Person:
    """Somebody who has one of dex's roles, and nothing else."""
    person = Person(role, staff=False)
    person.user.groups.add(Group.objects.get(name=role))
    return person


def environment(name: str = "main", project: str = "shop") -> Environment:
    owner, _ = Project.objects.get_or_create(name=project, defaults={"path": str(SAMPLE)})
    return Environment.objects.get_or_create(project=owner, name=name)[0]


def ran(name: str, graph=None, specs=None, *, where: Environment | None = None, finish: bool = True) -> Run:
    """A run of the flow of this name."""
    run = open_graph(graph or {"a": ()}, specs)
    flow, _ = Flow.objects.get_or_create(name=name, defaults={"environment": where or environment()})
    Run.objects.filter(pk=run.pk).update(flow=flow, flow_name=name)
    return drain(run) if finish else run


FAIL = {"a": {"end": "fail"}}


# --- Home ------------------------------------------------------------------------------------------------------
def test_failures_come_first_with_their_first_error_line():
    run = ran("Orders", {"a": (), "b": ("a",)}, FAIL)
    TaskRun.objects.filter(run=run, identifier="a").update(
        reason="\n  Catalog Error: no table <b>raw</b>\nLINE 1: select"
    )
    ran("Customers")
    page = member("viewer").open("/")
    assert "a: Catalog Error: no table &lt;b&gt;raw&lt;/b&gt;" in page.html and "LINE 1" not in page.html
    assert page.html.index("Failing flows") < page.html.index("Latest runs")
    assert f"/flows/{run.flow_id}/" in page.links and f"/runs/{run.pk}/" in page.links


def test_an_error_of_the_run_itself_says_more_than_its_tasks():
    run = ran("Orders", None, FAIL)
    Run.objects.filter(pk=run.pk).update(error="The project does not parse\nat line 3")
    assert ">The project does not parse<" in member("viewer").open("/").html


def test_a_flow_that_was_mended_is_not_failing_and_one_that_is_tried_again_still_is():
    ran("Mended", None, FAIL)
    ran("Mended")
    ran("Tried again", None, FAIL)
    ran("Tried again", finish=False)
    page = member("viewer").open("/")
    failing = page.html.split('id="failing"')[1].split("</section>")[0]
    assert "Tried again" in failing and "Mended" not in failing
    assert "No flow is failing" not in page.html


def test_running_flows_show_their_progress():
    run = ran("Orders", {"a": (), "b": ("a",), "gate": ("b",)}, finish=False)
    TaskRun.objects.filter(run=run, identifier="gate").update(kind="gate")
    TaskRun.objects.filter(run=run, identifier="a").update(state="succeeded", ended_at=timezone.now())
    page = member("viewer").open("/")
    assert '<progress class="state-running" max="2" value="1"' in page.html and "1 of 2 tasks" in page.html
    assert "No flow is failing" in page.html
    assert 'hx-trigger="every 5s"' in page.html


def test_home_asks_nothing_again_while_nothing_runs():
    ran("Orders")
    assert "hx-trigger" not in member("viewer").open("/").html


def test_the_number_of_queries_does_not_grow_with_flows_and_runs():
    ada = member("admin")
    ran("Flow 0", None, FAIL)
    ran("Flow 0", finish=False)
    ada.open("/")
    with CaptureQueriesContext(connection) as few:
        ada.open("/")
    for number in range(1, 6):
        ran(f"Flow {number}", None, FAIL, where=environment(f"e{number}"))
        ran(f"Flow {number}", finish=False)
    with CaptureQueriesContext(connection) as many:
        ada.open("/")
    # 16 for user, session and the lists; 2 for stuck runs, 2 for what comes next, the days, the database's own time
    assert len(many) == len(few) <= 22


def test_more_failing_flows_than_fit_are_counted_as_more():
    for number in range(12):
        ran(f"Flow {number}", None, FAIL)
    assert "10+" in member("viewer").open("/").html


def test_the_owner_of_a_failing_flow_is_named():
    run = ran("Orders", None, FAIL)
    Flow.objects.filter(pk=run.flow_id).update(tags=["finance", "owner:Ann <ann@example.org>"])
    assert "Ann &lt;ann@example.org&gt;" in section(member("viewer").open("/"), "failing")


def section(page, name):
    """The card of Home with this heading; empty where it is not shown."""
    _, found, rest = page.html.partition(f'<h2 id="{name}">')
    return rest.split("</section>")[0] if found else ""


def test_runs_that_take_three_times_as_long_as_usual_or_wait_for_long_are_shown_as_stuck():
    now = timezone.now()
    for name, since, started in (("Slow", 4, True), ("Fine", 2, True), ("Waits", 11, False), ("Fresh", 9, False)):
        usual = ran(name)
        Run.objects.filter(pk=usual.pk).update(started_at=now, ended_at=now + timedelta(minutes=1))
        begun = now - timedelta(minutes=since)
        run = ran(name, finish=False)
        Run.objects.filter(pk=run.pk).update(created_at=begun, started_at=begun if started else None)
    ran("Never ran before", finish=False)
    said = section(member("viewer").open("/"), "not-started")
    assert said.startswith("Stuck") and "Slow" in said and "usually takes 1 m 0 s" in said
    assert "Waits" in said and "waiting to start" in said
    assert "Fine" not in said and "Fresh" not in said and "Never ran" not in said


def test_the_next_runs_are_those_of_schedules_and_plans_in_their_order():
    now = timezone.now()
    run = ran("Early")
    where = run.flow.environment
    Flow.objects.filter(pk=run.flow_id).update(cron="* * * * *")
    Flow.objects.create(name="Paused", environment=where, cron="* * * * *", paused=True)
    Flow.objects.create(name="Spread", environment=where, cron="* * * * *", spread=60)
    Flow.objects.create(name="Yearly", environment=where, cron="0 0 1 1 *")
    Flow.objects.create(name="Broken", environment=where, cron="nonsense")
    planned = Flow.objects.create(name="Planned", environment=where)
    planned.ticks.create(due_at=now + timedelta(seconds=20), outcome="planned", cause="once", planned_by="ann")
    found = next_starts(None, now, 10)
    assert len(found) == 10 and [each.at for each in found] == sorted(each.at for each in found)
    assert all(each.at > now for each in found) and {each.flow.name for each in found} == {"Early", "Spread", "Planned"}
    spread = Flow.objects.get(name="Spread")
    for each in found:
        if each.flow.name != "Planned":
            due = each.at - (spread.delay if each.flow == spread else timedelta())
            assert (due.second, due.microsecond) == (0, 0)
    assert [each.flow.name for each in next_starts(None, now, 200)][-1] != "Yearly"
    said = section(member("viewer").open("/"), "upcoming")
    assert "planned by ann" in said and "Paused" not in said


def test_the_last_days_say_how_many_ran_how_they_ended_and_how_long_they_took():
    cache.clear()  # counts that took long are kept
    now = timezone.now()
    for back, specs, minutes in ((0, None, 3), (0, FAIL, 4), (1, None, 1), (13, None, 1), (14, None, 1)):
        run = ran("Orders", None, specs)
        begun = now - timedelta(days=back)
        Run.objects.filter(pk=run.pk).update(
            created_at=begun, started_at=begun, ended_at=begun + timedelta(minutes=minutes)
        )
    said = section(member("viewer").open("/"), "days")
    assert said.count("<li>") == 14 and f"/runs/?since={now.date()}&amp;until={now.date()}" in said
    assert "2 runs: 1 failed, 1 succeeded, 7 m 0 s in total" in said
    assert said.count("1 run: 1 succeeded, 1 m 0 s in total</span>") == 2 and said.count(": no runs</span>") == 11
    assert "style=" not in said and said.count("<rect class=") == 4


def test_the_health_of_every_part_is_shown(settings):
    ran("Orders")
    said = section(member("viewer").open("/"), "components")
    assert "no heartbeat yet" in said and "none" in said and "embedded" in said and " ms</dd>" in said
    Heartbeat.objects.create(pk="sweep", at=timezone.now())
    Heartbeat.objects.create(pk="worker:1", at=timezone.now(), detail={"threads": 8})
    said = section(member("editor").open("/"), "components")
    assert "works" in said and "1, 8 threads" in said


def test_a_dead_broker_does_not_make_home_wait(settings, monkeypatch):
    settings.EMBEDDED, settings.CELERY_BROKER_URL = False, "redis://127.0.0.1:1/0"
    monkeypatch.setattr(health, "_asked", health._Broker())
    started = threading.Event()
    monkeypatch.setattr(health._Broker, "_ask", lambda self: started.wait(5))
    with within(1):
        for _ in range(3):
            assert health._broker().said == "no answer yet"
    started.set()
    health._asked.answers = False
    assert health._broker() == health.Component("Broker", "failed", "redis does not answer")


def test_home_is_limited_to_the_chosen_environment():
    ran("Here", None, FAIL, where=environment("here"))
    ran("There", None, FAIL, where=environment("there"))
    ada = member("viewer")
    switch(ada, environment("here").pk)
    page = ada.open("/")
    assert "Here" in page.html and "There" not in page.html


@pytest.mark.parametrize(
    ("role", "says", "leads"),
    [
        ("admin", "Add a project", "/admin/flows/project/add/"),
        ("editor", "Nothing here yet", None),
        ("viewer", "Nothing here yet", None),
    ],
)
def test_a_fresh_installation_says_what_to_do_first(role, says, leads):
    page = member(role).open("/")
    assert f"<h2>{says}</h2>" in page.html
    assert leads is None or leads in page.links


def test_the_next_steps_follow_each_other():
    admin, editor, viewer = member("admin"), member("editor"), member("viewer")

    def steps():
        pages = [person.open("/").html for person in (admin, editor, viewer)]
        return [page.split('<div class="card empty">')[1].split("<h2>")[1].split("</h2>")[0] for page in pages]

    Project.objects.create(name="shop", path=str(SAMPLE))
    assert steps() == ["Add an environment", "Nothing here yet", "Nothing here yet"]
    environment()
    assert steps() == ["No flows yet", "No flows yet", "Nothing here yet"]
    flow = Flow.objects.create(name="Orders", environment=environment())
    assert steps() == ["No runs yet"] * 3
    flow.delete()


def test_home_without_any_permission_shows_no_run():
    ran("Secret orders")
    page = Person("nobody", staff=False).open("/")
    assert page.status == 200 and "Secret orders" not in page.html and "Your account has no role yet" in page.html


# --- the switch --------------------------------------------------------------------------------------------------
def switch(person, value, **more):
    page = person.open("/admin/password_change/")
    (form,) = [form for form in page.forms if form.action == "/environment/"]
    return person.client.post("/environment/", {**form.fields, "environment": value, **more})


def test_the_switch_returns_to_where_it_was_used_and_nowhere_else():
    ada = member("viewer")
    here = environment()
    assert switch(ada, here.pk)["Location"] == "/admin/password_change/"
    assert ada.client.session["environment"] == here.pk
    for elsewhere in ("https://example.org/", "//example.org/", "javascript:alert(1)", ""):
        assert switch(ada, here.pk, next=elsewhere)["Location"] == "/"
    switch(ada, "")
    assert "environment" not in ada.client.session


@pytest.mark.parametrize("value", ["0", "-1", "x", "9" * 30, "1e3", "\u00b2", "\u0664"])
def test_an_environment_that_is_not_there_means_all(value):
    ada = member("viewer")
    switch(ada, environment().pk)
    assert switch(ada, value).status_code == 302
    assert "environment" not in ada.client.session


def test_a_chosen_environment_that_was_deleted_is_forgotten():
    ada = member("viewer")
    gone = environment("gone")
    environment("stays")
    switch(ada, gone.pk)
    gone.delete()
    assert ada.open("/").status == 200


def test_looking_at_an_address_never_switches():
    ada = member("viewer")
    assert ada.client.get(f"/environment/?environment={environment().pk}").status_code == 405
    assert ada.client.post("/environment/", {"environment": "1"}).status_code == 403


# --- search ------------------------------------------------------------------------------------------------------
def found(person, asked):
    response = person.client.get("/search/", {"q": asked})
    assert response.status_code == 200
    return {group["title"]: [hit["title"] for hit in group["items"]] for group in response.json()["groups"]}


def parsed(where, manifest, tmp_path):
    """Give an environment this manifest."""
    path = tmp_path / f"{where.pk}.msgpack"
    path.write_bytes(manifest.to_compact())
    (tmp_path / "manifest.json").write_text("{}")
    folder = {"project_dir": str(tmp_path), "profiles_dir": "", "target_dir": ""}
    folder["manifest_path"] = str(tmp_path / "manifest.json")
    where.current_revision = Revision.objects.create(
        environment=where, key=str(path), fingerprint="f", compact_path=str(path), **folder
    )
    where.save()


def test_flows_are_found_by_the_words_of_their_name_the_nearest_first():
    where = environment()
    for name in ("Reorders of orders", "Orders", "Orders of the day", "Customers"):
        Flow.objects.create(name=name, environment=where)
    assert found(member("viewer"), "orders")["Flows"] == ["Orders", "Orders of the day", "Reorders of orders"]
    assert found(member("operator"), "DAY ord")["Flows"] == ["Orders of the day"]
    assert "Flows" not in found(member("editor"), "orders tomorrow")


def test_a_group_has_at_most_eight_lines():
    where = environment()
    for number in range(20):
        Flow.objects.create(name=f"Orders {number}", environment=where)
    assert len(found(member("viewer"), "orders")["Flows"]) == 8


def test_under_all_environments_the_models_of_all_are_found_and_listed_each_with_its_environment(tmp_path):
    ada = member("viewer")
    here, there = environment("here"), environment("there")
    parsed(here, small_manifest({"stg_orders": (), "orders": ("stg_orders",)}), tmp_path)
    parsed(there, small_manifest({"stg_orders": (), "invoices": ()}), tmp_path)
    groups = ada.client.get("/search/", {"q": "stg"}).json()["groups"]
    (models,) = [group["items"] for group in groups if group["title"] == "Models"]
    assert [hit["note"] for hit in models] == [f"model in {here}", f"model in {there}"]
    assert [ada.client.get(hit["url"]).status_code for hit in models] == [200, 200]
    assert [name.split(".")[-1] for name in found(ada, "invoices")["Models"]] == ["invoices"]
    listed = ada.open("/models/")
    rows = re.findall(r"<tr>.*?</tr>", listed.html.partition("<tbody>")[2], re.S)
    assert ["stg_orders" in row for row in rows].count(True) == 2 and f"1 to {len(rows)} of 4" in listed.html
    assert any("invoices" in row and str(there) in row for row in rows)
    shown = ada.open(f"/models/model.shop.stg_orders/?environment={there.pk}")
    assert f"in {there}" in shown.html
    assert f"?environment={here.pk}" in shown.html
    assert f"in {there}" in ada.open("/models/model.shop.invoices/").html  # though `here` comes first and has none
    switch(ada, here.pk)
    assert "invoices" not in ada.open("/models/").html and "Models" not in found(ada, "invoices")


def test_models_come_from_the_chosen_environment(tmp_path):
    ada = member("viewer")
    here, there = environment("here"), environment("there")
    parsed(here, small_manifest({"stg_orders": (), "orders": ("stg_orders",)}), tmp_path)
    parsed(there, small_manifest({"other_orders": ()}), tmp_path)
    assert {name.split(".")[-1] for name in found(ada, "orders")["Models"]} == {"orders", "stg_orders", "other_orders"}
    switch(ada, here.pk)
    assert [name.split(".")[-1] for name in found(ada, "orders")["Models"]] == ["orders", "stg_orders"]
    switch(ada, there.pk)
    assert [name.split(".")[-1] for name in found(ada, "orders")["Models"]] == ["other_orders"]


def test_a_revision_whose_files_are_gone_has_no_models(tmp_path):
    where = environment()
    parsed(where, small_manifest({"orders": ()}), tmp_path)
    (tmp_path / f"{where.pk}.msgpack").unlink()
    assert "Models" not in found(member("viewer"), "orders")


def test_runs_are_found_by_their_number():
    run = ran("Orders")
    ada = member("viewer")
    assert found(ada, str(run.pk))["Runs"] == found(ada, f" #{run.pk} ")["Runs"] == [f"Orders #{run.pk}"]
    for asked in ("9" * 18, "9" * 30, "#", "-1", "\u00b2"):
        assert "Runs" not in found(ada, asked)


def test_the_search_offers_the_pages_and_actions_that_its_user_may_open():
    everything = {role: found(member(role), "")["Go to"] for role in ("viewer", "editor", "admin")}
    assert everything["viewer"] == ["Home", "Flows", "Runs", "Failures", "Calendar", "Models", "Change password"]
    assert {"New flow", "Import a flow", "Environments"} <= set(everything["editor"])
    assert "Users" not in everything["editor"] and {"Users", "Add user", "Audit"} <= set(everything["admin"])


@pytest.mark.parametrize("role", ["viewer", "operator", "editor", "admin"])
def test_everything_that_the_menu_and_the_search_offer_opens(role, tmp_path):
    ran("Orders")
    parsed(environment(), small_manifest({"orders": ()}), tmp_path)
    person = member(role)
    urls = [hit["url"] for group in person.client.get("/search/").json()["groups"] for hit in group["items"]]
    urls += [hit["url"] for group in person.client.get("/search/?q=orders").json()["groups"] for hit in group["items"]]
    assert len(urls) >= 7
    for url in urls:
        page = Page(person.client.get(url, follow=True))
        assert page.status == 200 and "/admin/login/" not in page.url and page.inline == [], url


def test_the_search_finds_nothing_that_its_user_may_not_see(tmp_path):
    run = ran("Secret orders")
    parsed(environment(), small_manifest({"secret": ()}), tmp_path)
    nobody = Person("nobody", staff=False)
    assert found(nobody, "secret") == found(nobody, str(run.pk)) == {}
    assert found(nobody, "") == {"Go to": ["Home", "Change password"]}


@pytest.mark.parametrize(
    "asked", ["'\"<>&;--", "%", "_", "\x00", "\ud800".encode("utf-8", "replace").decode(), "x" * 5000]
)
def test_hostile_words_find_nothing_and_break_nothing(asked):
    Flow.objects.create(name="Orders", environment=environment())
    assert "Flows" not in found(member("viewer"), asked)


def test_the_names_of_a_revision_are_read_once(tmp_path, monkeypatch):
    parsed(environment(), small_manifest({f"model_{number:04}": () for number in range(2000)}), tmp_path)
    ada = member("viewer")
    assert len(found(ada, "model")["Models"]) == 8
    monkeypatch.setattr("nodes.dbt.manifest.Manifest.rows", property(lambda _: pytest.fail("read again")))
    assert [name.split(".")[-1] for name in found(ada, "odel 1999")["Models"]] == ["model_1999"]


# --- users and groups ----------------------------------------------------------------------------------------------
def test_people_who_manage_users_cannot_create_or_change_a_superuser():
    root = Person("root", "everything").user
    admin = member("admin")
    page = admin.open(f"/admin/auth/user/{admin.user.pk}/change/")
    admin.post(page, page.form("user_form"), {"is_superuser": "on", "user_permissions": ["1"]})
    admin.user.refresh_from_db()
    assert not admin.user.is_superuser and not admin.user.user_permissions.exists()
    assert "_save" not in admin.open(f"/admin/auth/user/{root.pk}/change/").html
    assert admin.client.get(f"/admin/auth/user/{root.pk}/password/").status_code == 403
    assert admin.client.get(f"/admin/auth/user/{root.pk}/delete/").status_code == 403
    admin.act("/admin/auth/user/", "delete_selected", root, post="yes")
    assert User.objects.filter(pk=root.pk).exists()


def test_a_user_gets_a_role_and_a_group_its_permissions():
    admin = member("admin")
    other = User.objects.create_user("other")
    page = admin.open(f"/admin/auth/user/{other.pk}/change/")
    viewer = Group.objects.get(name="viewer")
    page = admin.post(page, page.form("user_form"), {"groups": [str(viewer.pk)]})
    assert "was changed successfully" in page.messages[0] and list(other.groups.all()) == [viewer]
    page = admin.open(f"/admin/auth/group/{viewer.pk}/change/")
    assert "Can view flow" in page.form("group_form").choices["permissions"]
    before = set(viewer.permissions.all())
    page = admin.post(page, page.form("group_form"), {"_save": "Save"})
    assert "was changed successfully" in page.messages[0] and set(viewer.permissions.all()) == before


def test_a_page_that_is_not_there_and_one_that_is_refused_say_so_and_a_broken_form_too():
    ada = member("viewer")
    assert "Page not found" in ada.open("/nothing/").html
    assert "You do not have permission to do this" in ada.open("/admin/auth/user/").html
    refused = ada.client.post("/environment/", {"environment": "1"})
    assert refused.status_code == 403 and b"This page has expired" in refused.content


def test_an_error_inside_dex_says_nothing_about_its_inside(monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    ada = member("viewer")
    ada.client.raise_request_exception = False
    monkeypatch.setattr("runs.queries.failing", broken)
    response = ada.client.get("/")
    assert response.status_code == 500
    assert b"Something went wrong inside dex" in response.content and b"hunter2" not in response.content


def test_runs_that_end_at_the_same_time_keep_an_order():
    first, second = ran("A", None, FAIL), ran("B", None, FAIL)
    Run.objects.update(ended_at=timezone.now() - timedelta(hours=1))
    page = member("viewer").open("/")
    assert page.html.index(f"open-{second.pk}") < page.html.index(f"open-{first.pk}")
