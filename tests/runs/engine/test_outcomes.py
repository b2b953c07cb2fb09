"""How an attempt ended, from what the dbt session reports about one task."""

import pytest

from runs.engine.outcomes import TESTS_KEPT, outcome_of

WARNED = [{"status": "warn"}, {"status": "pass"}]
LONG = "\n Runtime Error \n\n no such table\n a\n b"
TIMED_OUT = {"timed_out": True, "limit": 90.0}
IN_TIME = {"timed_out": False, "limit": 90.0}


@pytest.mark.parametrize(
    ("event", "time", "state", "reason"),
    [
        ({"status": "success"}, IN_TIME, "succeeded", ""),
        ({"status": "success", "tests": WARNED}, IN_TIME, "succeeded", "1 of 2 tests warned"),
        ({"status": "cancelled"}, IN_TIME, "cancelled", "cancelled"),
        ({"status": "cancelled"}, TIMED_OUT, "failed", "timeout after 90 s"),
        ({"status": "cancelled"}, {"timed_out": True, "limit": None}, "failed", "timeout"),
        ({"status": "success"}, TIMED_OUT, "succeeded", ""),
        ({"status": "fail"}, IN_TIME, "failed", "fail"),
        ({}, IN_TIME, "failed", "error"),
        ({"status": "error", "message": LONG}, IN_TIME, "failed", "Runtime Error no such table a"),
    ],
)
def test_an_attempt_ends_as_the_session_reports_it(event, time, state, reason):
    ended = outcome_of(event, **time)
    assert (ended.state, ended.reason) == (state, reason)
    assert ended.result["status"] == event.get("status", "error")


def test_a_very_long_report_is_cut():
    event = {"status": "error", "message": "x" * 10_000, "tests": [{"status": "pass"}] * (TESTS_KEPT + 1)}
    ended = outcome_of(event, timed_out=False, limit=None)
    assert (len(ended.result["message"]), len(ended.result["tests"]), len(ended.reason)) == (4000, TESTS_KEPT, 1000)


@pytest.mark.parametrize("after", ["proceed", "abort"])
def test_a_failed_hook_says_whether_models_still_run(after):
    ended = outcome_of({"status": "error", "after": after}, timed_out=False, limit=None)
    assert (ended.after, ended.result["after"]) == (after, after)
