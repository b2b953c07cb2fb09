"""The commands that scripts rely on: JSON alone on standard output, all else on standard error, exit codes."""

import io
import json
import os
import re
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from flows.models import Flow
from runs.models import Run, Transition
from runs.services import start_run
from tests.helpers.engines import make_flow, write_project
from tests.helpers.graphs import drain, open_graph
from tests.helpers.paths import ROOT
from tests.helpers.waiting import patience

pytestmark = pytest.mark.process


def run_flow(*arguments):
    """(exit code, standard output, standard error) of run_flow in this process."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("run_flow", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return ended.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def as_process(home, *arguments):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEX_", "DATABASE_", "CELERY_"))}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**kept, "DEX_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dexsite.settings"},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )


@pytest.fixture
def flow(db):
    run = open_graph({"a": ()}, start=False)
    run.delete()
    Flow.objects.update(name="Daily", parameters=[{"name": "day", "type": "date"}])
    return Flow.objects.get()


# --- run_flow ------------------------------------------------------------------------------------------------
def test_run_flow_without_wait_prints_the_queued_run_and_says_that_nobody_executes_it(flow):
    code, out, err = run_flow("Daily", "--param", "day=2026-01-31")
    run = Run.objects.get()
    answer = json.loads(out)
    assert (answer["run"]["id"], answer["run"]["flow"]["name"], answer["run"]["state"]) == (run.pk, "Daily", "queued")
    assert answer["tasks"] == [] and answer["run"]["error"] == ""
    assert (code, run.trigger, run.parameters) == (0, "command", {"day": "2026-01-31"})
    assert "no engine is running" in err and "manage.py up" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Dialy"], "There is no flow 'Dialy'. Flows: 'Daily'."),
        (["Daily", "--param", "day"], "--param 'day' must be NAME=VALUE."),
        (["Daily", "--param", "=1"], "--param '=1' must be NAME=VALUE."),
        (["Daily", "--param", "dya=1"], "The flow has no parameter 'dya'. Its parameters: day."),
        (["Daily", "--param", "day=tomorrow"], "Parameter day must be a date such as 2026-01-31, not 'tomorrow'."),
    ],
)
def test_run_flow_refuses_what_cannot_be_and_starts_nothing(flow, arguments, says):
    with pytest.raises(CommandError) as raised:
        run_flow(*arguments)
    assert str(raised.value) == says
    assert not Run.objects.exists()


def test_an_unknown_flow_among_many_lists_the_first_twenty(flow):
    for number in range(30):
        Flow.objects.create(name=f"f{number:02}", environment=flow.environment)
    with pytest.raises(CommandError, match=r"'Daily', 'f00', .*'f18', \.\.\.\.$"):
        run_flow("x")
    Flow.objects.all().delete()
    with pytest.raises(CommandError, match="There is none yet"):
        run_flow("x")


def test_a_value_may_have_an_equals_sign_and_the_last_of_two_counts(flow):
    Flow.objects.update(parameters=[{"name": "filter"}])
    run_flow("Daily", "--param", "filter=x", "--param", "filter=a=b=c")
    assert Run.objects.get().parameters == {"filter": "a=b=c"}


def test_run_flow_waits_and_its_exit_code_says_how_it_ended(engine, tmp_path):
    good = {"a": "select 1 as id", "b": "select * from {{ ref('a') }}"}
    flow = make_flow(write_project(tmp_path / "p", good))
    code, out, _ = run_flow(flow.name, "--wait")
    answer = json.loads(out)
    assert (code, answer["run"]["state"], set(answer)) == (0, "succeeded", {"run", "tasks"})
    assert [task["identifier"] for task in answer["tasks"]] == ["a", "b"]
    for task in answer["tasks"]:
        assert (task["resource_type"], task["state"], task["attempts"]) == ("model", "succeeded", 1)
        assert re.match(r"\d{4}-\d\d-\d\dT.*Z$", task["started_at"]) and task["started_at"] < task["finished_at"]

    (tmp_path / "p" / "models" / "b.sql").write_text("select nonsense from {{ ref('a') }}")
    code, out, _ = run_flow(flow.name, "--wait", "--format", "table")
    assert code == 1
    lines = out.splitlines()
    assert lines[0].startswith(f"{Run.objects.first()} failed")
    assert re.match(r"  a +succeeded +\d+\.\d\d s$", lines[1])
    assert re.match(r"  b +failed +\d+\.\d\d s  .*nonsense", lines[2])

    (tmp_path / "p" / "dbt_project.yml").write_text("name: [")
    flow.environment.refresh_from_db()
    type(flow.environment).objects.update(current_revision=None)
    code, out, _ = run_flow(flow.name, "--wait")
    answer = json.loads(out)
    assert (code, answer["run"]["state"], answer["tasks"]) == (1, "failed", [])
    assert answer["run"]["error"]


def test_a_script_gets_json_alone_and_everything_else_on_standard_error(tmp_path):
    """As processes, with an engine of their own, from another folder."""
    home = tmp_path / "home"
    home.mkdir()
    done = as_process(home, "run_flow", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "run `manage.py migrate` first" in done.stderr and "Traceback" not in done.stderr
    assert as_process(home, "migrate", "-v0").returncode == 0
    project = write_project(tmp_path / "p", {"a": "select 1 as id"})
    code = f"from pathlib import Path; from tests.helpers.engines import make_flow; make_flow(Path({str(project)!r}))"
    made = as_process(home, "shell", "-v0", "-c", code)
    assert made.returncode == 0, made.stderr

    done = as_process(home, "run_flow", "flow of p", "--wait")
    assert (done.returncode, json.loads(done.stdout)["run"]["state"]) == (0, "succeeded"), done.stderr
    assert done.stdout.count("\n") == 1

    done = as_process(home, "run_flow", "flow of q", "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Flows: 'flow of p'." in done.stderr and "Traceback" not in done.stderr

    done = as_process(home, "check_history")
    assert (done.returncode, done.stdout) == (0, "")
    assert "consistent" in done.stderr

    done = as_process(home, "select", "--project", str(project), "--include", "a")
    assert json.loads(done.stdout) == {"selected": ["model.small.a"], "warnings": [], "errors": []}
    done = as_process(home, "select", "--project", str(project), "--include", "tga:x")
    assert done.returncode == 1 and json.loads(done.stdout)["errors"]


def test_a_waiting_command_becomes_the_engine_when_the_other_one_ends(transactional_db, tmp_path, settings):
    """Without it, a run would never end once `up` was stopped while a script waits for it."""
    from runs.management.commands import run_flow as command
    from runs.operations.embedded import Engine

    settings.SWEEP_S = 0.5
    flow = make_flow(write_project(tmp_path / "p", {"a": "select 1 as id"}))
    run = start_run(flow, trigger="command", actor="test")
    Run.objects.filter(pk=run.pk).update(dispatched_at=None)
    taken: list[Engine] = []
    first, command.LOOK_FOR_ENGINE_S = command.LOOK_FOR_ENGINE_S, 0.2
    try:
        engine = command.wait_for(run)
        assert engine is not None
        taken.append(engine)
    finally:
        command.LOOK_FOR_ENGINE_S = first
        for engine in taken:
            engine.stop(grace=0)
    run.refresh_from_db()
    assert run.state == "succeeded"


# --- check_history -------------------------------------------------------------------------------------------
def test_a_benchmark_of_nothing_is_refused():
    with pytest.raises(CommandError, match="at least 1"):
        call_command("bench", "select", "--size", "0")


def check_history(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("check_history", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return ended.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_check_history_prints_each_violation_and_fails():
    good, bad = open_graph({"a": ()}), open_graph({"a": ()})
    drain(good)
    drain(bad)
    assert check_history() == (0, "", "history is consistent\n")
    Transition.objects.create(
        run=bad, task_run=bad.task_runs.get(), old="succeeded", new="running", at=timezone.now(), actor="nobody"
    )
    code, out, err = check_history()
    assert code == 1 and err == ""
    assert re.match(rf"I\d+ run {bad.pk}: ", out)
    assert check_history("--run", str(good.pk))[0] == 0
    assert check_history("--run", str(bad.pk))[0] == 1


@pytest.mark.django_db
def test_check_history_of_a_run_that_is_not_there_is_no_success():
    with pytest.raises(CommandError, match=r"There is no run 99\."):
        check_history("--run", "99")
