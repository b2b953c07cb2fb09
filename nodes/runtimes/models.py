"""Tables of dbt runtimes: what a project chose, the builds of requirements, and their locks."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from flows.models import Project

PATIENCE = timedelta(minutes=1)  # with a worker that was asked to build


class DbtRuntime(models.Model):
    """Which dbt runs a project, and what the last syncs of its environments found about what it needs."""

    class Source(models.TextChoices):
        """Where the requirements come from."""

        BUILT_IN = "built_in", "Built in"
        FOUND = "found", "From the repository"
        TYPED = "typed", "Entered here"

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="dbt_runtime")
    source = models.CharField(max_length=10, choices=Source, default=Source.BUILT_IN)
    requirements = models.JSONField(default=list, blank=True, help_text="Requirements that were entered, one each")
    found = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Environment -> what its last sync found: type, require, file, dbt, constraints, problem",
    )
    changed_at = models.DateTimeField(null=True, blank=True)
    changed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"dbt runtime of {self.project}"


class RuntimeLock(models.Model):
    """The exact packages of a runtime, as uv locked them. What was parsed with one is run with the same one."""

    digest = models.CharField(max_length=64, unique=True, help_text="Of its text and its Python")
    text = models.TextField(help_text="Every package with its version and hashes")
    python = models.CharField(max_length=20, help_text="Line of Python, such as 3.11")
    version = models.CharField(max_length=50, help_text="Version of dbt Core")
    adapters = models.JSONField(default=list, help_text="Types of profiles that it can run")
    packages = models.JSONField(default=list, help_text="name==version of each installed package")
    notes = models.JSONField(default=list, help_text="What is to be known about it, in sentences")
    no_session = models.TextField(blank=True, help_text="Why dbt sessions cannot run on it")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"dbt {self.version}"

    def as_json(self) -> dict[str, Any]:
        """What a revision remembers of it."""
        said = {"lock": self.digest, "version": self.version, "python": self.python, "adapters": self.adapters}
        return {**said, "no_session": self.no_session}


class RuntimeBuild(models.Model):
    """What became of a list of requirements: its lock, or why there is none. Projects with the same list share it."""

    digest = models.CharField(max_length=64, unique=True, help_text="Of the requirements and the index")
    requirements = models.JSONField(default=list)
    constraints = models.JSONField(default=list)
    lock = models.ForeignKey(RuntimeLock, on_delete=models.PROTECT, null=True, blank=True, related_name="builds")
    built_at = models.DateTimeField(null=True, blank=True)
    host = models.CharField(max_length=200, blank=True)
    size = models.BigIntegerField(default=0, help_text="Bytes of the folder")
    requested_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is being built; empty: it is not")
    problem = models.TextField(blank=True, help_text="Why it could not be built last")
    problem_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return ", ".join(self.requirements)

    @property
    def waits(self) -> bool:
        """Whether a build was requested that no worker has answered."""
        answered = [moment for moment in (self.built_at, self.problem_at) if moment is not None]
        return self.requested_at is not None and all(moment < self.requested_at for moment in answered)

    @property
    def is_building(self) -> bool:
        """Whether a worker builds it now; one that died does not count for long."""
        longest = timedelta(seconds=4 * settings.SCRIPT_SETUP_TIMEOUT_S)
        return self.started_at is not None and timezone.now() - self.started_at < longest

    @property
    def is_late(self) -> bool:
        """Whether it was requested so long ago that one may wonder about workers."""
        waits = self.waits and not self.is_building
        return waits and self.requested_at is not None and timezone.now() - self.requested_at > PATIENCE
