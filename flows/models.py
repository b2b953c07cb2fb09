"""Where, what and when: Project, Environment, Revision, Flow."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from flows.logins.models import LogIn as LogIn
from flows.parameters import ParameterError, check_declarations
from flows.retry_policy import lines_of, problem_of, problem_of_kinds
from flows.scheduling.cron import CronError, normalize, zone_of
from flows.variables.models import Variable as Variable
from flows.variables.sealed import SealedField

SHORT = 10  # letters of a hash that name it


class Project(models.Model):
    """A repository, or a local folder, with a dbt project and, beside it, `dex-custom-scripts/`. Never written to."""

    name = models.CharField(max_length=200, unique=True)
    url = models.CharField(
        "repository",
        max_length=1000,
        blank=True,
        help_text="https://host/team/shop.git or ssh://git@host/team/shop.git",
    )
    path = models.CharField(
        "folder", max_length=1000, blank=True, help_text="Or the absolute path of a folder on this machine"
    )
    subfolder = models.CharField(
        max_length=500, blank=True, help_text="The folder with dbt_project.yml, if it is not at the top: transform/shop"
    )
    username = models.CharField("user", max_length=200, blank=True, help_text="For HTTPS. Most hosts accept any name")
    known_hosts = models.TextField(
        max_length=20_000, blank=True, help_text="For SSH: the line of the host as printed by ssh-keyscan"
    )
    # See flows.projects.credentials.
    token = SealedField(binding=lambda row: {"project": row.pk, "field": "token"})
    private_key = SealedField(binding=lambda row: {"project": row.pk, "field": "private_key"})
    push_secret = SealedField(binding=lambda row: {"project": row.pk, "field": "push_secret"})
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Executor(models.TextChoices):
    """How dex runs resources on a dbt."""

    SESSION = "session", "dbt session"
    COMMAND = "command", "dbt commands"


class Environment(models.Model):
    """A branch of a Project plus dbt target, warehouse and threads. Every flow runs on an environment."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="environments")
    name = models.CharField(max_length=200)
    branch = models.CharField(
        max_length=200, blank=True, help_text="Branch of the repository. Leave empty to use a folder as it is"
    )
    sync_every = models.PositiveIntegerField(
        "minutes between syncs",
        default=0,
        validators=[MaxValueValidator(7 * 24 * 60)],
        help_text="0: sync only at the start of a run, manually, and when the repository reports a push",
    )
    warehouse = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Fields of a dbt target. Empty: use profiles.yml of the project",
    )
    target = models.CharField(
        "dbt target", max_length=100, blank=True, help_text="A target in profiles.yml. Empty: its default"
    )
    threads = models.PositiveSmallIntegerField(
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="Number of models built at the same time",
    )
    executor = models.CharField(
        max_length=10,
        choices=Executor,
        default=Executor.SESSION,
        help_text="A session is faster and cancels single models; commands need nothing but dbt's command line",
    )
    current_revision = models.ForeignKey(
        "Revision", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    sync_error = models.TextField(blank=True, editable=False)
    sync_error_about = models.CharField(
        max_length=10, blank=True, editable=False, help_text="runtime: another dbt runtime would help"
    )
    sync_notes = models.JSONField(
        default=list,
        blank=True,
        editable=False,
        help_text="Parts of a commit that are left out, and what else the sync has to say",
    )
    sync_requested_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the sync was requested"
    )
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
    local_changes = models.BooleanField(
        null=True,
        default=False,
        help_text="Whether the folder differed from its commit; empty if unknown",
    )
    subject = models.CharField(max_length=200, blank=True, help_text="The first line of the commit's message")
    author = models.CharField(max_length=200, blank=True)
    project_dir = models.CharField(max_length=1000)
    profiles_dir = models.CharField(max_length=1000)
    target_dir = models.CharField(max_length=1000)
    manifest_path = models.CharField(max_length=1000)
    compact_path = models.CharField(max_length=1000)
    warehouse = models.JSONField(default=dict)
    variables = models.JSONField(default=dict)
    runtime = models.JSONField(default=dict, help_text="The dbt that parsed it: lock, version, python, adapters")
    resources = models.JSONField(default=dict, help_text="Number of resources by type")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "key"], name="one_revision_per_content")
        ]

    def __str__(self) -> str:
        if not self.commit:
            return self.fingerprint[:SHORT]
        if self.local_changes is False:
            return self.commit[:SHORT]
        what = "local changes" if self.local_changes else "folder"
        return f"{self.commit[:SHORT]} + {what} {self.fingerprint[:SHORT]}"

    @property
    def in_full(self) -> str:
        """What it is called, with nothing cut off: its commit, and what the folder held where that differs."""
        if not self.commit:
            return f"content {self.fingerprint}"
        if self.local_changes is False:
            return f"commit {self.commit}"
        changes = "with local changes" if self.local_changes else "possibly with local changes"
        return f"commit {self.commit} {changes}: content {self.fingerprint}"

    @property
    def exists_on_disk(self) -> bool:
        """Whether the files of this revision are still there."""
        return Path(self.compact_path).is_file() and Path(self.project_dir).is_dir()


