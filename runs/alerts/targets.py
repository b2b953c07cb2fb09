"""Where a channel leads. The address of a webhook lets whoever knows it post there, so it is kept encrypted."""

from urllib.parse import urlsplit

from django.conf import settings

from flows.infra.network.policy import Policy
from flows.variables import sealed
from runs.alerts.models import Channel


def policy() -> Policy:
    """Where messages may be posted."""
    return Policy(settings.NOTIFY_PRIVATE, tuple(settings.NOTIFY_ALLOW), "DEX_NOTIFY")


def shown(url: str) -> str:
    """A URL without what makes it a secret: https://hooks.slack.com/…"""
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


def keep_address(channel: Channel, address: str) -> None:
    """Give a channel that has an id another address: of email as it is, of everything else encrypted. Not saved.

    Raises encryption.Unreadable where the keys of this installation are gone.
    """
    if channel.kind == Channel.Kind.EMAIL:
        channel.target, channel.sealed = address, ""
    else:
        sealed.keep(channel, "sealed", address.strip())
        channel.target = shown(address)


def address_of(channel: Channel) -> str:
    """The address in the clear. Raises encryption.Unreadable."""
    return channel.target if channel.kind == Channel.Kind.EMAIL else sealed.value_of(channel, "sealed")


def problem_with_address(channel: Channel) -> str:
    """Why the address cannot be read; empty where it can."""
    return sealed.problem_of(channel, "sealed")
