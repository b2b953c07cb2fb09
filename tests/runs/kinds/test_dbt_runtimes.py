"""Projects that bring their own dbt: synced, run, and repeated on the very dbt that a revision was parsed with."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.utils import timezone

from flows.models import Environment, Flow, Project
from nodes.models import Node, RuntimeBuild, RuntimeLock
from nodes.runtimes import choices
from nodes.runtimes.builds import runtime_of
from nodes.services import save_node
from nodes.services.sync import SyncError, sync
from runs import dispatch
from runs.engine import sessions
from runs.engine.shutdown import draining
from runs.operations.runtime_builds import dispatch_what_waits, make
from runs.operations.syncing import ask_to_sync, sync_if_requested
from runs.planning.reruns import rerun
from tests.helpers.engines import finished, make_flow, run_to_end, write_project
from tests.helpers.git_hosts import Clone
from tests.helpers.paths import SAMPLE
from tests.helpers.runtimes import DBT_1_12, share_downloads
from tests.nodes.dbt.dbt_lab import _arguments_beside
from tests.runs.kinds.test_variables import compiled

pytestmark = pytest.mark.django_db(transaction=True)
WHICH = {"which": "select '{{ dbt_version }}' as version"}
TYPED, FOUND, BUILT_IN = "typed", "found", "built_in"


@pytest.fixture(autouse=True)
def downloads():
    share_downloads()


def shop(folder, name="shop"):
    """An environment of the project in this folder."""
    project = Project.objects.create(name=name, path=str(folder))
    return Environment.objects.create(project=project, name="main")


def bring(project, *requirements):
    """Choose a runtime and build it, as a worker does."""
    for row in choices.choose(project, TYPED, "\n".join(requirements)):
        make(row.pk)


def test_the_sample_shop_runs_on_dbt_1_12(engine):
    environment = shop(SAMPLE)
    bring(environment.project, *DBT_1_12)
    revision = sync(environment)
    lock = RuntimeLock.objects.get()
    assert revision.runtime == lock.as_json() and revision.runtime["version"].startswith("1.12.")
    flow = Flow.objects.create(name="all", environment=environment)
    save_node(Node(flow=flow, name="all"))
    run = run_to_end(flow)
    assert run.state == "succeeded" and run.revision == revision and run.task_runs.count() > 10


def test_the_sample_shop_runs_on_dbt_1_8_where_packages_may_be_built_from_source(engine, settings, tmp_path):
    settings.SCRIPT_BUILD = True  # dbt 1.8 needs logbook, of which there is no wheel
    copy = Path(shutil.copytree(SAMPLE, tmp_path / "sample"))
    for path in copy.glob("models/**/*.yml"):
        path.write_text(yaml.safe_dump(_arguments_beside(yaml.safe_load(path.read_text())), sort_keys=False))
    environment = shop(copy)
    bring(environment.project, "dbt-core~=1.8.0", "dbt-duckdb")
    assert RuntimeBuild.objects.get().problem == ""
    revision = sync(environment)
    assert revision.runtime["version"].startswith("1.8.")
    flow = Flow.objects.create(name="all", environment=environment)
    save_node(Node(flow=flow, name="all"))
    run = run_to_end(flow)
    assert run.state == "succeeded" and run.revision == revision


def test_a_revision_stays_on_its_lock_after_the_project_moved_on_and_the_runtime_was_pruned(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", WHICH), parameters=[{"name": "day"}])
    project = flow.environment.project
    first = run_to_end(flow)
    shipped = first.revision.runtime["version"]
    assert f"'{shipped}'" in compiled(first) and shipped.startswith("1.11.")

    bring(project, *DBT_1_12)
    second = run_to_end(flow)
    brought = second.revision.runtime["version"]
    assert f"'{brought}'" in compiled(second) and brought.startswith("1.12.") and second.revision != first.revision

    choices.choose(project, BUILT_IN)
    third = run_to_end(flow)
    assert third.revision == first.revision and f"'{shipped}'" in compiled(third)
    sessions.close_all()
    place = Path(runtime_of(second.revision).python).parents[1]
    shutil.rmtree(place)
    again = finished(rerun(second, mode="all", actor="test"))
    assert again.revision == second.revision and f"'{brought}'" in compiled(again) and place.is_dir()
    with_day = finished(rerun(second, mode="all", parameters={"day": "sunday"}, actor="test"))
    assert f"'{brought}'" in compiled(with_day) and with_day.revision.runtime == second.revision.runtime


def test_the_last_good_runtime_stays_in_use_and_the_environment_says_why(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", WHICH))
    environment = flow.environment
    bring(environment.project, "dbt-core~=1.11.0", "dbt-no-such-adapter-of-dex")
    run = run_to_end(flow)
    environment.refresh_from_db()
    assert run.state == "succeeded" and environment.sync_error == ""
    (note,) = environment.sync_notes
    assert note.startswith("The dbt runtime could not be built, so dbt 1.11.") and "cannot be met together" in note

    fresh = Environment.objects.create(project=environment.project, name="fresh")  # it has no last good one
    with pytest.raises(SyncError, match="cannot be met together"):
        sync(fresh)
    fresh.refresh_from_db()
    assert fresh.sync_error_about == "runtime" and "cannot be met together" in fresh.sync_error


def test_a_profile_of_another_type_than_the_adapters_is_a_sentence_with_a_proposal(tmp_path):
    folder = write_project(tmp_path / "p", WHICH)
    (folder / "profiles.yml").write_text("small: {target: dev, outputs: {dev: {type: snowflake, account: x}}}\n")
    environment = shop(folder)
    with pytest.raises(SyncError) as told:
        sync(environment)
    assert "The profile has the type snowflake, but the dbt runtime has adapters for duckdb, postgres only" in str(
        told.value
    )
    environment.refresh_from_db()
    assert environment.sync_error_about == "runtime"
    proposal = choices.proposal_of(choices.row_of(environment.project))
    assert proposal.requirements == ("dbt-core~=1.11.0", "dbt-snowflake")
    (folder / "profiles.yml").unlink()
    sync(environment)
    environment.refresh_from_db()
    assert (environment.sync_error, environment.sync_error_about) == ("", "")
    assert choices.proposal_of(choices.row_of(environment.project)) is None


def test_what_the_repository_says_is_followed_once_somebody_chose_it_and_a_broken_file_keeps_the_last_good(
    engine, tmp_path
):
    clone = Clone(tmp_path / "host")
    clone.write(
        {"dbt_project.yml": "name: small\nprofile: small\nversion: '1.0'\n", "models/which.sql": WHICH["which"]}
    )
    clone.write({"requirements.txt": "dbt-core==1.11.12\ndbt-duckdb\nnetworkx<3.5\nDjango==5.0\n"})
    clone.push("first")
    project = Project.objects.create(name="small", path=str(clone.bare))
    main = Environment.objects.create(project=project, name="main", branch="main")
    sync(main)  # nobody chose what the repository says
    assert main.current_revision.runtime["lock"] == ""
    assert choices.proposal_of(choices.row_of(project)).file == "requirements.txt"
    assert [make(row.pk) for row in choices.choose(project, FOUND)] == [None]
    revision = sync(main)
    lock = RuntimeLock.objects.get()
    assert revision.runtime["version"] == "1.11.12" and revision.runtime["lock"] == lock.digest
    locked = dict(each.split("==") for each in lock.packages)
    assert "django" not in locked and tuple(map(int, locked["networkx"].split(".")))[:2] < (3, 5)

    clone.write({"requirements.txt": "dbt-core\n"}).push("broken")
    again = sync(main)
    main.refresh_from_db()
    assert again.runtime == revision.runtime and "The adapter is missing" in main.sync_notes[0]


def test_a_worker_that_ends_while_it_builds_leaves_the_sync_to_the_next(tmp_path):
    environment = shop(write_project(tmp_path / "p", WHICH))
    (row,) = choices.choose(environment.project, TYPED, "dbt-core~=1.12.0\ndbt-duckdb\nsix")
    ask_to_sync(Environment.objects.filter(pk=environment.pk))
    draining.set()
    try:
        make(row.pk)
        sync_if_requested(environment.pk)
    finally:
        draining.clear()
    environment.refresh_from_db()
    row.refresh_from_db()
    assert row.waits and not row.is_building and row.problem == ""
    assert environment.sync_requested_at is not None and environment.sync_error == ""


def test_a_build_that_nobody_made_is_dispatched_again(tmp_path, monkeypatch):
    environment = shop(write_project(tmp_path / "p", WHICH))
    (row,) = choices.choose(environment.project, TYPED, "\n".join(DBT_1_12))
    sent = []
    monkeypatch.setattr(dispatch, "runtime_build", sent.append)
    dispatch_what_waits()
    assert sent == []  # its message is on its way
    RuntimeBuild.objects.update(requested_at=timezone.now() - timedelta(minutes=2))
    dispatch_what_waits()
    assert sent == [row.pk]
    RuntimeBuild.objects.update(started_at=timezone.now())
    dispatch_what_waits()
    assert sent == [row.pk]
