"""Ends of tasks that nobody wishes for: no worker comes, the code of a kind raises, a start hook fails."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from nodes.tasks import AttemptOutcome, Stopped
from runs.clock import ago
from runs.engine import noop, recovery, work_folders
from runs.engine.claims import claim, finish
from runs.engine.executor import execute_task_run
from runs.engine.release import settle
from runs.models import Run, TaskRun
from runs.states import RunState
from runs.transitions import IllegalMoveError, move_by_id, move_run, open_task_runs
from tests.helpers.graphs import drain, open_graph, states

pytestmark = pytest.mark.django_db


def test_a_task_that_no_worker_starts_in_time_fails_and_its_run_ends(settings):
    settings.START_TIMEOUT_S = 3600
    run = open_graph({"a": (), "b": ("a",)})
    TaskRun.objects.filter(identifier="a").update(queued_at=ago(3500))
    recovery.fail_what_never_started()
    assert states(run)["a"] == "queued"
    TaskRun.objects.filter(identifier="a").update(queued_at=ago(3700))
    recovery.fail_what_never_started()
    assert states(run) == {"a": "failed", "b": "skipped"}
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert run.task_runs.get(identifier="a").reason == "no worker started it within 1:00:00"


def test_an_error_in_the_code_of_a_kind_fails_its_task_and_nothing_else(caplog):
    run = drain(open_graph({"a": (), "b": ()}, {"a": {"end": "raise"}}))
    assert states(run) == {"a": "failed", "b": "succeeded"} and run.state == RunState.FAILED
    assert run.task_runs.get(identifier="a").reason == "RuntimeError: told to raise"
    assert "told to raise" in caplog.text


def test_a_task_whose_worker_stops_is_queued_again_without_costing_a_retry(monkeypatch):
    run = open_graph({"a": ()})

    def stopped(context):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(noop, "execute", stopped)
        execute_task_run(run.task_runs.get().pk)
    row = run.task_runs.get()
    assert (row.state, row.reason, row.attempts) == ("queued", "its worker is stopping", 0)
    assert drain(run).state == RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("after", "ends"),
    [
        ("", {"model": "skipped", "end": "succeeded"}),
        ("proceed", {"model": "succeeded", "end": "succeeded"}),
        ("abort", {"model": "skipped", "end": "skipped"}),
    ],
)
def test_a_failed_start_hook_decides_whether_models_and_end_hooks_still_run(after, ends):
    run = open_graph({"start": (), "model": ("start",), "end": ("model",)}, waits_for={"end": "end"})
    claimed = claim(run.task_runs.get(identifier="start").pk, "w1")
    finish(claimed, AttemptOutcome("failed", "broken hook", after=after))
    drain(run)
    assert states(run) == {"start": "failed", **ends}


def test_folders_of_attempts_that_nobody_works_in_are_found(settings, tmp_path):
    settings.DEX_HOME = tmp_path
    now = timezone.now()
    assert list(work_folders.left_over(now)) == []
    run = open_graph({"a": (), "b": ()})
    running = claim(run.task_runs.get(identifier="a").pk, "w1")
    ended = claim(run.task_runs.get(identifier="b").pk, "w1")
    finish(ended, AttemptOutcome("succeeded"))
    mine, left = (work_folders.folder_of(each.task_run_id, each.fence) for each in (running, ended))
    odd, fresh = mine.with_name("something"), mine.with_name("9999.1")
    for folder in (mine, left, odd, fresh):
        folder.mkdir(parents=True)
    mine.with_name("link").symlink_to(tmp_path)
    old = (now - work_folders.LEFT_AFTER - timedelta(minutes=1)).timestamp()
    for folder in (mine, left, odd):
        os.utime(folder, (old, old))
    assert set(work_folders.left_over(now)) == {left, odd}


def test_moves_that_no_state_allows_are_refused():
    run = open_graph({"a": ()})
    row = run.task_runs.get()
    with pytest.raises(IllegalMoveError, match="no task run moves from"):
        move_by_id(row.pk, "succeeded", "queued", actor="test")
    with pytest.raises(IllegalMoveError, match="no run moves from"):
        move_run(run.pk, RunState.SUCCEEDED, RunState.RUNNING, actor="test")
    with pytest.raises(IllegalMoveError, match="is not born running"):
        open_task_runs([TaskRun(run=run, unique_id="b", state="running")], [], actor="test")
    assert states(run) == {"a": "queued"}


def test_a_run_is_ended_once_and_only_while_it_runs():
    run = drain(open_graph({"a": ()}))
    assert run.state == RunState.SUCCEEDED and not settle(run.pk)
    waiting = open_graph({"a": ()}, start=False)
    assert not settle(waiting.pk)
    assert Run.objects.get(pk=waiting.pk).state == RunState.RUNNING
