"""What a project can read of its invocation in a run of dex is what it reads in the same `dbt build`."""

import shutil

import pytest

from runs import logs
from tests.runs.engines import make_flow, run_to_end
from tests.runs.talkative import TOLD, command_of, compared, differences, read_by_dbt, read_in_run, write_talkative


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
    said = logs.read(f"{run.pk}/lane-{lane.pk}.{lane.fence}.log").text
    assert "Unable to do partial parsing" not in said
