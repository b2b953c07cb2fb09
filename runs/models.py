"""What happened: runs, their tasks, attempts and transitions; what execution leans on: lanes, slots of pools."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from flows.models import Executor, Flow, Revision, Tick
from nodes.models import Node
from nodes.ordering import GATE
from runs.alerts.failure_groups.models import Failure as Failure
from runs.alerts.failure_groups.models import FailureGroup as FailureGroup
from runs.alerts.models import Channel as Channel
from runs.alerts.models import Delivery as Delivery
from runs.alerts.models import Event as Event
from runs.states import ACTIVE, OVER, RUN_ACTIVE, RUN_OVER, RunState, TaskState


def _choices(states: type[RunState] | type[TaskState]) -> list[tuple[str, str]]:
    return [(state.value, state.value.capitalize()) for state in states]


class Trigger(models.TextChoices):
    """What started a run."""

    MANUAL = "manual", "manually"
    COMMAND = "command", "from the command line"
    RERUN = "rerun", "as a rerun"
    SCHEDULE = "schedule", "by schedule"
    FLOW = "flow", "after another flow"
    ONCE = "once", "as planned"
    API = "api", "through the API"
    TEST = "test", "as a script test"


class Run(models.Model):
    """One going of a flow. Only runs.transitions writes `state`."""

    flow = models.ForeignKey(Flow, on_delete=models.SET_NULL, null=True, related_name="runs")
    flow_name = models.CharField(max_length=200)
    state = models.CharField(max_length=20, choices=_choices(RunState), default=RunState.QUEUED)
    trigger = models.CharField(max_length=20, choices=Trigger)
    triggered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    key = models.CharField(max_length=200, unique=True, null=True, blank=True, help_text="Idempotency key")
    tick = models.ForeignKey(Tick, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs")
    parameters = models.JSONField(default=dict, blank=True)
    retry_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="reruns")
    scope = models.JSONField(
        default=dict, blank=True, help_text="Of a rerun: keys that run again although they succeeded"
    )
    revision = models.ForeignKey(Revision, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs")
    environment_name = models.CharField(max_length=400, blank=True)
    error = models.TextField(blank=True)
    warnings = models.JSONField(default=list, blank=True)
    drift = models.JSONField(default=dict, blank=True, help_text="Models added and removed since the node was saved")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True, editable=False)
    planner = models.CharField(max_length=200, blank=True, editable=False)
    planner_until = models.DateTimeField(null=True, blank=True, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(max_length=200, blank=True)
    # Written with every move; database triggers copy them into Transition rows.
    moved_by = models.CharField(max_length=200, blank=True, editable=False)
    reason = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["state"], name="runs_active", condition=Q(state__in=sorted(RUN_ACTIVE))),
            models.Index(fields=["flow", "-id"], name="runs_of_flow"),
            models.Index(fields=["flow", "-ended_at"], name="runs_that_succeeded", condition=Q(state="succeeded")),
            models.Index(fields=["state", "-id"], name="runs_by_state"),
            models.Index(fields=["trigger", "-id"], name="runs_by_trigger"),
            models.Index(fields=["created_at"], name="runs_by_age"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=sorted(RUN_OVER), ended_at__isnull=False)
                | Q(state__in=sorted(RUN_ACTIVE), ended_at__isnull=True),
                name="run_over_has_an_end",
            )
        ]

    def __str__(self) -> str:
        return f"{self.flow_name} #{self.pk}"

    @property
    def first_failure(self) -> "TaskRun | None":
        """The task that failed first, by the clock."""
        failed = self.task_runs.filter(state=TaskState.FAILED).exclude(kind=GATE)
        return failed.order_by("ended_at", "pk").first()

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to this run any more."""
        return self.state in RUN_OVER


class Acknowledgement(models.Model):
    """Somebody has seen to a failed run: it asks for no attention any more."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="acknowledgement")
    by = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    note = models.CharField(max_length=1000, blank=True)

    def __str__(self) -> str:
        return f"{self.run_id} acknowledged by {self.by}"


class Lane(models.Model):
    """Where the models of one run and environment execute: one dbt session, driven by one worker at a time."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="lanes")
    revision = models.ForeignKey(Revision, on_delete=models.SET_NULL, null=True, related_name="+")
    threads = models.PositiveSmallIntegerField(default=4)
    pool = models.CharField(max_length=500, blank=True)
    waits_for_pool = models.BooleanField(default=False)
    executor = models.CharField(max_length=10, choices=Executor, default=Executor.SESSION)
    invocation = models.JSONField(
        default=dict, help_text="The run as dbt sees it: its id, selection, and the command of each node"
    )
    crashes = models.PositiveSmallIntegerField(default=0, help_text="Number of internal errors while driving it")
    owner = models.CharField(max_length=200, blank=True)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    host = models.CharField(max_length=200, blank=True)
    boot_id = models.CharField(max_length=100, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    pid_start = models.BigIntegerField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["lease_until"], name="lanes_held", condition=~Q(owner=""))]

    def __str__(self) -> str:
        return f"lane {self.pk} of run {self.run_id}"


