"""The table of log-ins: every password that was tried, never the password."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class LogIn(models.Model):
    """One try to log in. Of names that nobody has only a digest is kept: people type passwords into the wrong field."""

    class Outcome(models.TextChoices):
        """What became of it."""

        TRYING = "trying", "Being checked"
        FAILED = "failed", "Failed"
        SUCCEEDED = "succeeded", "Succeeded"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    account = models.CharField(max_length=32, editable=False, help_text="Digest of the name that was typed")
    name = models.CharField(max_length=150, blank=True, help_text="Empty for a name that nobody has")
    address = models.CharField(max_length=45, blank=True, help_text="Where from; of IPv6 the network")
    device = models.CharField(
        max_length=32, blank=True, editable=False, help_text="The browser, where this account logged in with it before"
    )
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.TRYING)
    refused = models.PositiveIntegerField(
        "refused after it", default=0, help_text="How many tries after this one came too early to be looked at"
    )

    class Meta:
        app_label = "flows"
        verbose_name = "log-in"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="log_ins_of_account"),
            models.Index(fields=["address", "-id"], name="log_ins_of_address"),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'unknown name'}, {self.at:%Y-%m-%d %H:%M:%S}"
