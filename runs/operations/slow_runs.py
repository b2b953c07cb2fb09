"""Active runs that take suspiciously long."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from flows.models import Environment
from runs.models import Run
from runs.planning.usual import durations
from runs.queries import latest_runs
from runs.states import RUN_ACTIVE, RunState

TIMES_USUAL = 3
QUEUED_FOR = timedelta(minutes=10)
LEAST = timedelta(minutes=1)  # three times of next to nothing is nothing yet


@dataclass(frozen=True)
class SlowRun:
    """An active run; `usual` is how long a run of its flow takes, None where it waits for its start."""

    run: Run
    since: datetime
    usual: timedelta | None


def slow_runs(environment: Environment | None, now: datetime) -> list[SlowRun]:
    """Runs that go on for more than three times the usual, or wait for more than ten minutes; the longest first.

    Two queries, one where nothing is active.
    """
    active = list(_active(environment))
    flows = {run.flow_id for run in active if run.state == RunState.RUNNING and run.flow_id is not None}
    usual = durations(flows=flows) if flows else {}
    slow = [each for run in active if (each := _judge(run, usual.get(run.flow_id or 0), now)) is not None]
    return sorted(slow, key=lambda each: each.since)


def _active(environment: Environment | None) -> QuerySet[Run]:
    rows = latest_runs(environment).filter(state__in=sorted(RUN_ACTIVE))
    return rows.only("flow_name", "flow", "state", "created_at", "started_at")


def _judge(run: Run, usual: timedelta | None, now: datetime) -> SlowRun | None:
    if run.started_at is None:
        return SlowRun(run, run.created_at, None) if now - run.created_at > QUEUED_FOR else None
    if usual is None or now - run.started_at <= max(usual * TIMES_USUAL, LEAST):
        return None
    return SlowRun(run, run.started_at, usual)