class TaskRun(models.Model):
    """One going of a task in a run. Only runs.transitions writes `state`."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="task_runs")
    node = models.ForeignKey(Node, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    node_name = models.CharField(max_length=200, blank=True)
    lane = models.ForeignKey(Lane, on_delete=models.SET_NULL, null=True, blank=True, related_name="task_runs")
    kind = models.CharField(max_length=20)
    unique_id = models.CharField(max_length=500)
    identifier = models.CharField(max_length=500)
    resource_type = models.CharField(max_length=30, blank=True)
    position = models.PositiveIntegerField(default=0)
    spec = models.JSONField(default=dict, help_text="What to execute, as planned")
    pool = models.CharField(max_length=500, blank=True)
    warehouse_pool = models.CharField(
        max_length=500, blank=True, help_text="The pool of a warehouse that only one process can open at a time"
    )
    waits_for = models.CharField(
        max_length=10,
        default="success",
        choices=[
            ("success", "all upstream tasks to succeed"),
            ("end", "all upstream tasks to finish"),
        ],
    )
    state = models.CharField(max_length=20, choices=_choices(TaskState), default=TaskState.PENDING)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0, help_text="Attempts that count against the retries of the task")
    infra_attempts = models.PositiveIntegerField(default=0, help_text="Attempts lost with their worker")
    owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(max_length=200, blank=True)
    moved_by = models.CharField(max_length=200, blank=True, editable=False)
    reason = models.CharField(max_length=1000, blank=True)
    output_fence = models.PositiveIntegerField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["run", "position", "id"]
        indexes: ClassVar = [
            models.Index(fields=["run", "state"], name="task_runs_of_run"),
            models.Index(
                fields=["state", "dispatched_at"], name="task_runs_active", condition=Q(state__in=sorted(ACTIVE))
            ),
            models.Index(fields=["owner"], name="task_runs_held", condition=Q(state=TaskState.RUNNING)),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "unique_id"], name="one_task_run_per_resource_and_run"),
            models.CheckConstraint(
                condition=Q(state__in=sorted(OVER), ended_at__isnull=False)
                | Q(state__in=sorted(ACTIVE), ended_at__isnull=True),
                name="task_run_over_has_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(state=TaskState.RUNNING) | ~Q(owner=""), name="running_task_run_has_an_owner"
            ),
            models.CheckConstraint(condition=Q(fence__gte=models.F("attempts")), name="every_attempt_raised_the_fence"),
        ]

    def __str__(self) -> str:
        return self.identifier


class Dependency(models.Model):
    """`down` waits until `up` succeeded."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    up = models.ForeignKey(TaskRun, on_delete=models.CASCADE, related_name="dependencies_down")
    down = models.ForeignKey(TaskRun, on_delete=models.CASCADE, related_name="dependencies_up")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["up", "down"], name="one_dependency_per_pair")]

    def __str__(self) -> str:
        return f"{self.up_id} -> {self.down_id}"


class Attempt(models.Model):
    """One try of a task run: who, where, when, how it ended, and where its log is."""

    task_run = models.ForeignKey(TaskRun, on_delete=models.CASCADE, related_name="tries")
    fence = models.PositiveIntegerField()
    owner = models.CharField(max_length=200)
    host = models.CharField(max_length=200, blank=True)
    boot_id = models.CharField(max_length=100, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    pid_start = models.BigIntegerField(null=True, blank=True)
    uid = models.PositiveIntegerField(null=True, blank=True, help_text="The operating system user it runs as")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    log_path = models.CharField(max_length=500, blank=True, help_text="Path below the log folder")
    log_dropped = models.BigIntegerField(default=0, help_text="Bytes omitted from the middle of the log")
    result = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["task_run", "fence"]
        permissions: ClassVar = [
            ("view_log", "Can read logs"),
            ("download_log", "Can download whole logs"),
            ("view_failing_rows", "Can view rows that fail tests"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["task_run", "fence"], name="one_attempt_per_fence")]

    def __str__(self) -> str:
        return f"attempt {self.fence} of task run {self.task_run_id}"


class Transition(models.Model):
    """A state that a run or task run took. Written by database triggers alone, so that nothing escapes it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="transitions")
    task_run = models.ForeignKey(TaskRun, on_delete=models.CASCADE, null=True, blank=True, related_name="transitions")
    old = models.CharField(max_length=20, blank=True)
    new = models.CharField(max_length=20)
    fence = models.PositiveIntegerField(default=0)
    actor = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.old or '(new)'} -> {self.new}"


class Pool(models.Model):
    """So many task runs or sessions at the same time use one thing: a warehouse file, an API, a licence."""

    name = models.CharField(max_length=500, unique=True)
    slots = models.PositiveIntegerField(default=1)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class PoolSlot(models.Model):
    """One slot of a pool, held by lease. A pool without a row in Pool has one slot."""

    pool = models.CharField(max_length=500)
    slot = models.PositiveIntegerField()
    holder = models.CharField(max_length=200, blank=True)
    owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["pool", "slot"], name="one_row_per_pool_slot")]

    def __str__(self) -> str:
        return f"{self.pool}[{self.slot}]"


class Heartbeat(models.Model):
    """When a part of dex last showed that it lives; one row a part."""

    name = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