class RetryOn(models.TextChoices):
    """Which failures are tried again; see flows.retry_policy."""

    ANY = "any", "Any failure"
    TRANSIENT = "transient", "Temporary failures: lost connections, locks, 429, 502, 503, 504"
    MATCHING = "matching", "Failures with a matching message"


def check_retries(retry_on: str, patterns: str) -> dict[str, str]:
    """Field -> what is wrong with a policy of retries."""
    if wrong := problem_of(patterns):
        return {"retry_patterns": wrong}
    if retry_on == RetryOn.MATCHING and not lines_of(patterns):
        return {"retry_patterns": "Enter the messages to retry on, one per line."}
    return {}


class Flow(models.Model):
    """A directed set of nodes that a run executes in order, and when."""

    class Missed(models.TextChoices):
        """What becomes of due times at which dex was not there."""

        LATEST = "latest", "Run once, for the latest"
        ALL = "all", "Run once for each"
        SKIP = "skip", "Skip them"

    class Overlap(models.TextChoices):
        """What happens at a due time while an earlier run goes on."""

        SKIP = "skip", "Skip the new run"
        QUEUE = "queue", "Start the new run afterwards"
        ALLOW = "allow", "Run both"
        CANCEL = "cancel", "Cancel the earlier run"

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(max_length=10_000, blank=True)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="flows")
    retries = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(20)], help_text="How often a failed task is retried"
    )
    retry_delay = models.PositiveIntegerField(
        "seconds before a retry", default=30, help_text="Doubles with each retry, up to one hour"
    )
    retry_on = models.CharField("retries after", max_length=10, choices=RetryOn, default=RetryOn.ANY)
    retry_patterns = models.TextField(
        "messages",
        max_length=10_000,
        blank=True,
        help_text="One per line. Matches anywhere in the failure message, ignoring case: *lock timeout*",
    )
    timeout = models.PositiveIntegerField(
        "time limit per task, in seconds", null=True, blank=True, help_text="Empty: the limit of the installation"
    )
    by_kind = models.JSONField(
        "different values for some types of task",
        default=dict,
        blank=True,
        help_text="Empty fields use the values above. Settings of a node take precedence. Tests of a single model "
        "count as part of that model.",
    )
    allow_empty = models.BooleanField(default=False, help_text="A run without tasks succeeds instead of failing")
    parameters = models.JSONField(
        default=list,
        blank=True,
        help_text='Declared parameters: [{"name": "day", "type": "text", "default": "", "required": false}]',
    )
    tags = models.JSONField(default=list, blank=True, help_text="Words to find flows by, such as a team name")
    cron = models.CharField("schedule", max_length=200, blank=True, help_text="A cron expression. Empty: manual only")
    time_zone = models.CharField(max_length=60, default="UTC", help_text="Of the schedule, such as Europe/Berlin")
    paused = models.BooleanField(default=False, help_text="The schedule starts no runs")
    missed = models.CharField("missed runs", max_length=10, choices=Missed, default=Missed.LATEST)
    overlap = models.CharField("overlapping runs", max_length=10, choices=Overlap, default=Overlap.SKIP)
    spread = models.PositiveSmallIntegerField(
        "start within",
        default=0,
        validators=[MaxValueValidator(24 * 60)],
        help_text="Minutes after the due time. Each flow gets its own fixed delay, so that flows due at the same "
        "minute do not all start at once",
    )
    decided_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Every due time up to here has its Tick"
    )
    version = models.PositiveIntegerField(default=0, editable=False, help_text="Increases with every edit; see Change")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("pause_flow", "Can pause and resume schedules")]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> str:
        """Who looks after it, from its tag "owner:name"; empty where nobody is named."""
        return next((tag.partition(":")[2].strip() for tag in self.tags if tag.startswith("owner:")), "")

    @property
    def delay(self) -> timedelta:
        """How long after its due time it starts: the same moment within `spread` every time, another for each flow."""
        digest = hashlib.sha256(f"flow {self.pk}".encode()).digest()
        return timedelta(seconds=int.from_bytes(digest[:4], "big") % (self.spread * 60 + 1))

    def clean(self) -> None:
        """Whichever way a flow comes in: its schedule can be followed, its parameters are declared as they must be."""
        errors = check_retries(self.retry_on, self.retry_patterns)
        if wrong := self._problem_of_kinds():
            errors["by_kind"] = wrong
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

    def _problem_of_kinds(self) -> str:
        if wrong := problem_of_kinds(self.by_kind):
            return wrong
        matching = any(policy.get("retry_on") == RetryOn.MATCHING for policy in self.by_kind.values())
        if matching and not lines_of(self.retry_patterns):
            return "Enter the messages to retry on above."
        return ""


