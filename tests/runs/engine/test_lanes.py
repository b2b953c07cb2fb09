"""Models of a run whose dbt session cannot be driven: they fail with the reason, and the run ends."""

import pytest

from runs.engine import lanes
from runs.engine.lanes import Driver
from runs.models import Lane
from runs.states import RunState
from tests.helpers.graphs import open_graph, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    """A run of two models in a lane."""
    run = open_graph({"a": (), "b": ("a",)}, {"a": {"retries": 3}})
    run.task_runs.update(lane=Lane.objects.create(run=run))
    return run


def driven(run):
    lanes.drive(run.lanes.get().pk)
    run.refresh_from_db()
    return run.lanes.get()


def test_models_whose_revision_is_gone_fail_at_once_and_are_not_tried_again(run):
    lane = driven(run)
    assert (states(run), run.state) == ({"a": "failed", "b": "skipped"}, RunState.FAILED)
    assert run.task_runs.get(identifier="a").reason == "the revision of this run is no longer on disk"
    assert (lane.owner, lane.lease_until) == ("", None)


def test_a_fault_of_dex_while_it_drives_a_lane_is_tried_three_times_and_then_fails_what_waits(
    run, monkeypatch, settings, caplog
):
    settings.INFRA_ATTEMPTS = 3

    def broken(self):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Driver, "work", broken)
    for crashes in (1, 2):
        lane = driven(run)
        assert (lane.crashes, lane.owner) == (crashes, "")
        assert states(run) == {"a": "queued", "b": "pending"}
    driven(run)
    assert (states(run), run.state) == ({"a": "failed", "b": "skipped"}, RunState.FAILED)
    assert run.task_runs.get(identifier="a").reason == "dex could not execute it: RuntimeError: a bug"
    assert caplog.text.count("RuntimeError: a bug") == 3
