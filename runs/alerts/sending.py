"""Sends messages. A delivery is claimed by compare-and-swap, so that two workers never send the same one."""

import json
import logging
import smtplib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from flows.infra.network.deadline import Deadline
from flows.infra.network.policy import AddressError
from flows.infra.network.posting import PostError, post
from flows.infra.times import instant
from flows.variables.encryption import Unreadable
from runs import dispatch
from runs.alerts.kinds import EventKind
from runs.alerts.mail import TimedBackend
from runs.alerts.messages import as_text
from runs.alerts.models import Channel, Delivery
from runs.alerts.signing import HEADER, secret_of, signature
from runs.alerts.targets import address_of, policy
from runs.clock import after

log = logging.getLogger("dex.notify")
EXCHANGE_S = 30.0  # for a whole exchange: looking the name up, connecting, sending, the answer
CLAIM_S = 120  # much longer than that, so that nobody sends a message that somebody else still sends
CLOCKS_S = 1  # rows are written with the clock of a process and read with that of the database
BACK_OFF_S = (30, 120, 600, 3600, 6 * 3600)
MOST_A_ROUND = 100


def ring_due() -> int:
    """Dispatch the messages that are due, lost ones too; how many."""
    due = Delivery.objects.filter(status=Delivery.Status.WAITING, next_at__lte=after(CLOCKS_S)).order_by("next_at")
    ids = list(due.values_list("pk", flat=True)[:MOST_A_ROUND])
    for pk in ids:
        dispatch.message(pk)
    return len(ids)


def send(delivery_id: int) -> bool | None:
    """Send one message if it is due and nobody else does; whether it was taken, None if there was nothing to do."""
    due = Delivery.objects.filter(pk=delivery_id, status=Delivery.Status.WAITING, next_at__lte=after(CLOCKS_S))
    if not due.update(next_at=after(CLAIM_S), attempts=F("attempts") + 1):
        return None
    row = Delivery.objects.select_related("channel").get(pk=delivery_id)
    mine = Delivery.objects.filter(pk=delivery_id, status=Delivery.Status.WAITING, attempts=row.attempts)
    problem = _problem(row)
    if not problem:
        mine.update(status=Delivery.Status.SENT, sent_at=Now(), last_error="", next_at=None)
        return True
    log.warning("message %s of channel %s: %s", row.pk, row.channel_id, problem)
    if row.event == EventKind.TEST or row.attempts > len(BACK_OFF_S):
        mine.update(status=Delivery.Status.FAILED, last_error=problem, next_at=None)
    else:
        wait = timedelta(seconds=BACK_OFF_S[row.attempts - 1])
        mine.update(last_error=problem, next_at=timezone.now() + wait)
    return False


def _problem(row: Delivery) -> str:
    """Hand the message over; what went wrong, without the target, which may be a secret."""
    if not row.channel.enabled and row.event != EventKind.TEST:
        return "the channel is off"
    try:
        address = address_of(row.channel).strip()
    except Unreadable as error:
        return f"its address is unknown: {error}"
    try:
        SENDERS[Channel.Kind(row.channel.kind)](row, address, Deadline(EXCHANGE_S))
    except (PostError, smtplib.SMTPException, OSError) as error:
        return _said(error).replace(address, "the address")
    except Exception as error:  # whatever it is, the message waits for its next try
        log.exception("message %s", row.pk)
        return type(error).__name__
    return ""


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server rejected the recipients"
    if isinstance(error, smtplib.SMTPResponseException):
        words = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"the mail server answered {error.smtp_code}: {words}"[:400]
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return f"no answer within {EXCHANGE_S:g} s"
    if isinstance(error, OSError) and not isinstance(error, AddressError | smtplib.SMTPException):
        return f"no connection: {error.strerror or type(error).__name__}"
    return str(error)[:400] or type(error).__name__


def _email(row: Delivery, address: str, deadline: Deadline) -> None:
    if not settings.EMAIL_HOST:
        raise PostError("no mail server is configured: set DEX_EMAIL_URL")
    smtp = settings.EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend"
    EmailMessage(
        subject=row.subject,
        body=as_text(row.subject, row.body),
        to=addresses_of(address),
        headers={
            "Message-ID": f"<dex-{settings.INSTALLATION}-{row.pk}@dex.invalid>",
            "Auto-Submitted": "auto-generated",
        },
        connection=TimedBackend(deadline=deadline) if smtp else None,
    ).send()


def _slack(row: Delivery, address: str, deadline: Deadline) -> None:
    text = as_text(row.subject, row.body)
    # Slack's own marks: a text of ours must not become a link or a mention of everybody.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    answer = _post(address, {"text": text}, {}, deadline)
    if not _was_taken(answer):
        raise PostError(f"answered 200, but said: {answer[:200]}")


def _was_taken(answer: str) -> bool:
    """Whether a receiver that speaks Slack's format says that it took a message: Slack says "ok", others a JSON object.

    Some answer 200 and tell in the text what is wrong: `no_service`, {"ok": false}, {"success": false, "error": ...}.
    """
    try:
        body = json.loads(answer)
    except ValueError:
        return answer.lower() in ("", "ok") or answer.startswith("{")  # an object that goes on beyond what was read
    if isinstance(body, dict):
        return all(body.get(key, True) is True for key in ("ok", "success")) and not body.get("error")
    return body is True or body == 1


def _webhook(row: Delivery, address: str, deadline: Deadline) -> None:
    data = {
        "id": row.pk,
        "subject": row.subject,
        "created_at": instant(row.created_at),
        **row.body,
    }
    headers = {"X-Dex-Delivery": str(row.pk), "X-Dex-Event": row.event}
    _post(address, data, headers, deadline, secret=secret_of(row.channel.salt))


def _post(address: str, data: dict[str, Any], headers: dict[str, str], deadline: Deadline, *, secret: str = "") -> str:
    body = json.dumps(data).encode()
    headers = {**headers, "Content-Type": "application/json"}
    if secret:
        headers[HEADER] = signature(secret, int(time.time()), body)
    return post(address, body, headers, policy=policy(), deadline=deadline)


def addresses_of(target: str) -> list[str]:
    """The addresses of an email channel, separated by commas or lines."""
    return [address for address in (each.strip() for each in target.replace("\n", ",").split(",")) if address]


SENDERS: dict[Channel.Kind, Callable[[Delivery, str, Deadline], None]] = {
    Channel.Kind.EMAIL: _email,
    Channel.Kind.SLACK: _slack,
    Channel.Kind.WEBHOOK: _webhook,
}
