"""The Celery tasks of dex: messages that carry an id."""

from celery import shared_task

from nodes.scripts import renewal
from runs.alerts import sending, watching
from runs.engine import executor, lanes
from runs.engine.shutdown import draining
from runs.models import Run
from runs.operations import connection_checks, heartbeats, rounds, runtime_builds, syncing, warehouse_checks
from runs.planning import planner
from runs.scheduling import following, ticking


@shared_task(name="dex.plan_run")
def plan_run(run_id: int) -> None:
    """A run waits for its plan."""
    planner.plan_run(run_id)


@shared_task(name="dex.execute_task_run")
def execute_task_run(task_run_id: int) -> None:
    """A task run waits for a worker."""
    executor.execute_task_run(task_run_id)


@shared_task(name="dex.drive_lane")
def drive_lane(lane_id: int) -> None:
    """A lane has task runs that wait."""
    lanes.drive(lane_id)


@shared_task(name="dex.tick")
def tick(flow_id: int) -> None:
    """A flow is due, beat says; its ticks decide."""
    ticking.wake(flow_id)


@shared_task(name="dex.follow")
def follow(run_id: int) -> None:
    """A run has succeeded that other flows start after."""
    following.follow_all(Run.objects.filter(pk=run_id).values_list("flow_id", flat=True).first())


@shared_task(name="dex.announce")
def announce(run_id: int) -> None:
    """A run is over: its failures are recorded, its messages written."""
    watching.announce(run_id)


@shared_task(name="dex.send_message")
def send_message(delivery_id: int) -> None:
    """A message waits to be sent."""
    sending.send(delivery_id)


@shared_task(name="dex.sync_environment")
def sync_environment(environment_id: int) -> None:
    """An environment is to be synced."""
    syncing.sync_if_requested(environment_id)


@shared_task(name="dex.check_connection")
def check_connection(check_id: int) -> None:
    """Somebody requested a check of a connection."""
    connection_checks.make(check_id)


@shared_task(name="dex.check_warehouse")
def check_warehouse(check_id: int) -> None:
    """Somebody requested a test of a warehouse."""
    warehouse_checks.make(check_id)


@shared_task(name="dex.renew_virtualenv")
def renew_virtualenv(virtualenv_id: int) -> None:
    """Somebody requested the renewal of a virtualenv."""
    renewal.renew(virtualenv_id, stop=draining.is_set)


@shared_task(name="dex.build_runtime")
def build_runtime(build_id: int) -> None:
    """Somebody requested that a dbt runtime is built."""
    runtime_builds.make(build_id)


@shared_task(name="dex.sweep")
def sweep() -> None:
    """Beat says that it is time for a round of repairs."""
    heartbeats.beat_of(heartbeats.BEAT)
    rounds.sweep()


@shared_task(name="dex.wake")
def wake() -> None:
    """Nothing to do: a consumer that waits for a message wakes up."""
