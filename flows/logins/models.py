"""The table of logins: every password that was tried, never the password."""

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
    account = models.CharField(max_length=32, editable=False, help_text="Digest of the name that was entered")
    name = models.CharField(max_length=150, blank=True, help_text="Empty for an unknown name")
    address = models.CharField(max_length=45, blank=True, help_text="Client address; for IPv6 the network")
    device = models.CharField(
        max_length=32, blank=True, editable=False, help_text="The browser, if this account used it before"
    )
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.TRYING)
    refused = models.PositiveIntegerField(
        "refused after it", default=0, help_text="Number of later attempts that were refused without a check"
    )

    class Meta:
        app_label = "flows"
        verbose_name = "login"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="log_ins_of_account"),
            models.Index(fields=["address", "-id"], name="log_ins_of_address"),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'unknown name'}, {self.at:%Y-%m-%d %H:%M:%S}"
