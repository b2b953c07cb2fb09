"""FailureGroup: a failure told apart by its words; Failure: the task run that had it."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class FailureGroup(models.Model):
    """Failures that say the same but for numbers, names of temporary files and times."""

    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the text, in hex")
    text = models.CharField(max_length=500, help_text="The first line of the error, with placeholders")
    example = models.TextField(blank=True, help_text="The line as last reported")
    count = models.PositiveIntegerField(default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    note = models.TextField(max_length=10_000, blank=True, help_text="What to do about it")
    muted_until = models.DateTimeField(null=True, blank=True, help_text="Muted until then")
    last_task_run = models.ForeignKey("runs.TaskRun", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["-last_seen", "-id"]
        indexes: ClassVar = [models.Index(fields=["-last_seen"], name="failure_groups_by_time")]

    def __str__(self) -> str:
        return self.text

    @property
    def is_muted(self) -> bool:
        """Whether it sends no message now."""
        return self.muted_until is not None and self.muted_until > timezone.now()


class Failure(models.Model):
    """A failed task run and the group it belongs to. One row per failed task run."""

    task_run = models.OneToOneField("runs.TaskRun", on_delete=models.CASCADE, related_name="failure")
    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="failures")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [models.Index(fields=["group", "-at"], name="failures_of_group")]

    def __str__(self) -> str:
        return f"failure of task run {self.task_run_id}"
