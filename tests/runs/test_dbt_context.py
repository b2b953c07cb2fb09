"""What a project can read of its invocation in a run of dex is what it reads in the same `dbt build`."""

import os
import shutil
import signal
import time

import pytest

from runs.logs import store
from runs.models import Attempt
from runs.operations.invariants import check
from tests.runs.engines import finished, make_flow, run_to_end, start
from tests.runs.graphs import states
from tests.runs.talkative import (
    MODELS,
    TOLD,
    command_of,
    compared,
    differences,
    read_by_dbt,
    read_in_run,
    write_quiet,
    write_talkative,
)
from tests.waiting import until


@pytest.fixture
def told(settings):
    """Variables of the environment that the project asks for."""
    settings.DBT_ENVIRONMENT = {**settings.DBT_ENVIRONMENT, **TOLD}


def both(tmp_path, node, *, times=1, **run):
    """What the project prints in the last of so many runs of dex and of the same commands of dbt."""
    folder = write_talkative(tmp_path / "p")
    shutil.copytree(folder, tmp_path / "q")
    flow = make_flow(folder, {"all": node}, threads=1, parameters=[{"name": "day", "type": "date"}])
    for _ in range(times):
        mine = read_in_run(run_to_end(flow, **run))
        theirs = read_by_dbt(tmp_path / "q", *command_of(mine))
    return mine, theirs


@pytest.mark.parametrize(
    ("node", "command"),
    [
        ({"indirect_selection": "eager"}, "build {}"),
        ({"full_refresh": True}, "build {} --indirect-selection buildable --full-refresh"),
        (
            {"include": ["+growing", "tag:none"], "exclude": ["colours"], "command": "run", "full_refresh": True},
            "run {} --select +growing tag:none --exclude colours --indirect-selection buildable --full-refresh",
        ),
    ],
)
def test_all_that_a_project_can_read_of_its_invocation_is_as_in_the_same_command_of_dbt(
    engine, told, tmp_path, node, command
):
    mine, theirs = both(tmp_path, node, times=2, parameters={"day": "2026-01-31"})
    assert " ".join(command_of(mine)) == command.format('--threads 1 --vars {"day":"2026-01-31"}')
    assert {place for place, _ in mine} >= {"on-run-start", "on-run-end", "model a", "incremental", "ghost", "pre-hook"}
    assert len(mine) > 400
    assert differences(compared(mine), compared(theirs)) == []


def test_steps_with_different_settings_each_read_their_own_and_hooks_what_they_share(engine, told, tmp_path):
    folder = write_talkative(tmp_path / "p")
    nodes = {"first": {"include": ["a"], "command": "run"}, "then": {"include": ["growing"], "full_refresh": True}}
    read = read_in_run(run_to_end(make_flow(folder, nodes)))
    assert read["model a", "flags.FULL_REFRESH"] == "False" and read["model a", "flags.WHICH"] == "run"
    assert read["incremental", "flags.FULL_REFRESH"] == "True" and read["incremental", "flags.WHICH"] == "build"
    assert read["incremental", "args.full_refresh"] == "True" and read["incremental", "args.select"] == "('growing',)"
    assert read["on-run-start", "flags.FULL_REFRESH"] == "False" and read["on-run-start", "flags.WHICH"] == "build"
    assert read["on-run-start", "flags.INDIRECT_SELECTION"] == "buildable"
    assert read["model a", "invocation_id"] == read["on-run-end", "invocation_id"]


def test_a_session_goes_on_from_what_was_parsed_and_parses_nothing_again(engine, tmp_path):
    run = run_to_end(make_flow(write_talkative(tmp_path / "p")))
    lane = run.lanes.get()
    said = store.read(f"{run.pk}/lane-{lane.pk}.{lane.fence}.log").text
    assert "Unable to do partial parsing" not in said


def results(read):
    """What was printed of `results`."""
    return {key: value for key, value in read.items() if key[0] == "results"}


