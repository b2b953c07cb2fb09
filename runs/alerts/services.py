"""What people do to channels, messages and notes of failures. Pages, API and commands call these."""

import secrets
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from flows.access import require
from runs import dispatch
from runs.alerts import messages
from runs.alerts.failure_groups.models import FailureGroup
from runs.alerts.kinds import EventKind
from runs.alerts.models import Channel, Delivery, new_salt
from runs.alerts.sending import send
from runs.alerts.signing import secret_of
from runs.alerts.targets import keep_address


def save_channel(channel: Channel, address: str = "") -> Channel:
    """Save a new or changed channel. One that is switched on again is not told of what happened meanwhile.

    In: `address`, where it leads from now on; empty: it stays as it is. Raises encryption.Unreadable where the keys of
    this installation are gone.
    """
    require("runs.add_channel" if channel.pk is None else "runs.change_channel")
    before = Channel.objects.filter(pk=channel.pk).first()
    if before is None or (channel.enabled and not before.enabled):
        channel.since = timezone.now()
    with transaction.atomic():
        channel.save()  # the address is bound to its id
        if address:
            keep_address(channel, address)
            channel.save(update_fields=["target", "sealed"])
    return channel


def delete_channel(channel: Channel) -> None:
    """Remove a channel with the record of its messages."""
    require("runs.delete_channel")
    channel.delete()


def renew_secret(channel: Channel) -> str:
    """A new signing secret; the one before is worth nothing from now on. Out: the secret."""
    require("runs.change_channel")
    channel.salt = new_salt()
    channel.save(update_fields=["salt"])
    return secret_of(channel.salt)


def send_test(channel: Channel) -> Delivery:
    """Send a test message now, as any other is sent but tried once. Out: what became of it."""
    require("runs.change_channel")
    subject, body = messages.of_test(channel.name)
    row = Delivery.objects.create(
        channel=channel,
        event=EventKind.TEST,
        key=f"{channel.pk} test {secrets.token_hex(8)}",
        subject=subject,
        body=body,
        next_at=timezone.now(),
    )
    send(row.pk)
    row.refresh_from_db()
    return row


def send_again(delivery: Delivery) -> bool:
    """Send a message once more that was sent, failed or muted; False for one that waits to be sent anyway."""
    require("runs.change_channel")
    over = Delivery.objects.filter(pk=delivery.pk).exclude(status=Delivery.Status.WAITING)
    if not over.update(status=Delivery.Status.WAITING, next_at=Now(), sent_at=None):
        return False
    dispatch.message(delivery.pk)
    return True


def save_note(group: FailureGroup, *, note: str, muted_until: datetime | None) -> None:
    """Write what to do about a failure, and until when it sends no message (aware; None: it sends them)."""
    require("runs.add_run")
    group.note, group.muted_until = note, muted_until
    group.save(update_fields=["note", "muted_until"])