class Follow(models.Model):
    """`flow` starts when `up` has succeeded; where it follows several, when each of them has since its last start."""

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="follows")
    up = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="followed_by", verbose_name="after")
    since = models.DateTimeField(default=timezone.now, help_text="A success that ended later has not been followed yet")

    class Meta:
        ordering: ClassVar = ["up__name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["flow", "up"], name="one_follow_per_pair_of_flows")]

    def __str__(self) -> str:
        return f"{self.flow} after {self.up}"


class Tick(models.Model):
    """One due time of a flow, and what became of it. One row a due time, whoever was there to see it."""

    class Cause(models.TextChoices):
        """Why something was due."""

        SCHEDULE = "schedule", "the schedule"
        ONCE = "once", "planned once"
        FLOW = "flow", "after another flow"

    class Outcome(models.TextChoices):
        """What became of a due time."""

        PLANNED = "planned", "is planned"
        RUN = "run", "a run was started"
        WAITS = "waits", "waits for an earlier run"
        SKIPPED = "skipped", "skipped because an earlier run was still running"
        MISSED = "missed", "missed"
        PAUSED = "paused", "the schedule was paused"
        REFUSED = "refused", "the run could not be started"

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="ticks")
    due_at = models.DateTimeField()
    cause = models.CharField(max_length=10, choices=Cause, default=Cause.SCHEDULE)
    outcome = models.CharField(max_length=10, choices=Outcome)
    planned_by = models.CharField(max_length=200, blank=True, help_text="Who planned the start")
    parameters = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    decided_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-due_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["flow", "due_at"], name="one_tick_per_due_time")]
        indexes: ClassVar = [
            models.Index(fields=["flow"], name="ticks_that_wait", condition=models.Q(outcome="waits")),
            models.Index(fields=["due_at"], name="ticks_that_are_planned", condition=models.Q(outcome="planned")),
        ]

    def __str__(self) -> str:
        return f"{self.flow} due {self.due_at:%Y-%m-%d %H:%M}"


class Token(models.Model):
    """Lets a program act as `user`, with what this user may at the moment of the call. The secret is not kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the secret, in hex")
    hint = models.CharField(max_length=20, help_text="The first characters of the secret")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Never later than its greatest age; see ends_at")
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=models.Q(revoked_at__isnull=True),
                name="one_token_per_user_and_name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}...)"

    @property
    def ends_at(self) -> datetime:
        """When its time is over: as was chosen, and no later than a token of this installation may live."""
        oldest = self.created_at + timedelta(days=settings.TOKEN_MAX_DAYS)
        return oldest if self.expires_at is None else min(self.expires_at, oldest)

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.ends_at <= timezone.now()
