"""What a project can read of its invocation in a run of dex is what it reads in the same `dbt build`."""

import shutil

import pytest

from runs.logs import store
from runs.operations.invariants import check
from tests.helpers.engines import make_flow, run_to_end
from tests.helpers.graphs import states
from tests.runs.kinds.talkative import (
    TOLD,
    command_of,
    compared,
    differences,
    read_by_dbt,
    read_in_run,
    write_quiet,
    write_zoo,
)


@pytest.fixture
def told(settings, tmp_path):
    """Variables of the environment that the project asks for."""
    settings.DBT_ENVIRONMENT = {**settings.DBT_ENVIRONMENT, **TOLD, "DBT_ZOO": str(tmp_path / "troubles")}


def test_all_that_a_project_can_read_is_as_in_the_same_command_of_dbt_whatever_it_selects(engine, told, tmp_path):
    folder = write_zoo(tmp_path / "p")
    shutil.copytree(folder, tmp_path / "q", symlinks=True)
    node = {"include": ["+below_tested", "all_days"], "exclude": ["colours"], "command": "run", "full_refresh": True}
    parameters = [{"name": "day", "type": "date"}]
    flow = make_flow(folder, {"all": node}, threads=1, parameters=parameters)
    mine = read_in_run(run_to_end(flow, parameters={"day": "2026-01-31"}))
    assert " ".join(command_of(mine)) == (
        'run --threads 1 --vars {"day":"2026-01-31"} '
        "--select +below_tested all_days --exclude colours --indirect-selection buildable --full-refresh"
    )
    theirs = read_by_dbt(tmp_path / "q", *command_of(mine))
    assert {place for place, _ in mine} >= {"on-run-start", "on-run-end", "tested", "table"}
    assert len(mine) > 300
    assert differences(compared(mine), compared(theirs)) == []


def test_nodes_with_different_settings_each_read_their_own_and_hooks_what_they_share(engine, told, tmp_path):
    folder = write_zoo(tmp_path / "p")
    nodes = {
        "first": {"include": ["tested"], "command": "run"},
        "then": {"include": ["all_days"], "full_refresh": True},
    }
    read = read_in_run(run_to_end(make_flow(folder, nodes)))
    assert read["tested", "flags.FULL_REFRESH"] == "False" and read["tested", "flags.WHICH"] == "run"
    assert read["table", "flags.FULL_REFRESH"] == "True" and read["table", "flags.WHICH"] == "build"
    assert read["table", "args.full_refresh"] == "True" and read["table", "args.select"] == "('all_days',)"
    assert read["on-run-start", "flags.FULL_REFRESH"] == "False" and read["on-run-start", "flags.WHICH"] == "build"
    assert read["on-run-start", "flags.INDIRECT_SELECTION"] == "buildable"
    assert read["tested", "invocation_id"] == read["on-run-end", "invocation_id"]


def test_a_session_goes_on_from_what_was_parsed_and_parses_nothing_again(engine, told, tmp_path):
    run = run_to_end(make_flow(write_zoo(tmp_path / "p"), {"all": {"include": ["colours"]}}))
    lane = run.lanes.get()
    said = store.read(f"{run.pk}/lane-{lane.pk}.{lane.fence}.log").text
    assert "Unable to do partial parsing" not in said


def results(read):
    """What was printed of `results`."""
    return {key: value for key, value in read.items() if key[0] == "results"}


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
        ("select nonsense", "", {"a": "skipped", "b": "skipped", "on-run-end": "succeeded"}),
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