# Takes long in one model while the flag is there.
SLOWLY = """{{{{ config(materialized='table') }}}}
{{% set slow = execute and run_query("select count(*) from glob('{flag}')").rows[0][0] > 0 %}}
select id from {{{{ ref('b') }}}}
{{{{ "where (select sum(a.range * b.range) from range(1000000) a, range(1000000) b) > 0" if slow }}}}"""


def test_end_hooks_are_told_all_results_of_the_run_also_those_of_a_session_that_was_lost(engine, told, tmp_path):
    flag = tmp_path / "flag"
    models = {**MODELS, "slow": SLOWLY.format(flag=flag)}
    folder = write_talkative(tmp_path / "p", models)
    shutil.copytree(folder, tmp_path / "q")
    flag.write_text("slow")
    run = start(make_flow(folder, {"all": {"indirect_selection": "eager"}}, threads=1))
    slow = run.task_runs.filter(identifier="slow", state="running")
    until(slow.exists, 60)
    done = run.task_runs.filter(state="succeeded").exclude(kind="hook").count()
    time.sleep(0.5)
    flag.unlink()
    os.killpg(Attempt.objects.get(task_run=slow.get()).pid, signal.SIGKILL)
    mine = read_in_run(finished(run))
    assert done >= 2 and Attempt.objects.filter(task_run__identifier="slow").count() == 2
    theirs = read_by_dbt(tmp_path / "q", *command_of(mine))
    assert mine["results", "how many"] == theirs["results", "how many"] == 20
    assert differences(results(mine), results(theirs)) == []
    ids = {read["invocation_id"] for place in ("on-run-start", "on-run-end") for read in [_of(mine, place)]}
    assert len(ids) == 1 and len({_of(mine, place)["run_started_at"] for place in ("model a", "on-run-end")}) == 1
    assert check() == []


def _of(read, place):
    return {what: value for (where, what), value in read.items() if where == place}


def test_a_model_that_was_tried_twice_is_one_result_the_last(engine, told, tmp_path):
    folder = write_quiet(tmp_path / "p", {"broken": "select nonsense"}, FAILING_HOOK.format(hook="select 1"))
    run = run_to_end(make_flow(folder, threads=1, retries=1, retry_delay=0))
    read = read_in_run(run)
    assert run.task_runs.get(identifier="broken").attempts == 2
    assert read["results", "how many"] == 1


FAILING_HOOK = """
name: small
profile: small
version: '1.0'
on-run-start: {hook}
on-run-end: "{{{{ tell_results() }}}}"
"""
SKIP = "flags: {skip_nodes_if_on_run_start_fails: true}\n"
RAISES = "\"{{ exceptions.raise_compiler_error('no') if execute }}\""


@pytest.mark.parametrize(
    ("hook", "flags", "ends"),
    [
        ("select nonsense", "", {"a": "succeeded", "b": "succeeded", "on-run-end": "succeeded"}),
        (
            "select nonsense",
            SKIP.replace("true", "false"),
            {"a": "succeeded", "b": "succeeded", "on-run-end": "succeeded"},
        ),
        ("select nonsense", SKIP, {"a": "skipped", "b": "skipped", "on-run-end": "succeeded"}),
        (RAISES, "", {"a": "skipped", "b": "skipped", "on-run-end": "skipped"}),
    ],
)
def test_what_becomes_of_the_models_when_a_start_hook_fails_is_as_in_dbt(engine, told, tmp_path, hook, flags, ends):
    models = {"a": "select 1 as id", "b": "select id from {{ ref('a') }}"}
    yml = FAILING_HOOK.format(hook=hook) + flags
    folder = write_quiet(tmp_path / "p", models, yml)
    shutil.copytree(folder, tmp_path / "q")
    run = run_to_end(make_flow(folder, threads=1))
    assert states(run) == {"on-run-start": "failed", **ends}
    assert run.state == "failed"
    theirs = results(read_by_dbt(tmp_path / "q", "build", "--threads", "1"))
    assert differences(results(read_in_run(run)), theirs) == []
    assert check() == []
