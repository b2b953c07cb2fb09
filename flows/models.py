"""Where, what and when: Project, Environment, Revision, Flow."""

from pathlib import Path
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from flows.cron import CronError, normalize, zone_of
from flows.parameters import ParameterError, check_declarations


class Project(models.Model):
    """A folder with a dbt project and, beside it, `dex-custom-scripts/`. Never written to."""

    name = models.CharField(max_length=200, unique=True)
    path = models.CharField("folder", max_length=1000, help_text="Absolute path of the folder with dbt_project.yml")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Environment(models.Model):
    """A Project plus dbt target and threads. Every flow runs on an environment."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="environments")
    name = models.CharField(max_length=200)
    target = models.CharField(
        "dbt target", max_length=100, blank=True, help_text="A target of profiles.yml; empty for its default"
    )
    threads = models.PositiveSmallIntegerField(
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="How many models are built at the same time",
    )
    current_revision = models.ForeignKey(
        "Revision", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    sync_error = models.TextField(blank=True, editable=False)
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["project__name", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="one_environment_per_name_and_project")
        ]

    def __str__(self) -> str:
        return f"{self.project} / {self.name}"


class Revision(models.Model):
    """A project's content at one moment, parsed: the manifest, and what a session needs to start.

    `key` is a digest of content, profile, target and variables: the same key is the same revision, so a
    folder that did not change is never parsed twice.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="revisions")
    key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    commit = models.CharField(max_length=64, blank=True)
    project_dir = models.CharField(max_length=1000)
    profiles_dir = models.CharField(max_length=1000)
    target_dir = models.CharField(max_length=1000)
    manifest_path = models.CharField(max_length=1000)
    compact_path = models.CharField(max_length=1000)
    warehouse = models.JSONField(default=dict)
    variables = models.JSONField(default=dict)
    resources = models.JSONField(default=dict, help_text="How many resources of each type")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "key"], name="one_revision_per_content")
        ]

    def __str__(self) -> str:
        return (self.commit or self.fingerprint)[:10]

    @property
    def exists_on_disk(self) -> bool:
        """Whether the files of this revision are still there."""
        return Path(self.compact_path).is_file() and Path(self.project_dir).is_dir()


class Flow(models.Model):
    """A directed set of nodes that a run executes in order, and when."""

    class Missed(models.TextChoices):
        """What becomes of due times at which dex was not there."""

        LATEST = "latest", "Run once, for the latest"
        ALL = "all", "Run once for each"
        SKIP = "skip", "Leave them out"

    class Overlap(models.TextChoices):
        """What happens at a due time while an earlier run goes on."""

        SKIP = "skip", "Leave the new run out"
        QUEUE = "queue", "Start the new run afterwards"
        ALLOW = "allow", "Run both"
        CANCEL = "cancel", "Cancel the earlier run"

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(max_length=10_000, blank=True)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="flows")
    retries = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(20)], help_text="How often a failed task is tried again"
    )
    retry_delay = models.PositiveIntegerField(
        "seconds before a retry", default=30, help_text="Doubles with every further retry, up to one hour"
    )
    timeout = models.PositiveIntegerField(
        "seconds a task may take", null=True, blank=True, help_text="Empty for the installation's limit"
    )
    allow_empty = models.BooleanField(default=False, help_text="A run without any task succeeds instead of failing")
    parameters = models.JSONField(
        default=list,
        blank=True,
        help_text='Declared parameters: [{"name": "day", "type": "text", "default": "", "required": false}]',
    )
    tags = models.JSONField(default=list, blank=True, help_text="Words to find flows by, such as a team's name")
    cron = models.CharField("schedule", max_length=200, blank=True, help_text="A cron expression; empty: by hand alone")
    time_zone = models.CharField(max_length=60, default="UTC", help_text="Of the schedule, such as Europe/Berlin")
    paused = models.BooleanField(default=False, help_text="The schedule starts no run")
    missed = models.CharField("missed runs", max_length=10, choices=Missed, default=Missed.LATEST)
    overlap = models.CharField("overlapping runs", max_length=10, choices=Overlap, default=Overlap.SKIP)
    decided_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Every due time up to here has its Tick"
    )
    version = models.PositiveIntegerField(default=0, editable=False, help_text="Grows with every edit; see Change")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("pause_flow", "Can pause and resume schedules")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Whichever way a flow comes in: its schedule can be followed, its parameters are declared as they must be."""
        errors: dict[str, str] = {}
        try:
            self.cron = normalize(self.cron) if self.cron else ""
        except CronError as error:
            errors["cron"] = str(error)
        try:
            zone_of(self.time_zone)
        except CronError as error:
            errors["time_zone"] = str(error)
        try:
            check_declarations(self.parameters)
        except ParameterError as error:
            errors["parameters"] = str(error)
        if errors:
            raise ValidationError(errors)


class Tick(models.Model):
    """One due time of a flow's schedule, and what became of it. One row a due time, whoever was there to see it."""

    class Outcome(models.TextChoices):
        """What became of a due time."""

        RUN = "run", "a run was started"
        WAITS = "waits", "waits for an earlier run"
        SKIPPED = "skipped", "left out, an earlier run was going on"
        MISSED = "missed", "missed"
        PAUSED = "paused", "the schedule was paused"
        REFUSED = "refused", "the run could not be started"

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="ticks")
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome)
    reason = models.CharField(max_length=1000, blank=True)
    decided_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-due_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["flow", "due_at"], name="one_tick_per_due_time")]
        indexes: ClassVar = [
            models.Index(fields=["flow"], name="ticks_that_wait", condition=models.Q(outcome="waits")),
        ]

    def __str__(self) -> str:
        return f"{self.flow} due {self.due_at:%Y-%m-%d %H:%M}"
