"""The list of all runs: what it shows, how it is narrowed and paged, how it stays up to date, and its buttons."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Environment, Flow, Project
from runs.models import Acknowledgement, Run, TaskRun
from runs.pages.run_list import page
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Page, Person
from tests.helpers.paths import SAMPLE

pytestmark = pytest.mark.django_db
FAIL = {"a": {"end": "fail"}}
HTMX = {"HX-Request": "true"}


def member(role):
    person = Person(role, staff=False)
    person.user.groups.add(Group.objects.get(name=role))
    return person


def environment(name="main"):
    owner, _ = Project.objects.get_or_create(name="shop", defaults={"path": str(SAMPLE)})
    return Environment.objects.get_or_create(project=owner, name=name)[0]


def ran(name="Orders", specs=None, *, graph=None, where=None, finish=True, **fields):
    run = open_graph(graph or {"a": ()}, specs)
    flow, _ = Flow.objects.get_or_create(name=name, defaults={"environment": where or environment()})
    Run.objects.filter(pk=run.pk).update(flow=flow, flow_name=name, environment_name=str(flow.environment))
    run = drain(run) if finish else run
    Run.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()
    return run


def listed(person, query=""):
    """The ids of the runs that a page lists, in its order."""
    shown = person.open(f"/runs/{query}")
    assert shown.status == 200
    ids = [link.split("/")[2] for link in shown.links if link.startswith("/runs/") and link[6:-1].isdecimal()]
    return [int(pk) for pk in ids]


def send(person, sent):
    """Post what a form of the list would."""
    forms = person.open("/admin/password_change/").forms
    token = next(form.fields["csrfmiddlewaretoken"] for form in forms if "csrfmiddlewaretoken" in form.fields)
    return person.client.post("/runs/bulk/", {**sent, "csrfmiddlewaretoken": token})


def bulk(person, runs, action, **more):
    answer = send(person, {"run": [run.pk for run in runs], "action": action, "key": "k", **more})
    assert answer.status_code == 302, answer.status_code
    return person.open(answer["Location"]).messages


# --- what it shows -----------------------------------------------------------------------------------------------
def test_the_newest_run_comes_first_with_its_progress_and_first_error():
    broken = ran("Orders", FAIL, graph={"a": (), "b": ("a",)})
    TaskRun.objects.filter(run=broken, identifier="a").update(reason="\nCatalog Error: no <table>\nLINE 1")
    going = ran("Customers", finish=False, graph={"a": (), "b": (), "gate": ()})
    TaskRun.objects.filter(run=going, identifier="gate").update(kind="gate")
    shown = member("viewer").open("/runs/")
    assert listed(member("editor")) == [going.pk, broken.pk]
    assert "a: Catalog Error: no &lt;table&gt;" in shown.html and "LINE 1" not in shown.html
    assert shown.html.count(">0 / 2<") == 2 and "1 failed, 1 skipped" in shown.html and "running" in shown.html


def test_without_runs_it_says_what_to_do():
    shown = member("viewer").open("/runs/")
    assert "No runs yet" in shown.html and "/flows/" in shown.links and 'hx-trigger="every' not in shown.html


def test_people_who_cannot_operate_see_no_checkboxes_and_no_buttons():
    ran()
    assert 'name="run"' not in member("viewer").open("/runs/").html
    assert 'name="run"' in member("operator").open("/runs/").html


# --- filters -----------------------------------------------------------------------------------------------------
def test_every_filter_leaves_out_what_does_not_fit():
    where = environment("other")
    now = timezone.now()
    old = ran("Orders of the day", FAIL, created_at=now - timedelta(days=9))
    new = ran("Customers", where=where, trigger="schedule")
    going = ran("Orders", finish=False)
    ada = member("viewer")
    today, week_ago = now.date().isoformat(), (now - timedelta(days=7)).date().isoformat()
    cases = [
        ("?q=order", [going, old]),
        ("?q=DAY+order", [old]),
        (f"?q=%23{new.pk}", [new]),
        (f"?q={new.pk}", [new]),
        ("?q=nothing", []),
        ("?state=failed", [old]),
        ("?state=active", [going]),
        ("?state=nonsense", [going, new, old]),
        (f"?flow={new.flow_id}", [new]),
        ("?trigger=schedule", [new]),
        (f"?since={week_ago}", [going, new]),
        (f"?until={week_ago}", [old]),
        (f"?since={today}&until={today}", [going, new]),
        ("?since=1971-01-01&until=1971-01-02", []),
        ("?unacknowledged=1", [old]),
        ("?state=failed&trigger=schedule", []),
    ]
    for query, expected in cases:
        assert listed(ada, query) == [run.pk for run in expected], query
    session = ada.client.session
    session["environment"] = where.pk
    session.save()
    assert listed(ada) == [new.pk]


def test_runs_of_a_deleted_flow_are_found_by_their_name():
    run = ran("Gone orders")
    Run.objects.filter(pk=run.pk).update(flow=None)
    ran("Customers")
    assert listed(member("viewer"), "?q=gone") == [run.pk]


@pytest.mark.parametrize(
    "query",
    [
        *(
            "?before=x",
            "?before=" + "9" * 30,
            "?flow=-1",
            "?since=9999-12-31",
            "?until=0001-01-01",
            "?since=2026-13-01",
        ),
        *("?q=%00", "?q=%25", "?q='\";--", "?before=0", "?flow=" + "9" * 18, "?seen=x&top=y&watch=a-b", "?q=\u00b2"),
    ],
)
def test_no_address_breaks_it(query):
    ran()
    ada = member("viewer")
    assert ada.client.get(f"/runs/{query}").status_code == 200
    assert ada.client.get(f"/runs/{query}", headers=HTMX).status_code in (200, 204)


# --- pages ---------------------------------------------------------------------------------------------------------
def test_pages_follow_each_other_by_key_and_none_is_shown_twice(monkeypatch):
    monkeypatch.setattr(page, "PAGE", 2)
    monkeypatch.setattr(page, "WINDOW", 2)  # what is rare lies beyond it
    runs = [ran(specs=FAIL if number % 3 == 0 else None) for number in range(7)]
    ada = member("viewer")

    def walk(query):
        found, before = [], ""
        while True:
            shown = listed(ada, f"?{query}{before}")
            found += shown
            links = ada.open(f"/runs/?{query}{before}").links
            older = [link for link in links if "before=" in link]
            if not older:
                return found
            before = "&before=" + older[0].split("before=")[1]

    assert walk("") == [run.pk for run in reversed(runs)]
    assert walk("state=failed") == [runs[6].pk, runs[3].pk, runs[0].pk]
    assert "You have reached the end of the list" in ada.open(f"/runs/?before={runs[0].pk}").html


def test_the_number_of_queries_does_not_grow_with_runs():
    ada = member("operator")
    ran("Flow 0", FAIL)
    ran("Flow 0", finish=False)
    ada.open("/runs/")

    def asked():
        with CaptureQueriesContext(connection) as queries:
            ada.open("/runs/?q=flow&since=2001-01-01")
        assert not [query for query in queries if "COUNT(*)" in query["sql"] and "runs_run" in query["sql"]]
        return len(queries)

    few = asked()
    for number in range(1, 6):
        ran(f"Flow {number}", FAIL, where=environment(f"e{number}"))
        ran(f"Flow {number}", finish=False)
    assert asked() == few <= 17


# --- polls ---------------------------------------------------------------------------------------------------------
def test_a_poll_is_answered_with_nothing_until_something_moves():
    ada = member("operator")
    run = ran(finish=False)
    (poll,) = [part.split('"')[0] for part in ada.open("/runs/").html.split('hx-get="')[1:] if "seen=" in part]
    poll = poll.replace("&amp;", "&")
    for _ in range(2):
        assert ada.client.get(poll, headers=HTMX).status_code == 204
    drain(run)
    answer = ada.client.get(poll, headers=HTMX)
    assert answer.status_code == 200 and "Succeeded" in answer.text
    assert "<html" not in answer.text and "seen=" not in answer.text  # nothing goes on: nothing is asked again


def test_a_new_run_ends_the_silence_of_the_first_page_alone():
    ada = member("viewer")
    run = ran(finish=False)
    html = ada.open("/runs/").html
    (poll,) = [part.split('"')[0].replace("&amp;", "&") for part in html.split('hx-get="')[1:] if "seen=" in part]
    older = ada.open(f"/runs/?before={run.pk + 1}").html
    (later,) = [part.split('"')[0].replace("&amp;", "&") for part in older.split('hx-get="')[1:] if "seen=" in part]
    ran("Customers")
    assert ada.client.get(poll, headers=HTMX).status_code == 200
    assert ada.client.get(later, headers=HTMX).status_code == 204


# --- many at once ----------------------------------------------------------------------------------------------------
def test_failed_runs_are_repeated_once_however_often_the_form_is_sent():
    ada = member("operator")
    broken, fine = ran(specs=FAIL), ran("Customers")
    for _ in range(2):
        (said,) = bulk(ada, [broken, fine], "rerun", start="1")
        assert "1 run is being rerun from failure; 1 run skipped: succeeded." in said
    (again,) = Run.objects.filter(retry_of=broken)
    assert again.triggered_by == ada.user and not Run.objects.filter(retry_of=fine).exists()
    assert "already being rerun" in bulk(ada, [broken], "rerun", key="another", start="1")[0]


def plan(person, runs, **more):
    """The page that says what repeating these runs would do."""
    answer = send(person, {"run": [run.pk for run in runs], "action": "rerun", "key": "k", **more})
    assert answer.status_code == 200, answer.status_code
    return Page(answer)


def ticked(shown):
    (form,) = [form for form in shown.forms if form.id == "repeat"]
    return {int(pk) for pk in form.fields.get("run", [])}


def test_many_reruns_show_first_what_they_would_do_and_start_nothing():
    ada = member("operator")
    broken = ran("Orders", FAIL, graph={"x": (), "a": ("x",), "b": ("a",)})
    shown = plan(ada, [broken])
    assert "2 tasks run again, 1 is reused" in shown.html and "Nothing has started yet" in shown.html
    assert "skipped: upstream a failed" in shown.html
    assert ticked(shown) == {broken.pk} and Run.objects.count() == 1


def test_the_code_of_many_reruns_is_chosen_and_the_choice_of_runs_stays():
    ada = member("operator")
    one, other = ran("Orders", FAIL), ran("Customers", FAIL)
    shown = plan(ada, [one], listed=[one.pk, other.pk], revision="newest", plan="1")
    assert ticked(shown) == {one.pk} and 'value="newest" checked' in shown.html
    assert "dex then decides" in shown.html  # the project of this test has never been read
    bulk(ada, [one], "rerun", revision="newest", start="1")
    assert Run.objects.get(retry_of=one).scope["revision"] == "newest"
    assert not Run.objects.filter(retry_of=other).exists()


def test_no_rerun_starts_on_code_whose_plan_nobody_has_seen():
    ada, one = member("operator"), ran("Orders", FAIL)
    shown = plan(ada, [one], listed=[one.pk], planned="same", revision="newest", start="1")
    assert "nothing has started yet" in shown.html and ticked(shown) == {one.pk}
    assert 'name="planned" value="newest"' in shown.html and not Run.objects.filter(retry_of=one).exists()
    bulk(ada, [one], "rerun", planned="newest", revision="newest", start="1")
    assert Run.objects.filter(retry_of=one).exists()


def test_runs_that_a_later_run_fixed_are_named_and_not_repeated_unless_somebody_insists():
    ada = member("operator")
    fixed, broken = ran("Orders", FAIL), ran("Customers", FAIL)
    by = ran("Orders")
    shown = plan(ada, [fixed, broken])
    assert f"have succeeded since, in run #{by.pk}" in shown.html and ticked(shown) == {broken.pk}
    assert f"#{by.pk}" in ada.open(f"/runs/{fixed.pk}/rerun/").html
    said = bulk(ada, [fixed], "rerun", start="1")[0]
    assert "1 run skipped: fixed since" in said and not Run.objects.filter(retry_of=fixed).exists()
    bulk(ada, [fixed], "rerun", start="1", known=str(fixed.pk))
    assert Run.objects.filter(retry_of=fixed).exists()


def test_a_later_run_with_other_parameters_or_a_failure_fixes_nothing():
    ada = member("operator")
    graph = {"a": (), "b": ()}
    first = ran("Orders", FAIL | {"b": {"end": "fail"}}, graph=graph)
    ran("Orders", graph=graph, parameters={"day": "2026-01-31"})
    ran("Orders", FAIL, graph=graph)  # b is fixed, a is not
    assert ticked(plan(ada, [first])) == {first.pk}
    again = ran("Orders", graph={"a": ()})
    assert ticked(plan(ada, [first])) == set()
    assert f"#{again.pk}" in plan(ada, [first]).html
    ran("Orders", FAIL)
    assert ticked(plan(ada, [first])) == {first.pk}


def test_running_tasks_are_cancelled_and_finished_ones_stay():
    ada = member("operator")
    going, over = ran(finish=False), ran("Customers")
    assert "1 run is being cancelled; 1 run skipped: already finished." in bulk(ada, [going, over], "cancel")[0]
    assert "skipped" in bulk(ada, [going], "cancel")[0]
    states = dict(Run.objects.values_list("pk", "state"))
    assert states == {going.pk: "cancelled", over.pk: "succeeded"}


def test_a_handled_failure_leaves_home_and_says_who_did_what():
    ada = member("operator")
    broken, fine = ran(specs=FAIL), ran("Customers")
    assert 'id="failing"' in ada.open("/").html
    note = "reloaded the <source>"
    assert "1 run is acknowledged; 1 run skipped: not failed." in bulk(ada, [broken, fine], "acknowledge", note=note)[0]
    assert "already acknowledged" in bulk(ada, [broken], "acknowledge", note="other")[0]
    row = Acknowledgement.objects.get()
    assert (row.run, row.by, row.note) == (broken, "operator", note)
    assert 'id="failing"' not in ada.open("/").html
    assert "Acknowledged by operator" in ada.open(f"/runs/{broken.pk}/").html
    assert "reloaded the &lt;source&gt;" in ada.open("/runs/").html
    ran(specs=FAIL)  # it fails again: that is news
    assert 'id="failing"' in ada.open("/").html


def test_a_whole_filter_asks_first_and_takes_what_was_there_then():
    ada = member("operator")
    broken = [ran(f"Flow {number}", FAIL) for number in range(3)]
    ran("Customers")
    sent = {"action": "acknowledge", "scope": "filter", "filter": "q=flow", "key": "k", "upto": str(broken[1].pk)}
    asked = send(ada, sent)
    assert asked.status_code == 200 and "Acknowledge: 2 runs?" in asked.text and not Acknowledgement.objects.exists()
    answer = send(ada, {**sent, "sure": "1", "note": "n"})
    assert answer["Location"] == "/runs/?q=flow"
    assert set(Acknowledgement.objects.values_list("run", flat=True)) == {broken[0].pk, broken[1].pk}
    assert "Nothing to do." in ada.open(send(ada, sent)["Location"]).messages[0]


def test_a_whole_filter_repeats_only_what_nobody_mended():
    ada = member("operator")
    fixed, broken = ran("Orders", FAIL), ran("Customers", FAIL)
    again = ran("Orders")
    Run.objects.filter(pk=again.pk).update(retry_of=fixed)
    sent = {"action": "rerun", "scope": "filter", "filter": "", "key": "k", "upto": str(again.pk)}
    shown = Page(send(ada, sent))
    assert ticked(shown) == {broken.pk} and f"#{fixed.pk}" not in shown.html
    for _ in range(2):
        answer = send(ada, {"action": "rerun", "filter": "", "key": "k", "run": [broken.pk], "start": "1"})
        assert "1 run is being rerun from failure." in ada.open(answer["Location"]).messages[0]
    assert Run.objects.filter(retry_of=broken).count() == 1 and Run.objects.filter(retry_of=fixed).count() == 1


def test_an_empty_or_invalid_choice_changes_nothing():
    ada = member("operator")
    ran(specs=FAIL)
    assert "Select runs first" in bulk(ada, [], "rerun")[0]
    assert "Choose what to do" in bulk(ada, [], "delete")[0]
    assert send(ada, {"run": ["x", "9" * 40], "action": "cancel"}).status_code == 302
    assert Run.objects.count() == 1 and send(member("viewer"), {}).status_code == 403
