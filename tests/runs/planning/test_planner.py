"""A run whose plan cannot be made fails with the reason, whatever it is; it never stays queued."""

import pytest

from flows.models import Environment
from nodes.services import sync
from runs.clock import after
from runs.models import Run, Trigger
from runs.planning.planner import plan_run
from runs.services import start_run
from runs.states import RunState
from tests.helpers.pages import sample_flow

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    return start_run(sample_flow(), trigger=Trigger.MANUAL, actor="ada")


def planned(run):
    plan_run(run.pk)
    run.refresh_from_db()
    return run.state, run.reason, run.error


def test_a_run_whose_flow_was_deleted_before_it_was_planned_fails(run):
    Run.objects.filter(pk=run.pk).update(flow=None)
    assert planned(run) == (RunState.FAILED, "The flow was deleted.", "The flow was deleted.")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (sync.SyncError("dbt_project.yml is broken\nline 3"), "dbt_project.yml is broken"),
        (OSError("No space left on device"), "planning failed: OSError: No space left on device"),
    ],
)
def test_a_run_fails_with_the_reason_when_its_code_cannot_be_read(run, monkeypatch, error, reason):
    def broken(*arguments, **options):
        raise error

    monkeypatch.setattr(sync, "sync", broken)
    Environment.objects.update(current_revision=None)
    state, first_line, whole = planned(run)
    assert (state, first_line) == (RunState.FAILED, reason) and str(error) in whole


def test_a_run_that_another_worker_is_planning_is_left_to_it(run):
    Run.objects.filter(pk=run.pk).update(planner="another", planner_until=after(60), flow=None)
    assert planned(run)[0] == RunState.QUEUED
    Run.objects.filter(pk=run.pk).update(planner_until=after(-1))
    assert planned(run)[0] == RunState.FAILED
