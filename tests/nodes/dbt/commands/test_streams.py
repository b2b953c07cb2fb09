"""Commands of dbt as the supervisor follows them: logs of dbt 1.x, and logs that are not like those of dbt 1.x."""

import time

import pytest

from tests.nodes.dbt.commands.fake_dbt import Stage, begins, builds, ends, event, order, row

pytestmark = pytest.mark.process


@pytest.fixture
def play(tmp_path):
    """Plays scenes of dbt, one for each process."""
    stages = []

    def begin(*scenes, **options):
        stages.append(Stage(tmp_path, scenes, **options))
        return stages[-1]

    yield begin
    for stage in stages:
        stage.close()


A, B, C = "model.p.a", "model.p.b", "model.p.c"


def test_one_process_builds_all_that_may_follow_and_each_is_announced_when_it_begins(play):
    stage = play([*builds(A), *builds(B), {"wait_for": "b"}, *builds(C), {"results": [row(A), row(B), row(C)]}])
    stage.execute("a")
    assert stage.until("result")["task"] == "a1"
    assert stage.until("starting")["key"] == "b"
    stage.execute("b")
    assert stage.until("result")["task"] == "b1"
    assert "START model.p.b" in stage.log("b1")  # said before anybody had claimed it
    stage.go_on("b")
    assert stage.until("starting")["key"] == "c"
    stage.execute("c")
    assert stage.until("result")["status"] == "success"
    assert (stage.calls, stage.selected(0)) == (1, ["fqn:p.a", "fqn:p.b", "fqn:p.c"])


def test_a_plan_that_comes_while_dbt_builds_forgets_nothing_that_is_done(play):
    stage = play([*builds(A), {"wait_for": "b"}, *begins(B), {"wait_for": "end"}, ends(B)])
    stage.execute("a")
    stage.until("result")
    stage.client.plan([{**order("b"), "key": "b"}])
    time.sleep(0.3)  # the plan is there before dbt goes on
    stage.go_on("b")
    assert stage.until("starting")["key"] == "b"
    stage.execute("b")
    stage.go_on("end")
    assert (stage.until("result")["task"], stage.calls) == ("b1", 1)


def test_dbt_may_be_quicker_than_whoever_claims(play):
    stage = play([*builds(A), *builds(B), *builds(C), {"results": [row(A), row(B), row(C)]}])
    stage.execute("a")
    for name in "bc":
        assert stage.until("result")["status"] == "success"
        assert stage.until("starting")["key"] == name
        time.sleep(0.5)
        stage.execute(name)
    assert (stage.until("result")["task"], stage.calls) == ("c1", 1)


def test_the_end_stops_what_nobody_has_claimed(play):
    stage = play([*builds(A), *begins(B), {"wait_for": "never"}])
    stage.execute("a")
    stage.until("result")
    stage.until("starting")
    stage.client.end()
    assert stage.until("ended")["ok"]
    assert [said["task"] for said in stage.events if said["event"] == "result"] == ["a1"]


def test_what_is_skipped_was_not_begun_though_its_start_is_said(play):
    skipped = [event("NodeStart", B, level="debug"), event("SkippingDetails", B), ends(B, "skipped")]
    stage = play([*builds(A, "error", "no such table"), *skipped, {"exit": 1}], [*builds(B)])
    stage.execute("a")
    result = stage.until("result")
    assert (result["status"], result["message"]) == ("error", "no such table")
    stage.execute("b")  # whoever orders it now has a reason
    assert stage.until("result")["status"] == "success"
    assert not [said for said in stage.events if said["event"] == "starting"]
    assert "no such table" in stage.log("a1")


def test_unknown_events_and_lines_that_are_no_json_are_shown_and_change_nothing(play):
    odd = [
        {"say": "Traceback of something"},
        {"say": {"info": "not as expected"}},
        {"say": {"data": None}},
        event("SomethingNew", A, msg="compiled with the new engine"),
        event("SomethingElse", "model.other.z", msg="of nobody"),
    ]
    stage = play([*odd, *builds(A), {"results": [row(A)]}], plan=False)
    stage.execute("a")
    assert stage.until("result")["status"] == "success"
    assert stage.log("a1")[0] == "compiled with the new engine"
    assert {"Traceback of something", "of nobody"} <= set(stage.log(None))


def test_events_that_say_nothing_of_ends_leave_it_to_run_results(play):
    stage = play([event("Whatever", A), {"results": [row(A), row(B), row(C)]}])
    stage.execute("a")
    assert stage.until("result")["status"] == "success"
    stage.execute("b")
    assert (stage.until("result")["status"], stage.calls) == ("success", 1)


