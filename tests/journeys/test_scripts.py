"""The guide's script from a push to its log, in a real browser, from a real Git repository."""

import re

import pytest
from playwright.sync_api import expect

from flows.models import Environment
from nodes.models import Node
from runs.operations.syncing import sync_if_requested
from tests.helpers.engines import finished, run_to_end, start
from tests.helpers.git_hosts import Clone
from tests.helpers.pages import Person
from tests.helpers.waiting import patience, until
from tests.helpers.wheels import publish
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.runs.conftest import engine  # noqa: F401 - a fixture
from tests.runs.kinds.scripts import project, script_flow  # noqa: F401 - fixtures
from tests.runs.kinds.test_scripts import GUIDE, let_past, shelf  # noqa: F401 - shelf is a fixture

README = "# data_transfer\n\nMoves what it is told to move.\n"


@pytest.fixture
def boss():
    return Person("boss", "everything").user


def test_the_guides_script_from_a_push_to_its_log(engine, window, tmp_path, boss, seen):  # noqa: F811
    clone = Clone(tmp_path / "host")
    clone.write({"dbt_project.yml": "name: shop\nprofile: shop\nversion: '1.0'\n", "models/a.sql": "select 1 as id"})
    clone.write({"dex-custom-scripts/data_transfer/__main__.py": GUIDE.replace("print", "print", 1)})
    clone.write({"dex-custom-scripts/data_transfer/README.md": README})
    sha = clone.push("The guide's script")
    page = window.open(boss)

    # A project from Git, and its environment
    page.goto("/admin/flows/project/add/")
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Folder", exact=True).fill(str(clone.bare))
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/admin/flows/environment/add/")
    page.locator("#id_project").select_option(label="shop")
    page.get_by_label("Name", exact=True).fill("main")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The repository has no work tree; enter a branch.")).to_be_visible()
    page.get_by_label("Branch").fill("main")
    page.get_by_label("Warehouse type").select_option(label="PostgreSQL")
    expect(page.locator("#id_postgres_host")).to_be_visible()
    page.get_by_label("Warehouse type").select_option(index=0)
    expect(page.locator("#id_postgres_host")).to_be_hidden()
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_text("A worker syncs shop / main.")).to_be_visible()
    sync_if_requested(Environment.objects.get().pk)  # what a worker does
    expect(page.get_by_text(f"At {sha[:10]}")).to_be_visible(timeout=patience(60_000))
    page.goto(f"/admin/flows/environment/{Environment.objects.get().pk}/change/")
    expect(page.get_by_text("The guide's script, by Ada")).to_be_visible()

    # Variables
    for name, value in (("MY_VAR", "mine"), ("ANOTHER_VAR", "a-hidden-value")):
        page.goto("/variables/new/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Scope").select_option(label="shop / main")
        page.get_by_label("Value").fill(value)
        if name == "ANOTHER_VAR":
            page.get_by_label("Mark as secret").check()
        page.get_by_role("button", name="Create variable").click()
        expect(page.get_by_text(f"{name} was saved.")).to_be_visible()

    # Creating a Custom Script Node
    page.goto("/flows/new/")
    page.get_by_label("Name", exact=True).fill("Transfer")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    page.locator("summary", has_text="Add new").click()
    page.locator(".add-node").get_by_role("link", name="Custom Script").click()
    panel = page.locator("#panel")
    panel.get_by_label("Name").fill("Transfer data")
    panel.get_by_label("Package").select_option("data_transfer")
    about = panel.get_by_role("region", name="About data_transfer")
    expect(about).to_contain_text("sys.argv[1] to sys.argv[2]")
    expect(about).to_contain_text("ANOTHER_VAR is a secret of this environment")
    about.get_by_text("README of data_transfer").click()
    expect(about).to_contain_text("Moves what it is told to move.")
    panel.get_by_label("Key of parameter 1").fill("source")
    panel.get_by_label("Value of parameter 1").fill("from here")
    panel.get_by_role("button", name="Add parameter").click()
    panel.get_by_label("Key of parameter 2").fill("target")
    panel.get_by_label("Value of parameter 2").fill("{{ MY_VAR }} $(x)")
    panel.get_by_role("button", name="Run once").click()
    expect(panel.locator("#script-test")).to_contain_text("Parameter 2: mine $(x)", timeout=patience(30_000))
    expect(panel.locator("#script-test")).to_contain_text("Succeeded")
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        seen(page, f"script{suffix}", gallery=False)  # the log names where Python is
        assert axe(page, rules=CONTRAST if suffix == "-dark" else None) == []
        assert sideways(page) <= 0
    look_like(page, "")
    panel.get_by_label("Value of parameter 2").fill("{{ ANOTHER_VAR }}")
    panel.get_by_role("button", name="Save").click()
    expect(panel.get_by_text('Read it in the script with os.getenv("ANOTHER_VAR")')).to_be_visible()
    panel.get_by_label("Value of parameter 2").fill("there; {{ MY_VAR }}")
    panel.get_by_role("button", name="Save").click()
    expect(panel.locator(".notice.success")).to_be_visible()
    assert Node.objects.get().arguments[1] == {"key": "target", "value": "there; {{ MY_VAR }}"}

    # It runs as part of the flow; its log says what it got, and hides the secret
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(re.compile(r"/runs/\d+/"))
    expect(page.locator("#run-head .badge").first).to_contain_text("Succeeded", timeout=patience(60_000))
    expect(page.locator("#run-head")).to_contain_text(sha[:10])
    page.get_by_role("link", name="data_transfer").first.click()
    said = page.locator("#task-panel")
    expect(said).to_contain_text("Parameter 1: from here")
    expect(said).to_contain_text("Parameter 2: there; mine")
    expect(said).to_contain_text("variables mine [MASKED]")
    assert "a-hidden-value" not in page.content()
    assert axe(page) == []


