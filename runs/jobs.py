"""The Celery messages of dex: doorbells that carry an id."""

from celery import shared_task

from runs import planning, ticking
from runs.engine import lanes, single
from runs.engine import sweep as sweeper


@shared_task(name="dex.plan_run")
def plan_run(run_id: int) -> None:
    """A run waits for its plan."""
    planning.plan_run(run_id)


@shared_task(name="dex.execute_task_run")
def execute_task_run(task_run_id: int) -> None:
    """A task run waits for a worker."""
    single.execute_task_run(task_run_id)


@shared_task(name="dex.drive_lane")
def drive_lane(lane_id: int) -> None:
    """A lane has task runs that wait."""
    lanes.drive(lane_id)


@shared_task(name="dex.tick")
def tick(flow_id: int) -> None:
    """A flow is due, beat says; its ticks decide."""
    ticking.ring(flow_id)


@shared_task(name="dex.sweep")
def sweep() -> None:
    """Time for a round of repairs."""
    sweeper.sweep()


@shared_task(name="dex.wake")
def wake() -> None:
    """Nothing to do: a consumer that waits for a message wakes up."""
