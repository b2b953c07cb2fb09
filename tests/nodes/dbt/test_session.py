"""Models executed one by one in a dbt process that stays."""

import json
import time
from pathlib import Path

import duckdb
import pytest

from nodes.dbt.client import COMMAND, SESSION
from tests.helpers.waiting import patience, within
from tests.nodes.dbt.dbt_lab import Talk, checks_of, parsed_lab, runtime_under_test

pytestmark = pytest.mark.process

MODEL = "model.lab."
#: What commands of dbt do otherwise has tests of its own: tests/nodes/dbt/commands.
only_session = pytest.mark.parametrize("session", [SESSION], indirect=True)


@pytest.fixture(scope="module")
def lab_home(tmp_path_factory):
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def parsed(lab_home):
    return parsed_lab(lab_home / "lab", lab_home)


@pytest.fixture(scope="module", params=[SESSION, COMMAND])
def session(request, parsed, lab_home):
    work = lab_home / f"work-{request.param}"
    Path(parsed.profile.database).unlink(missing_ok=True)  # each executor begins with an empty warehouse
    talk = Talk(parsed, work, vars={"factor": 3}, database_dir=lab_home / "db", executor=request.param)
    yield talk
    talk.close()


@pytest.fixture
def run(session):
    """A run of everything in that session."""
    session.events.clear()
    begun = session.begin()
    assert begun["ok"], begun
    yield session
    session.end()