def test_a_progress_bar_moves_before_the_eyes_of_who_follows_the_log(engine, window, script_flow, boss):  # noqa: F811
    run = start(script_flow("bar"))
    until(lambda: run.task_runs.filter(node_name="job", state="running", fence__gt=0).exists(), 60)
    task = run.task_runs.get(node_name="job")
    page = window.open(boss)
    page.goto(f"/runs/{run.pk}/tasks/{task.pk}/log/{task.fence}/")
    log, bar = page.locator("#log"), page.locator("#log li[data-open]")
    for n, state in ((0, "0.0 %"), (5_000, "25.0 %"), (10_000, "50.0 %"), (15_000, "75.0 %"), (20_000, "100.0 %")):
        expect(bar).to_have_text(re.compile(rf"^\d+ *{re.escape(state)} \|#{{80}}\|$"))
        expect(log.locator("li", has_text="|####")).to_have_count(1)
        expect(page.locator("#log li", has_text="begins")).to_have_count(1)
        if n == 10_000:
            assert axe(page) == []
        let_past(run, n)
    finished(run)
    expect(page.locator("#follow")).to_have_count(0)  # the page told itself that it is over
    expect(log.locator("li", has_text="|####")).to_have_count(1)
    expect(log.locator("li").last).to_contain_text("ends")
    expect(bar).to_have_count(0)


def test_an_environment_is_renewed_from_the_form_of_its_script(engine, window, script_flow, shelf, boss, judge):  # noqa: F811
    flow = script_flow("shopper")
    run_to_end(flow)
    publish(shelf, "shopkit", "1.1")
    page = window.open(boss)
    page.goto(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/")
    about = page.get_by_role("region", name="About shopper")
    about.get_by_text("1 package installed").click()
    expect(about).to_contain_text("shopkit==1.0")
    judge(page, "script-environment")
    about.get_by_role("button", name="Renew").click()
    expect(about.get_by_text("boss requested a renewal")).to_have_count(0, timeout=patience(60_000))
    about.get_by_text("1 package installed").click()
    expect(about).to_contain_text("shopkit==1.1")

    for path in shelf.iterdir():
        path.unlink()
    about.get_by_role("button", name="Renew").click()
    expect(about.get_by_role("alert")).to_contain_text("It could not be renewed", timeout=patience(60_000))
    about.get_by_text("1 package installed").click()
    expect(about).to_contain_text("shopkit==1.1")
    judge(page, "script-environment-failed")
