"""What pages say about state: plans before reruns, whose code and whose models it is, what a cancelled run did."""

import re
import subprocess

import pytest
from playwright.sync_api import expect

from flows.models import Environment, Flow
from nodes.models import Node
from nodes.services import save_node
from nodes.services.sync import sync
from runs.models import Heartbeat, Run
from runs.operations import heartbeats
from runs.services import cancel_run
from tests.helpers.engines import make_flow, write_project
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Person
from tests.journeys.rows import parsed_shop

FAILS = {"a": {"end": "fail", "print": "Catalog Error: Table raw_orders does not exist"}}


@pytest.fixture
def boss(live_server):
    return Person("boss", "everything").user


def ended(flow, specs=None, graph=None):
    """A run of a flow that went to its end."""
    run = drain(open_graph(graph or {"x": (), "a": ("x",), "b": ("a",)}, specs))
    Run.objects.filter(pk=run.pk).update(flow=flow, flow_name=flow.name, environment_name=str(flow.environment))
    run.refresh_from_db()
    return run


def test_many_reruns_show_their_plan_for_the_chosen_code_before_anything_starts(window, boss, judge):
    orders = Flow.objects.create(name="Hourly orders", environment=parsed_shop())
    customers = Flow.objects.create(name="Customers", environment=parsed_shop())
    for flow in (orders, customers):
        save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    fixed, broken = ended(orders, FAILS), ended(customers, FAILS)
    by = ended(orders)
    page = window.open(boss)
    page.goto("/runs/")
    for run in (fixed, broken):
        page.get_by_label(f"Select run {run.pk}").check()
    page.get_by_role("button", name="Rerun from failure").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rerun from failure")
    expect(page.get_by_text("Nothing has started yet.")).to_be_visible()
    needless, needed = (page.get_by_label(f"Rerun run {run.pk}") for run in (fixed, broken))
    expect(needless).not_to_be_checked()
    expect(needed).to_be_checked()
    expect(page.locator("li", has=needless)).to_contain_text(f"have succeeded since, in run #{by.pk}")
    expect(page.locator("li", has=needed)).to_contain_text("2 tasks run again, 1 is reused")
    judge(page, "runs-repeating")
    page.get_by_label("Latest").check()
    expect(page.locator("li", has=needed)).not_to_contain_text("2 tasks run again")  # Customers has other tasks today
    expect(page.get_by_label("Latest")).to_be_checked()
    expect(page.get_by_label("Latest")).to_be_focused()
    expect(needed).to_be_checked()
    judge(page, "runs-repeating-newest")
    assert Run.objects.count() == 3
    page.get_by_role("button", name="Rerun selected").click()
    expect(page.get_by_text("1 run is being rerun from failure")).to_be_visible()
    assert [run.scope["revision"] for run in Run.objects.filter(retry_of=broken)] == ["newest"]
    assert not Run.objects.filter(retry_of=fixed).exists()