def ask(parsed, sql):
    with duckdb.connect(parsed.profile.database, read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_a_model_is_built_and_says_what_became_of_it(run):
    result = run.execute(f"{MODEL}one", compiled=True)
    assert (result["status"], result["task"], result["tests"]) == ("success", f"{MODEL}one", [])
    assert result["compiled_code"] == "select 1 as id"
    assert result["started_at"] < result["finished_at"]
    assert result["started_at"].endswith("+00:00")
    assert 0 < result["execution_time"] < 10


@only_session
def test_the_copy_was_not_parsed_again(session):
    assert "Unable to do partial parsing" not in json.dumps(session.events)
    assert session.parsed.warnings == ()


def test_every_line_lands_at_the_model_that_said_it(run):
    run.client.execute("a", f"{MODEL}printing")
    run.client.execute("b", f"{MODEL}printing_too")
    run.until("result", 2)
    assert "hello from printing\n" in run.log_of("a") + "\n"
    assert "printing_too" not in run.log_of("a")
    assert "hello from printing_too" in run.log_of("b")


def test_variables_of_the_environment_reach_the_models(run, parsed):
    assert run.execute(f"{MODEL}printing", compiled=True)["compiled_code"].endswith("select 3 as factor")


def test_a_model_that_fails_says_why_and_the_session_goes_on(run):
    run.execute(f"{MODEL}one")
    result = run.execute(f"{MODEL}broken")
    assert result["status"] == "error"
    assert result["message"].startswith("Runtime Error in model broken (models/broken.sql)")
    assert "nonsense" in run.log_of(f"{MODEL}broken")
    assert run.execute(f"{MODEL}one")["status"] == "success"


def test_a_resource_that_does_not_exist_is_an_error_of_that_task_alone(run):
    assert run.execute(f"{MODEL}no_such")["status"] == "error"
    assert run.execute(f"{MODEL}one")["status"] == "success"


def test_ephemeral_models_become_part_of_their_children_in_every_run(session, parsed):
    times = []
    for _ in range(2):
        session.begin()
        session.execute(f"{MODEL}one")
        result = session.execute(f"{MODEL}haunted", compiled=True)
        assert result["status"] == "success", result
        assert "__dbt__cte__ghost as (" in result["compiled_code"]
        session.end()
        times.append(ask(parsed, "select seen from main.haunted")[0][0])
    assert times[0] < times[1]  # run_started_at is of this run


def test_an_ephemeral_model_that_fails_is_named(run):
    result = run.execute(f"{MODEL}haunted_badly")
    assert result["status"] == "error"
    assert "bad_ghost" in result["message"]


def test_an_incremental_model_grows_and_starts_over_when_asked(session, parsed):
    session.begin()
    for _ in range(2):
        session.execute(f"{MODEL}growing", full_refresh=True)
    session.execute(f"{MODEL}growing")
    session.execute(f"{MODEL}never_refreshed")
    session.execute(f"{MODEL}never_refreshed", full_refresh=True)
    session.end()
    assert ask(parsed, "select run from main.growing order by 1") == [(1,), (2,)]
    assert ask(parsed, "select run from main.never_refreshed order by 1") == [(1,), (2,)]  # its own setting wins


@pytest.mark.skipif(runtime_under_test().version < (1, 9), reason="dbt has microbatch since 1.9")
def test_a_microbatch_model_is_built_batch_by_batch(session, parsed):
    session.begin()
    session.execute(f"{MODEL}events")
    result = session.execute(f"{MODEL}by_day")
    assert result["status"] == "success", result
    assert "batch 2026" in session.log_of(f"{MODEL}by_day")
    session.end()
    assert ask(parsed, "select count(*) from main.by_day") == [(4,)]


def test_python_models_versions_contracts_seeds_and_snapshots_run(session, parsed):
    session.begin()
    session.execute(f"{MODEL}one")
    for unique_id in (
        f"{MODEL}in_python", f"{MODEL}versioned.v1", f"{MODEL}versioned.v2", f"{MODEL}contracted",
        f"{MODEL}contracted", "seed.lab.colours", "snapshot.lab.snap",
    ):  # fmt: skip
        assert session.execute(unique_id)["status"] == "success", unique_id
    speaker = f"{MODEL}in_python" if session.client.executor == SESSION else None
    assert "python speaks" in session.log_of(speaker)
    session.end()
    assert ask(parsed, "select answer from main.in_python") == [(42,)]
    assert ask(parsed, "select count(*) from main.colours") == [(2,)]


def test_tests_run_after_their_model_and_a_warning_does_not_fail_it(run, parsed):
    tests = checks_of(parsed, f"{MODEL}checked")
    result = run.execute(f"{MODEL}checked", tests=tests)
    by_name = {test["name"]: test for test in result["tests"]}
    assert result["status"] == "fail"
    assert result["message"] == "1 of 3 tests failed: unique_checked_id"
    assert {name: (test["status"], test["failures"]) for name, test in by_name.items()} == {
        "accepted_values_checked_id__1": ("pass", 0),
        "not_null_checked_id": ("warn", 1),
        "unique_checked_id": ("fail", 1),
    }
    only_warning = run.execute(f"{MODEL}checked", tests=[test for test in tests if "not_null" in test])
    assert only_warning["status"] == "success"


@only_session
def test_tests_are_not_run_for_a_model_that_failed(run, parsed):
    result = run.execute(f"{MODEL}broken", tests=checks_of(parsed, f"{MODEL}checked"))
    assert result["status"] == "error"
    assert {test["status"] for test in result["tests"]} == {"skipped"}


def test_a_failing_unit_test_keeps_its_model_from_running(session, parsed):
    session.begin()
    session.execute(f"{MODEL}one")
    good = session.execute(f"{MODEL}unit", unit_tests=["unit_test.lab.unit.doubles"])
    assert (good["status"], good["tests"][0]["status"]) == ("success", "pass")
    bad = session.execute(f"{MODEL}unit", unit_tests=["unit_test.lab.unit.doubles", "unit_test.lab.unit.wrong"])
    # dbt's own command may begin with the one that fails, and skips the other then.
    counted = ("1 of 2",) if session.client.executor == SESSION else ("1 of 1", "1 of 2")
    assert (bad["status"], bad["message"]) in {("fail", f"{count} unit tests failed: wrong") for count in counted}
    assert "OK created" not in session.log_of(f"{MODEL}unit").partition("wrong")[2]
    session.end()


def test_a_model_can_be_tested_without_being_built(run, parsed):
    run.execute(f"{MODEL}checked")
    result = run.execute(f"{MODEL}checked", run_model=False, tests=checks_of(parsed, f"{MODEL}checked"))
    assert (result["status"], len(result["tests"])) == ("fail", 3)
    assert "OK created" not in run.log_of(f"{MODEL}checked").partition("accepted_values")[2]


def test_a_test_can_be_executed_by_itself(run, parsed):
    run.execute(f"{MODEL}checked")
    unique, warning = (
        next(t for t in checks_of(parsed, f"{MODEL}checked") if kind in t) for kind in ("unique", "not_null")
    )
    assert run.execute(unique)["status"] == "fail"
    assert run.execute(warning)["status"] == "success"


def test_a_cancelled_model_ends_as_cancelled_and_others_go_on(run):
    run.client.execute("slow", f"{MODEL}slow")
    run.client.execute("other", f"{MODEL}slow_too")
    time.sleep(0.4)
    with within(10):
        run.client.cancel("slow")
        results = {event["task"]: event["status"] for event in run.until("result", 2)}
    assert results == {"slow": "cancelled", "other": "success"}


def test_a_model_is_cancelled_in_its_tests_too(run):
    run.client.execute("t", f"{MODEL}one", tests=["test.lab.slow_test"])
    time.sleep(0.6)
    run.client.cancel("t")
    result = run.until("result")[0]
    assert result["status"] == "cancelled"


def test_a_model_that_waits_for_a_thread_is_cancelled_without_starting(run):
    for number in range(5):
        run.client.execute(f"s{number}", f"{MODEL}slow")
    for number in reversed(range(5)):  # the last first: no thread becomes free before it is cancelled
        run.client.cancel(f"s{number}")
    ends = {event["task"]: event["status"] for event in run.until("result", 5)}
    assert ends["s4"] == "cancelled"
    # Several at once build one table here, so one of those that had started may trip over another first.
    assert set(ends.values()) <= {"cancelled", "error"}


@only_session
def test_hooks_run_once_per_run_and_see_the_results(session, parsed):
    session.begin()
    session.execute(f"{MODEL}one")
    session.execute("seed.lab.colours")
    ended = session.end()
    assert ended["ok"]
    assert [hook["status"] for hook in ended["hooks"]] == ["success"]
    assert ask(parsed, "select count(*), max(invocation) from main.starts where invocation = '2'")[0][0] >= 1


def test_between_runs_others_may_write_to_the_database(session, parsed):
    session.begin()
    session.execute(f"{MODEL}one")
    with pytest.raises(duckdb.IOException, match="lock"):
        duckdb.connect(parsed.profile.database)
    session.end()
    with duckdb.connect(parsed.profile.database) as connection:
        connection.execute("create or replace table main.foreign_table as select 1 as id")
    assert session.begin()["ok"]
    session.end()


@only_session
def test_a_locked_database_fails_the_run_and_not_the_session(session, parsed):
    with duckdb.connect(parsed.profile.database):
        begun = session.begin()
        assert not begun["ok"]
        assert "lock" in begun["message"]
    assert session.begin()["ok"]
    session.end()


def test_the_folder_of_the_project_is_not_written_to(session, lab_home):
    folders = {path.name for path in (lab_home / "lab").iterdir()}
    assert folders == {"dbt_project.yml", "models", "tests", "seeds", "snapshots"}


def test_a_second_run_starts_at_once(session):
    session.begin()
    session.end()
    with within(2):
        session.begin([f"{MODEL}one"])
        session.execute(f"{MODEL}one")
        session.end()


def test_a_session_that_nobody_listens_to_ends_and_takes_its_query_with_it(parsed, lab_home):
    talk = Talk(parsed, lab_home / "work2", vars={"factor": 3}, database_dir=lab_home / "db")
    talk.begin()
    talk.client.execute("slow", f"{MODEL}slow")
    time.sleep(0.3)
    talk.client.child.stdin.close()
    assert talk.client.child.wait(patience(6)) is not None
    duckdb.connect(parsed.profile.database).close()


def test_the_death_of_a_session_is_an_event(parsed, lab_home):
    talk = Talk(parsed, lab_home / "work3", vars={"factor": 3}, database_dir=lab_home / "db")
    assert talk.client.alive
    talk.client.child.kill()
    event = talk.client.next_event(patience(10))
    assert event == {"event": "died", "exit_code": 137, "signal": 9}
    assert not talk.client.alive


def test_an_interrupted_session_ends(parsed, lab_home):
    talk = Talk(parsed, lab_home / "work4", vars={"factor": 3}, database_dir=lab_home / "db")
    talk.client.child.interrupt()
    assert talk.client.child.wait(patience(10)) == 130
