"""Channel: where messages go; Event: what happened, seen once; Delivery: one message of one channel."""

import secrets
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from flows.variables.sealed import SealedField
from runs.alerts.kinds import EventKind


def new_salt() -> str:
    """What makes the signing secret of one channel differ from that of another."""
    return secrets.token_hex(16)


class Channel(models.Model):
    """Where messages go, and which."""

    class Kind(models.TextChoices):
        """How they get there."""

        EMAIL = "email", "Email"
        SLACK = "slack", "Slack"
        WEBHOOK = "webhook", "Webhook"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField("sent by", max_length=10, choices=Kind)
    # Written by runs.alerts.targets: a URL that messages are posted to is a secret, of which this is what may be shown.
    target = models.TextField(max_length=2000, help_text="Email addresses, or the visible part of a URL")
    sealed = SealedField(binding=lambda row: {"channel": row.pk}, help_text="The address of a webhook, encrypted")
    salt = models.CharField(max_length=32, default=new_salt, editable=False)
    flow = models.ForeignKey(
        "flows.Flow", on_delete=models.CASCADE, null=True, blank=True, related_name="channels", help_text="Empty: all"
    )
    tags = models.JSONField(default=list, blank=True, help_text="Only flows with one of these tags; empty: all")
    events = models.JSONField(default=list)
    nth = models.PositiveSmallIntegerField(
        "failures in a row", default=3, validators=[MinValueValidator(2), MaxValueValidator(1000)]
    )
    enabled = models.BooleanField(default=True)
    since = models.DateTimeField(default=timezone.now, editable=False, help_text="Earlier events send no messages")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """Something that happened to a run or a due time, seen once, whoever looked."""

    key = models.CharField(max_length=200, unique=True)
    run = models.ForeignKey("runs.Run", on_delete=models.CASCADE, null=True, related_name="events")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.key


class Delivery(models.Model):
    """One message of one channel about one event. Only runs.alerts.sending and .events write `status`."""

    class Status(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        MUTED = "muted", "Muted"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    run = models.ForeignKey("runs.Run", on_delete=models.SET_NULL, null=True, blank=True, related_name="deliveries")
    event = models.CharField(max_length=20, choices=EventKind)
    key = models.CharField(max_length=250, unique=True)
    subject = models.CharField(max_length=300)
    body = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, help_text="When it is sent, or sent again")
    last_error = models.CharField(max_length=500, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], name="deliveries_that_wait", condition=models.Q(status="waiting")),
            models.Index(fields=["channel", "-id"], name="deliveries_of_channel"),
        ]

    def __str__(self) -> str:
        return self.subject
