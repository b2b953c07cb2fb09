"""A repository that wants to keep dex busy: it is read in a process with limits, and dex goes on."""

import ast
import threading
import time
from pathlib import Path

import pytest
from django.db import connections

from flows.infra import process
from flows.models import Environment, Flow, Project
from nodes.dbt import profiles, reader
from nodes.models import Node
from nodes.scripts.reading import reads_of_all
from nodes.services.sync import SyncError, sync, vars_of
from runs.models import Run
from runs.operations.syncing import ask_to_sync, sync_if_requested
from runs.planning import planner
from runs.services import start_run
from runs.states import RunState
from tests.helpers.pages import Person, sample_flow
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.process

LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
LIMIT = "cannot be read with"


@pytest.fixture(autouse=True)
def one_second(monkeypatch):
    """So that what never ends is over soon; and nothing is remembered from other tests."""
    monkeypatch.setattr(reader, "CPU_S", 1)
    monkeypatch.setattr(reader, "LIMITS", process.Limits(memory=1024**3, cpu_seconds=1, file_size=0, open_files=64))
    reader.forget()


def project(tmp_path, **more):
    folder = tmp_path / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "a.sql").write_text("select 1 as id")
    lines = {"name": "shop", "version": "'1.0'", "profile": "shop", **more}
    (folder / "dbt_project.yml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return folder


def bomb(folder):
    """An output that is a bomb: ten billion words as soon as somebody looks at all of it."""
    body = "".join(f"  {line}\n" for line in BOMB.splitlines())
    text = f"bombs:\n{body}shop:\n  target: d\n  outputs:\n    d: {{type: duckdb, path: x.duckdb, settings: *a9}}\n"
    (folder / "profiles.yml").write_text(text)


@pytest.mark.parametrize("what", ["loop", "bomb", "power"])
def test_a_profile_that_never_finishes_or_explodes_is_given_up_and_reported(tmp_path, what):
    folder = project(tmp_path, **({"profile": f'"{LOOP}"'} if what == "loop" else {}))
    if what == "power":
        project(tmp_path, profile='"{{ 9 ** (9 ** 9) }}"')
    if what == "bomb":
        bomb(folder)
    began, cpu = time.monotonic(), time.process_time()
    with pytest.raises(profiles.UnreadableProfile, match=LIMIT):
        _ = profiles.describe(folder, "shop") if what == "bomb" else profiles.profile_name(folder)
    assert time.monotonic() - began < 40 and time.process_time() - cpu < 2


def test_a_range_of_a_billion_is_refused_by_the_template_itself(tmp_path):
    folder = project(tmp_path, profile='"{% for i in range(10**9) %}x{% endfor %}"')
    with pytest.raises(profiles.ProfileError, match="cannot be filled in: Range too big"):
        profiles.profile_name(folder)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    folder = project(tmp_path)
    with (folder / "dbt_project.yml").open("a") as file:
        file.write("# " + "x" * reader.LARGEST)
    with pytest.raises(profiles.UnreadableProfile, match="larger than 1,024 KiB"):
        profiles.profile_name(folder)


@pytest.mark.parametrize(
    "text", ["2020-99-99", "[" * 100_000, "\x00", "a: b: c", "? {a: b}\n: c", "!!python/object:os.x {}"]
)
def test_whatever_stands_in_the_file_is_a_sentence(tmp_path, text):
    folder = project(tmp_path)
    (folder / "dbt_project.yml").write_text(text)
    with pytest.raises(profiles.ProfileError) as refused:
        profiles.profile_name(folder)
    assert len(str(refused.value)) < 1000


def test_the_same_text_is_read_once(tmp_path, monkeypatch):
    folder = project(tmp_path, profile="\"{{ env_var('NAME') }}\"", vars="{region: eu}")
    assert profiles.profile_name(folder, {"NAME": "x"}) == "x"
    monkeypatch.setattr(reader.process, "start", None)
    assert profiles.profile_name(folder, {"NAME": "x"}) == "x"
    assert profiles.project_of(folder, {"NAME": "x"}).vars == ("region",)
    with pytest.raises(TypeError):
        profiles.profile_name(folder, {"NAME": "y"})


def test_scripts_are_read_together_and_a_hostile_one_spoils_no_other(tmp_path):
    texts = ["import os\nos.getenv('A')", "(" * 200_000, "import sys\nsys.argv[2]", "f(" * 90 + "\n"]
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"{number}.py")
        paths[-1].write_text(text)
    found = reads_of_all(paths)
    assert found[0].names == ("A",) and found[2].places == (2,) and found[1].names == ()


