import pytest
from django.db.models.functions import Now

from nodes.tasks import AttemptOutcome
from runs.clock import ago
from runs.engine import recovery
from runs.engine.claims import claim, finish, mark_lost
from runs.models import Attempt, TaskRun
from runs.operations.invariants import check
from tests.helpers.graphs import drain, open_graph, states

pytestmark = pytest.mark.django_db


def only_task(run):
    return run.task_runs.get()


def expire(row):
    TaskRun.objects.filter(pk=row.pk).update(lease_until=ago(1))


def test_a_failed_task_is_retried_as_often_as_its_settings_say():
    run = drain(open_graph({"a": ()}, {"a": {"end": "fail", "retries": 2, "retry_delay": 0}}))
    assert only_task(run).attempts == 3
    assert only_task(run).state == "failed"
    assert check(run.pk) == []


def test_a_retry_waits_before_it_starts():
    run = open_graph({"a": ()}, {"a": {"retries": 1, "retry_delay": 60}})
    finish(claim(only_task(run).pk, "w1"), AttemptOutcome("failed", "no"))
    assert only_task(run).state == "waiting"
    drain(run)
    assert only_task(run).state == "waiting"
    run.task_runs.update(not_before=Now())
    drain(run)
    assert only_task(run).state == "succeeded"


def test_work_of_a_lost_worker_is_repeated_without_costing_the_users_retries():
    run = open_graph({"a": ()})
    claim(only_task(run).pk, "w1")
    expire(only_task(run))
    assert recovery.reap() == 1
    row = only_task(run)
    assert (row.state, row.attempts, row.infra_attempts) == ("queued", 0, 1)
    drain(run)
    assert run.state == "succeeded"
    assert list(Attempt.objects.filter(task_run=row).values_list("outcome", flat=True)) == [
        "lost",
        "succeeded",
    ]
    assert check(run.pk) == []


def test_a_worker_that_wakes_after_its_lease_publishes_nothing():
    run = open_graph({"a": ()})
    late = claim(only_task(run).pk, "w1")
    expire(only_task(run))
    recovery.reap()
    second = claim(only_task(run).pk, "w2")
    assert finish(late, AttemptOutcome("succeeded")) is None
    assert only_task(run).state == "running"
    finish(second, AttemptOutcome("failed", "really"))
    assert only_task(run).state == "failed"
    assert check(run.pk) == []


def test_a_task_that_kills_every_worker_fails_after_three_losses(settings):
    settings.INFRA_ATTEMPTS, settings.INFRA_BACKOFF_S = 3, 0
    run = open_graph({"a": (), "b": ("a",)})
    row = run.task_runs.get(identifier="a")
    for n in range(3):
        held = claim(row.pk, f"w{n}")
        mark_lost(row.pk, held.fence, actor="reaper", reason="gone")
    run.refresh_from_db()
    assert states(run) == {"a": "failed", "b": "skipped"}
    assert "lost 3 times" in run.task_runs.get(identifier="a").reason
    assert run.state == "failed"


def test_two_workers_that_hear_the_same_doorbell_start_one_attempt():
    run = open_graph({"a": ()})
    pk = only_task(run).pk
    assert claim(pk, "w1") is not None
    assert claim(pk, "w2") is None
    assert Attempt.objects.count() == 1


def test_a_message_about_a_deleted_row_is_ignored():
    from runs import jobs

    jobs.execute_task_run(10**9)
    jobs.drive_lane(10**9)
    jobs.plan_run(10**9)


def test_a_finish_that_is_repeated_counts_once():
    run = open_graph({"a": ()})
    held = claim(only_task(run).pk, "w1")
    assert finish(held, AttemptOutcome("succeeded")) is not None
    assert finish(held, AttemptOutcome("succeeded")) is None
    assert check(run.pk) == []


def test_only_failures_that_fit_the_policy_are_tried_again():
    for said, when, patterns, goes_on in (
        ("deadlock detected", "transient", [], True),
        ("syntax error", "transient", [], False),
        ("syntax error", "matching", ["syntax*"], True),
        ("deadlock detected", "matching", ["syntax*"], False),
        ("syntax error", "any", [], True),
    ):
        spec = {"retries": 1, "retry_delay": 0, "retry_on": when, "retry_patterns": patterns}
        run = open_graph({"a": []}, specs={"a": spec})
        row = run.task_runs.get()
        claimed = claim(row.pk, "w")
        finish(claimed, AttemptOutcome("failed", said))
        row.refresh_from_db()
        assert row.state == ("waiting" if goes_on else "failed"), said