def test_a_folder_with_local_changes_says_so_on_its_revision_and_its_run(window, boss, judge, tmp_path):
    folder = write_project(tmp_path / "shop", {"a": "select 1 as id"})
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    flow = make_flow(folder)
    clean = str(flow.environment.current_revision)
    (folder / "models" / "a.sql").write_text("select 2 as id")
    changed = sync(flow.environment)
    assert str(changed) != clean
    run = ended(flow)
    Run.objects.filter(pk=run.pk).update(revision=changed)
    page = window.open(boss)
    page.goto("/admin/flows/revision/")
    expect(page.locator("#result_list tbody")).to_contain_text(f"{clean} + local changes")
    judge(page, "revisions-changed")
    page.goto(f"/admin/flows/revision/{changed.pk}/change/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("+ local changes")
    judge(page, "revision-changed")
    page.goto(f"/runs/{run.pk}/")
    expect(page.locator("#run-head")).to_contain_text(f"{clean} + local changes")
    judge(page, "run-changed")


def test_a_schedule_cannot_leave_a_parameter_without_a_value(window, boss, judge):
    flow = Flow.objects.create(name="Daily shop", environment=parsed_shop(), cron="0 2 * * *")
    page = window.open(boss)
    page.goto(f"/flows/{flow.pk}/settings/")
    area = page.locator("#id_parameters")
    page.locator("summary", has_text="parameters").click()
    area.fill('[{"name": "day", "type": "date", "required": true}]')
    page.get_by_role("button", name="Save").first.click()
    said = page.get_by_text(re.compile("remove the schedule")).first
    expect(said).to_be_visible()
    expect(area).to_have_value(re.compile('"name": "day"'))
    judge(page, "flow-settings-refused")
    flow.refresh_from_db()
    assert flow.parameters == []
    # One that was made before this was refused is told of where people look.
    Flow.objects.update(parameters=[{"name": "day", "type": "date", "required": True}])
    page.goto("/")
    expect(page.get_by_text("nobody can enter a value for day")).to_be_visible()
    judge(page, "home-cannot-start")
    page.goto("/calendar/")
    expect(page.get_by_text("cannot start").first).to_be_visible()
    judge(page, "calendar-cannot-start")


def test_under_all_environments_models_and_search_say_of_which_each_is(window, boss, judge):
    here = parsed_shop()
    there = Environment.objects.create(project=here.project, name="nightly")
    there.current_revision = here.current_revision
    there.save()
    page = window.open(boss)
    page.goto("/models/?q=stg_orders")
    rows = page.locator("tbody tr", has_text="stg_orders")
    for where in (here, there):
        expect(rows.filter(has_text=str(where))).not_to_have_count(0)
    judge(page, "models-of-all")
    page.keyboard.press("Control+k")
    page.keyboard.type("stg_orders")
    for where in (here, there):
        expect(page.get_by_role("option", name="stg_orders").filter(has_text=str(where)).first).to_be_visible()
    judge(page, "palette-of-all")


def test_a_message_writes_a_name_as_its_owner_wrote_it(window, boss, judge):
    flow = Flow.objects.create(name="dbt nightly", environment=parsed_shop(), cron="0 2 * * *")
    page = window.open(boss)
    page.goto(f"/flows/{flow.pk}/")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".messagelist")).to_contain_text(re.compile(r"^\s*dbt nightly is paused"))


def test_a_cancelled_run_does_not_call_what_was_cancelled_done(window, boss, judge):
    flow = Flow.objects.create(name="Hourly orders", environment=parsed_shop())
    run = open_graph({"a": (), "b": ("a",), "c": ("b",), "d": ("c",)})
    Run.objects.filter(pk=run.pk).update(flow=flow, flow_name=flow.name, environment_name=str(flow.environment))
    cancel_run(run.pk, actor="boss")
    page = window.open(boss)
    page.goto(f"/runs/{run.pk}/")
    expect(page.locator("#run-head .badge").first).to_contain_text("Cancelled")
    expect(page.locator(".run-progress")).to_contain_text("0 of 4 succeeded")
    expect(page.get_by_role("img", name="Of 4 tasks: 4 cancelled")).to_be_visible()
    judge(page, "run-cancelled")
    page.goto("/runs/")
    expect(page.locator("tr", has_text=f"#{run.pk}")).to_contain_text("0 / 4")
    judge(page, "runs-cancelled")


def test_status_warns_of_what_others_could_read_and_of_scripts_that_are_kept_apart_too_little(
    window, boss, judge, settings
):
    settings.ISOLATION = 3
    heartbeats.worker_lives("build-1:7", "build-1")
    row = Heartbeat.objects.get(pk="worker:build-1:7")
    row.detail |= {"isolation": 1, "missing": "bubblewrap is not installed", "exposed": ["/srv/dex/keys/variables"]}
    row.save()
    page = window.open(boss)
    page.goto("/status/")
    expect(page.get_by_text("Other users of this host can read /srv/dex/keys/variables.")).to_be_visible()
    expect(page.locator(".badge", has_text="Level 1")).to_have_class(re.compile("state-failed"))
    judge(page, "status-warnings")