def hostile_environment(tmp_path, kind):
    folder = project(tmp_path, **({"profile": f'"{LOOP}"'} if kind == "loop" else {}))
    if kind == "bomb":
        bomb(folder)
    return Environment.objects.create(project=Project.objects.create(name="hostile", path=str(folder)), name="main")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["loop", "bomb"])
def test_its_sync_and_its_runs_fail_with_a_sentence(tmp_path, kind, settings):
    settings.DEX_HOME = tmp_path / "home"
    environment = hostile_environment(tmp_path, kind)
    began = time.monotonic()
    with pytest.raises(SyncError, match=LIMIT):
        sync(environment)
    flow = Flow.objects.create(name="Hostile", environment=environment)
    Node.objects.create(flow=flow, name="All")
    run = start_run(flow, trigger="manual", actor="test")
    planner.plan_run(run.pk)
    run.refresh_from_db()
    assert run.state == RunState.FAILED and LIMIT in run.reason and "YAML aliases" in run.reason
    assert time.monotonic() - began < 60
    if kind == "loop":
        with pytest.raises(profiles.UnreadableProfile):
            vars_of(Path(environment.project.path), {})


@pytest.mark.django_db(transaction=True)
def test_the_site_answers_while_a_worker_reads_it_and_the_page_tells_how_it_ended(tmp_path, settings):
    settings.DEX_HOME = tmp_path / "home"
    environment = hostile_environment(tmp_path, "loop")
    ada = Person("ada", "everything")
    began = time.monotonic()
    page = ada.act("/admin/flows/environment/", "sync_environments", environment)
    assert time.monotonic() - began < 10 and page.messages == ["A worker syncs hostile / main."]

    def work():
        sync_if_requested(environment.pk)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    slowest, answers = 0.0, 0
    while worker.is_alive():
        asked = time.monotonic()
        assert ada.client.get("/healthz").status_code == 200
        slowest, answers = max(slowest, time.monotonic() - asked), answers + 1
        time.sleep(0.05)
    worker.join()
    assert answers >= 3 and slowest < 2
    told = ada.open(f"/environments/{environment.pk}/sync/")
    assert "The last sync failed" in told.html and LIMIT in told.html and "hx-get" not in told.html
    assert told.inline == []


@pytest.mark.django_db
def test_a_fault_of_dex_ends_a_sync_too(tmp_path, monkeypatch):
    environment = sample_flow().environment
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("runs.operations.syncing.sync", lambda row, stop: (_ for _ in ()).throw(full))
    ask_to_sync(Environment.objects.filter(pk=environment.pk))
    sync_if_requested(environment.pk)
    environment.refresh_from_db()
    assert environment.sync_requested_at is None and "No space left" in environment.sync_error


@pytest.mark.django_db(transaction=True)
def test_a_run_that_cannot_be_planned_in_time_fails_with_the_reason(settings, monkeypatch):
    settings.PLAN_TIMEOUT_S = 0.3
    flow = sample_flow()
    run = start_run(flow, trigger="manual", actor="test")
    ended = threading.Event()
    monkeypatch.setattr(planner, "_plan_run", lambda run_id: ended.wait(20))
    thread = threading.Thread(target=planner.plan_run, args=[run.pk])
    thread.start()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        run.refresh_from_db()
        if run.state != RunState.QUEUED:
            break
        time.sleep(0.05)
    ended.set()
    thread.join()
    assert run.state == RunState.FAILED and "planning took longer than 0.3 seconds" in run.reason
    assert Run.objects.get(pk=run.pk).state == RunState.FAILED


def sources():
    for app in ("dexsite", "flows", "nodes", "runs"):
        for path in (ROOT / app).rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def test_only_the_child_parses_yaml_and_jinja_of_others():
    found = set()
    for name, tree in sources():
        for node in ast.walk(tree):
            text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.ImportFrom | ast.Import) else ""
            if text in ("yaml.safe_load", "yaml.load", "ast.parse") or "jinja2" in text:
                found.add(name)
    # what a person sends to be imported is bounded and looked through first: tests/nodes/test_work_is_bounded.py
    # the supervisor of dbt's commands is a child with limits too, and ends with its lane
    assert found == {"nodes/dbt/reader_child.py", "nodes/document/text.py", "nodes/dbt/commands/project.py"}


def test_only_workers_and_commands_sync():
    users = set()
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                imported = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                if "nodes.services.sync" in imported:
                    users.add(name)
    assert users == {
        *("runs/planning/planner.py", "runs/operations/syncing.py"),  # jobs
        "runs/management/demo.py",  # a command of its own
        *("runs/bench/scripts.py", "runs/bench/dbt.py"),
    }
