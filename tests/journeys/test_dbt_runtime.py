"""A project whose warehouse dex has no adapter for: proposed, accepted, built before one's eyes; what goes wrong."""

import re
import threading
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from flows.models import Environment, Project
from nodes.models import RuntimeBuild
from nodes.runtimes import builds
from nodes.services.sync import SyncError, sync
from runs.operations.runtime_builds import make
from runs.operations.syncing import sync_if_requested
from tests.helpers.engines import write_project
from tests.helpers.pages import Person
from tests.helpers.runtimes import share_downloads
from tests.helpers.waiting import patience

PROFILE = (
    "small: {target: dev, outputs: {dev: {type: sqlite, threads: 1, database: shop, schema: main, "
    "schemas_and_paths: {main: /tmp/dex-shop.db}, schema_directory: /tmp}}}\n"
)


@pytest.fixture
def project(tmp_path):
    share_downloads()
    folder = write_project(tmp_path / "shop", {"a": "select 1 as id"})
    (folder / "profiles.yml").write_text(PROFILE)
    (folder / "dbt_project.yml").write_text(
        "name: small\nprofile: small\nversion: '1.0'\nrequire-dbt-version: ['>=1.9.0', '<1.11.0']\n"
    )
    row = Project.objects.create(name="shop", path=str(folder))
    Environment.objects.create(project=row, name="main")
    return row


def test_from_a_missing_adapter_to_a_runtime_that_is_built_and_back(window, project, judge, monkeypatch):
    environment = project.environments.get()
    with pytest.raises(SyncError):
        sync(environment)
    page = window.open(Person("ann", "everything").user)

    # The environment says what is wrong and leads to the proposal
    page.goto(f"/admin/flows/environment/{environment.pk}/change/")
    expect(page.get_by_text("The profile has the type sqlite").first).to_be_visible()
    judge(page, "environment-without-adapter")
    page.get_by_role("link", name="Choose a dbt runtime").click()
    expect(page.get_by_role("heading", name="Proposed for this project")).to_be_visible()
    expect(page.locator(".requirements")).to_have_text(re.compile(r"dbt-core>=1\.9\.0,<1\.11\.0\s+dbt-sqlite"))
    judge(page, "dbt-runtime-proposed")

    # Accepted, it waits for a worker, which builds it while the page shows the log
    page.get_by_role("button", name="Use this").click()
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Waiting")
    build, go_on = RuntimeBuild.objects.get(), threading.Event()
    checked = builds.locks._check

    def slowly(site, order):
        go_on.wait(patience(60))
        checked(site, order)

    monkeypatch.setattr(builds.locks, "_check", slowly)
    worker = threading.Thread(target=make, args=(build.pk,))
    worker.start()
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Building", timeout=patience(20_000))
    expect(page.get_by_label("Log of the build")).to_contain_text("+ dbt-sqlite", timeout=patience(60_000))
    judge(page, "dbt-runtime-building")
    go_on.set()
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Built", timeout=patience(60_000))
    worker.join()
    sync_if_requested(environment.pk)  # what the worker does next
    expect(page.get_by_role("heading", name="dbt 1.10.")).to_be_visible()
    expect(page.get_by_text("is being synced")).to_have_count(0)
    page.get_by_text("packages locked").click()
    expect(page.get_by_label("Locked packages")).to_contain_text("dbt-sqlite==")
    judge(page, "dbt-runtime-built")

    # What cannot be built is said at the field, or by the build
    page.get_by_label("Requirements entered here").check()
    page.get_by_label("Requirements", exact=True).fill("dbt-core~=1.10.0")
    page.get_by_role("button", name="Save").click()
    expect(
        page.get_by_text("The adapter is missing. Add the package for your warehouse, such as dbt-sqlite.")
    ).to_be_visible()
    judge(page, "dbt-runtime-refused")
    page.get_by_label("Requirements", exact=True).fill("dbt-core~=1.10.0\ndbt-no-such-adapter-of-dex")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Waiting")
    make(RuntimeBuild.objects.get(lock=None).pk)
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Build failed", timeout=patience(20_000))
    expect(page.get_by_role("alert")).to_contain_text("dbt-no-such-adapter-of-dex was not found")
    expect(page.get_by_label("Log of the last build")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("main: dbt 1.10.")  # what stays in use
    judge(page, "dbt-runtime-failed")

    # And back to what dex ships; the history of the project has it all
    page.get_by_label("dex: dbt 1.11").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Built in")
    sync_if_requested(environment.pk)
    page.goto(f"/admin/flows/project/{project.pk}/change/")
    judge(page, "project-with-dbt")
    page.goto(f"/admin/flows/project/{project.pk}/history/")
    for said in ("to the built-in dbt", "dbt-no-such-adapter-of-dex", "dbt-sqlite"):
        expect(page.get_by_text(re.compile(f"Changed the dbt runtime.*{said}")).first).to_be_visible()


def test_a_rebuild_that_fails_leaves_the_last_good_one_in_use(window, project, judge, settings):
    (Path(project.path) / "profiles.yml").unlink()
    sync(project.environments.get())
    page = window.open(Person("ann", "everything").user)
    page.goto(f"/projects/{project.pk}/dbt/")
    expect(page.locator(".requirements")).to_have_text(re.compile(r"dbt-core>=1\.9\.0,<1\.11\.0\s+dbt-duckdb"))
    page.get_by_role("button", name="Use this").click()
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Waiting")
    make(RuntimeBuild.objects.get().pk)
    sync_if_requested(project.environments.get().pk)
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Built", timeout=patience(20_000))
    settings.SCRIPT_INDEX_ENVIRONMENT = {"ALL_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    page.get_by_role("button", name="Rebuild").click()
    expect(page.get_by_text("ann requested a build")).to_be_visible()
    assert RuntimeBuild.objects.get().requested_at <= timezone.now()
    make(RuntimeBuild.objects.get().pk)
    expect(page.locator("#dbt-runtime .badge")).to_have_text("Rebuild failed", timeout=patience(20_000))
    expect(page.get_by_role("alert")).to_contain_text("the one below stays in use")
    assert project.environments.get().sync_requested_at is None  # nothing is new
    judge(page, "dbt-runtime-rebuild-failed")
