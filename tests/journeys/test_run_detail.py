"""On call: a run is watched, broken, understood, fixed and repeated, in a real browser on real runs of dbt."""

import re

import pytest
from playwright.sync_api import expect

from runs.engine.claims import claim
from runs.models import Run
from runs.planning.planner import plan_run
from runs.services import cancel_run
from runs.states import RunState
from tests.helpers.engines import finished, make_flow, start, write_project
from tests.helpers.pages import Person
from tests.helpers.waiting import patience, until
from tests.journeys.conftest import axe
from tests.runs.conftest import engine  # noqa: F401 - a fixture
from tests.runs.kinds.test_dbt_models import SLOW
from tests.runs.kinds.test_microbatch import project

MODELS = {
    "stg_a": "select 1 as id",
    "stg_b": "{{ config(materialized='table') }} " + SLOW.format(n=60),
    "mart": "select a.id from {{ ref('stg_a') }} a join {{ ref('stg_b') }} b on true limit 1",
}


@pytest.fixture
def boss():
    return Person("boss", "everything").user


def row(page, name):
    return page.locator("tr", has_text=name)


def test_a_run_turns_green_before_the_eyes_of_who_watches_it(engine, window, tmp_path, boss):  # noqa: F811
    flow = make_flow(write_project(tmp_path / "watched", MODELS))
    page = window.open(boss)
    page.goto(f"/flows/{flow.pk}/")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(re.compile(r"/runs/\d+/"))
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(60_000))
    for name in MODELS:
        expect(row(page, name)).to_contain_text("Succeeded")
    expect(page).to_have_title(re.compile("succeeded"))
    page.get_by_role("link", name="Timeline").click()
    expect(page.locator(".timeline .bar")).to_have_count(3)
    page.get_by_role("link", name="Graph").click()
    expect(page.locator(".model-card.state-succeeded")).to_have_count(3)
    assert axe(page) == []


def test_tabs_that_were_opened_before_the_plan_fill_when_it_is_there(window, tmp_path, boss, judge):
    """No engine runs here: the run waits to be planned until this test plans it."""
    run = start(make_flow(write_project(tmp_path / "planned", MODELS)))
    graph, logs = window.open(boss), window.open(boss)
    graph.goto(f"/runs/{run.pk}/?tab=graph")
    expect(graph.get_by_role("heading", name="No graph yet")).to_be_visible()
    judge(graph, "run-graph-unplanned")
    logs.goto(f"/runs/{run.pk}/?tab=log")
    expect(logs.get_by_role("heading", name="No log yet")).to_be_visible()
    plan_run(run.pk)
    expect(graph.locator(".model-card")).to_have_count(3)
    expect(graph.get_by_role("group", name="stg_a, model, queued")).to_be_visible()
    expect(graph.get_by_role("group", name="mart, model, pending")).to_be_visible()
    judge(graph, "run-graph-planned")
    first = run.task_runs.get(identifier="stg_a")
    claim(first.pk, "w1", lane_id=first.lane_id)
    expect(graph.get_by_role("group", name="stg_a, model, running")).to_be_visible()  # and it goes on from there
    expect(logs.locator("#run-logs tr", has_text="stg_a")).to_contain_text("Running")
    cancel_run(run.pk, actor="boss")


def test_the_graph_takes_the_states_of_a_run_as_it_goes(engine, window, tmp_path, boss):  # noqa: F811
    slow = {**MODELS, "stg_b": "{{ config(materialized='table') }} " + SLOW.format(n=8000)}
    run = start(make_flow(write_project(tmp_path / "graphed", slow)))
    until(lambda: run.task_runs.filter(identifier="stg_b", state="running").exists(), 60)
    page = window.open(boss)
    page.goto(f"/runs/{run.pk}/?tab=graph")
    expect(page.locator(".model-card.state-running")).to_have_count(1)
    expect(page.locator(".model-card.state-succeeded")).to_have_count(3, timeout=patience(60_000))


def test_a_broken_model_is_seen_first_mended_and_rerun_from_the_failure(engine, window, tmp_path, boss):  # noqa: F811
    broken = {**MODELS, "mart": "select nonsense from {{ ref('stg_a') }}", "report": "select * from {{ ref('mart') }}"}
    folder = write_project(tmp_path / "broken", broken)
    flow = make_flow(folder)
    first = finished(start(flow))
    page = window.open(boss)
    page.goto(f"/runs/{first.pk}/")
    panel = page.locator("#task-panel")
    expect(panel.locator(".notice.error")).to_contain_text("nonsense")
    expect(panel.get_by_text("Compiled SQL")).to_be_visible()
    expect(panel.locator("pre.code").first).to_contain_text("select nonsense")
    expect(row(page, "report")).to_contain_text("upstream mart failed")
    assert axe(page) == []

    (folder / "models" / "mart.sql").write_text(MODELS["mart"])
    page.get_by_role("link", name="Rerun from failure").click()
    foreseen = page.locator("#foreseen")
    expect(foreseen).to_contain_text("2 tasks run, 2 are reused")
    page.get_by_label("Latest").check()
    expect(foreseen).to_contain_text("read again when the rerun starts")
    page.get_by_role("button", name="Rerun").click()
    page.wait_for_url(lambda url: f"/runs/{first.pk}/" not in url)
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(60_000))
    for name, state in (("stg_a", "Reused"), ("stg_b", "Reused"), ("mart", "Succeeded"), ("report", "Succeeded")):
        expect(row(page, name)).to_contain_text(state)
    tries = page.get_by_role("navigation", name="Reruns of this run")
    expect(tries.get_by_role("link")).to_have_count(2)
    tries.get_by_role("link", name=re.compile(f"#{first.pk}")).click()
    expect(page.locator("#run-head .badge").first).to_contain_text("Failed")  # history does not change