def test_what_dbt_ends_without_is_an_error_with_what_dbt_said(play):
    stage = play([event("MainEncounteredError", level="error", msg="Could not connect"), {"exit": 2}], plan=False)
    stage.execute("a")
    result = stage.until("result")
    assert (result["status"], result["message"]) == ("error", "Could not connect")


def test_a_process_that_ends_well_without_a_word_has_built_nothing(play):
    stage = play([{"exit": 0}], plan=False)
    stage.execute("a")
    assert stage.until("result")["status"] == "error"


def test_a_dbt_that_is_killed_loses_what_was_in_flight_and_what_was_done_stays_done(play):
    stage = play([*builds(A), *begins(B), {"wait_for": "b"}, {"kill": True}])
    stage.execute("a")
    assert stage.until("result")["status"] == "success"
    stage.until("starting")
    stage.execute("b")
    stage.until("executing")
    stage.go_on("b")
    assert stage.until("fatal")["message"] == "dbt was killed by signal 9"
    assert [said["task"] for said in stage.events if said["event"] == "result"] == ["a1"]


def test_a_log_that_says_more_than_run_results_is_told(play):
    stage = play([*builds(A), {"results": [row(A, "error")]}, {"exit": 1}], [*builds(B)], plan=False)
    stage.execute("a")
    stage.until("result")
    stage.execute("b")
    stage.until("result")
    assert "model.p.a: the log says success, run_results.json says error" in stage.log(None)


def test_what_dbt_begins_before_its_time_is_stopped_and_the_rest_goes_to_another_process(play):
    stage = play([*begins(A), *begins(B), {"wait_for": "never"}], [*builds(A)], [*builds(B)])
    stage.execute("a")
    assert stage.until("result")["status"] == "success"
    assert stage.selected(1) == ["fqn:p.a"]
    assert not [said for said in stage.events if said["event"] == "starting"]
    assert "dbt was stopped for another task; this one starts again" in stage.log("a1")


def test_what_may_not_be_claimed_is_stopped(play):
    stage = play([*builds(A), *begins(B), {"wait_for": "never"}], [*builds(C)])
    stage.execute("a")
    assert stage.until("starting")["key"] == "b"
    stage.client.refuse("b")
    stage.execute("c")
    assert (stage.until("result")["task"], stage.selected(1)) == ("c1", ["fqn:p.c"])


def test_a_cancel_ends_the_process_and_what_had_ended_before_stays_so(play):
    stage = play([*builds(A), *begins(B), {"wait_for": "never"}])
    stage.execute("a")
    stage.until("result")
    stage.execute("b")
    stage.until("executing")
    stage.client.cancel("b1")
    result = stage.until("result")
    assert (result["task"], result["status"]) == ("b1", "cancelled")


def test_an_error_of_what_was_broken_off_says_nothing_of_it(play):
    broken_off = {"when_interrupted": [ends(A, "error", "canceling statement due to user request")]}
    stage = play([broken_off, *begins(A), {"wait_for": "never"}], [*builds(A)], plan=False)
    stage.execute("a")
    stage.execute("c")
    stage.until("executing")
    stage.client.cancel("c1")
    ended = {said["task"]: said["status"] for said in (stage.until("result"), stage.until("result"))}
    assert ended == {"c1": "cancelled", "a1": "success"}
    assert stage.selected(1) == ["fqn:p.a"]


def test_batches_end_within_their_model(play):
    batch = [event("NodeStart", A, level="debug"), ends(A)]
    end = ends(A, "error", "a batch failed")
    stage = play([*begins(A), *batch, {"wait_for": "two"}, *batch, end], plan=False)
    stage.execute("a")
    stage.until("executing")
    stage.go_on("two")
    assert stage.until("result")["message"] == "a batch failed"


def test_a_command_has_all_that_a_revision_was_parsed_with_and_the_flags_of_its_tasks(play):
    stage = play([*builds(A)], [*builds(C)], plan=False)
    stage.client.execute("a1", **order("a"), full_refresh=True, threads=3)
    stage.client.execute("c1", **order("c"))
    stage.until("result")
    stage.until("result")
    first, second = stage.arguments(0), stage.arguments(1)
    assert first[0] == "build" and "--full-refresh" in first and "--full-refresh" not in second
    assert first[first.index("--indirect-selection") + 1] == "empty"
    assert (stage.selected(0), stage.selected(1)) == (["fqn:p.a"], ["fqn:p.c"])