def test_the_batch_that_failed_is_seen_and_a_rerun_is_as_the_first_try_unless_that_is_changed(
    engine,  # noqa: F811
    window,
    tmp_path,
    boss,
    judge,
):
    flag = tmp_path / "flag"
    flag.write_text("there is trouble")
    flow = make_flow(project(flag), {"all": {"full_refresh": True}}, parameters=[{"name": "region", "type": "text"}])
    first = finished(start(flow, parameters={"region": "north"}))
    flow.nodes.update(full_refresh=False)
    page = window.open(boss)
    page.goto(f"/runs/{first.pk}/?task={first.task_runs.get(identifier='by_day').pk}")
    batches = page.get_by_role("region", name="Batches of this model").locator("tbody tr")
    expect(page.locator("#task-panel")).to_contain_text("3 of 4 built, 1 failed")
    expect(page.locator("#task-panel .notice.error")).not_to_contain_text("PARTIAL")  # what it was is said in words
    expect(batches).to_have_count(4)
    expect(batches.nth(2)).to_contain_text("the third day is bad")
    expect(batches.nth(2)).to_contain_text("Failed")
    batches.last.scroll_into_view_if_needed()
    judge(page, "run-batches")

    page.get_by_role("link", name="Rerun from failure").click()
    expect(page.get_by_role("radio", name=f"As in run {first.pk}")).to_be_checked()
    expect(page.get_by_role("heading", name="Full refresh")).to_be_visible()
    expect(page.get_by_role("radio", name="Missing batches")).to_be_checked()
    expect(page.locator("#foreseen")).to_contain_text("failed: 1 of 4 batches not built")
    expect(page.get_by_label("region")).to_have_value("north")
    judge(page, "run-rerun-batches")
    page.get_by_role("radio", name="The window of a new run").check()
    page.get_by_label("region").fill("south")
    expect(page.locator("#foreseen")).to_contain_text("1 task runs")
    expect(page.get_by_role("radio", name="The window of a new run")).to_be_checked()  # also once it was asked
    page.get_by_role("radio", name="All batches in that window").check()
    page.get_by_role("radio", name="No", exact=True).check()
    flag.unlink()
    page.get_by_role("button", name="Rerun").click()
    page.wait_for_url(lambda url: f"/runs/{first.pk}/" not in url)
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(60_000))
    again = first.reruns.get()
    assert (again.scope["window"], again.scope["full_refresh"]) == ("whole", "no")
    assert again.parameters == {"region": "south"}
    row(page, "by_day").get_by_role("link").click()
    expect(page.locator("#task-panel")).to_contain_text("4 of 4 built, from")


def test_a_long_run_is_cancelled_and_says_by_whom(engine, window, tmp_path, boss):  # noqa: F811
    slow = {
        "slow": "{{ config(materialized='table') }} " + SLOW.format(n=1_000_000),
        "after": "select * from {{ ref('slow') }}",
    }
    run = start(make_flow(write_project(tmp_path / "long", slow)))
    until(lambda: run.task_runs.filter(identifier="slow", state="running").exists(), 60)
    page = window.open(boss)
    page.goto(f"/runs/{run.pk}/")
    expect(row(page, "slow")).to_contain_text(re.compile(r"\d+ s"))  # how long it has been running
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#run-head")).to_contain_text("ancelled by boss")
    expect(page.locator("#run-head .badge").first).to_contain_text("Cancelled", timeout=patience(30_000))
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED and run.cancel_requested_by == "boss"
    assert not cancel_run(run.pk, actor="late")


def test_a_log_is_read_searched_and_linked(engine, window, tmp_path, boss):  # noqa: F811
    run = finished(start(make_flow(write_project(tmp_path / "logged", MODELS))))
    page = window.open(boss)
    page.goto(f"/runs/{run.pk}/?tab=log")
    page.get_by_role("link", name=re.compile("Log of mart")).click()
    expect(page.locator(".log-lines li").first).to_be_visible()
    assert axe(page) == []
    page.get_by_role("searchbox").fill("ok created")
    page.locator("#content").get_by_role("button", name="Search", exact=True).click()
    hit = page.locator(".hits a").first
    hit.click()
    expect(page.locator(".log-lines .marked")).to_have_count(1)


def test_the_panel_of_a_task_opens_and_closes_without_leaving_the_page(engine, window, tmp_path, boss):  # noqa: F811
    run = finished(start(make_flow(write_project(tmp_path / "panel", MODELS))))
    page = window.open(boss)
    page.goto(f"/runs/{run.pk}/")
    expect(page.locator("#task-panel")).to_have_count(0)
    row(page, "mart").get_by_role("link").click()
    expect(page.locator("#task-title")).to_be_focused()
    expect(page).to_have_url(re.compile(r"task=\d+"))
    page.locator("#task-panel").get_by_role("link", name="stg_a").click()
    expect(page.locator("#task-title")).to_contain_text("stg_a")
    page.reload()
    expect(page.locator("#task-title")).to_contain_text("stg_a")
    page.get_by_role("link", name="Close the panel").click()
    expect(page.locator("#task-panel")).to_have_count(0)
    page.get_by_role("searchbox", name="Find tasks by name, node or reason").fill("stg")
    expect(page.locator("table.tasks tbody tr")).to_have_count(2)
    assert Run.objects.count() == 1
