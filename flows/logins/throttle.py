"""When a password may be tried again. Decided before anything is hashed, over rows that every web process sees.

Failures of an account and of an address count apart. A browser that logged in to the account before counts for itself
alone, so that nobody can keep others out of their accounts by failing in their name or behind their proxy.
"""

import ipaddress
import math
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from flows.logins.hashing import is_crowded
from flows.logins.models import LogIn

WINDOW = timedelta(minutes=15)  # failures before it are forgotten
GIVEN_UP = timedelta(seconds=60)  # a try that is being checked for so long has lost its process
KEPT = timedelta(days=90)
PARALLEL = 4  # tries of one address that are checked at the same time
CROWDED_S = 2
COOKIE = "dex-device"
COOKIE_AGE = 90 * 24 * 3600  # seconds
_SALT = "flows.logins.device"


class TooManyTries(Exception):
    """A password is not looked at now; `seconds` says when one is again."""

    def __init__(self, seconds: int, why: str = "Too many failed logins.") -> None:
        self.seconds = seconds
        again = "in a second" if seconds == 1 else f"in {seconds} seconds"
        super().__init__(f"{why} Try again {again}.")


@dataclass(frozen=True)
class Rule:
    """So many failures are free; after each further one the wait doubles, up to the longest, in seconds."""

    free: int
    longest: int

    def seconds_to_wait(self, failures: Sequence[datetime], now: datetime) -> int:
        """How long until the next try is looked at. In: times of failures, the latest first."""
        beyond = len(failures) - self.free
        if beyond < 0:
            return 0
        wait = min(2 ** min(beyond + 1, 20), self.longest)
        return max(0, math.ceil((failures[0] + timedelta(seconds=wait) - now).total_seconds()))


OF_ACCOUNT = Rule(free=5, longest=60)
OF_ADDRESS = Rule(free=20, longest=15)  # many people may share one
MOST = 60  # failures that are looked at; the longest wait is reached long before


def begin(request: HttpRequest, username: str) -> LogIn:
    """Note that a password is about to be checked. Raises TooManyTries, and then none is."""
    if is_crowded():
        raise TooManyTries(CROWDED_S, "Many people are logging in just now.")
    account = account_of(username)
    now = timezone.now()
    row = LogIn.objects.create(
        at=now, account=account, name=_known(username), address=address_of(request), device=device_of(request, account)
    )
    # What was noted before this row counts, also what is being checked: parallel tries do not outrun their failures.
    before = LogIn.objects.filter(pk__lt=row.pk, at__gt=now - WINDOW).exclude(outcome=LogIn.Outcome.SUCCEEDED)
    mine = before.filter(account=account, device=row.device, pk__gt=_latest_success(account))
    seconds = _wait(OF_ACCOUNT, mine, now)
    if not row.device:
        seconds = max(seconds, _wait(OF_ADDRESS, before.filter(address=row.address, device=""), now))
    going = before.filter(address=row.address, outcome=LogIn.Outcome.TRYING, at__gt=now - GIVEN_UP).count()
    if going >= PARALLEL:
        seconds = max(seconds, CROWDED_S)
    if seconds:
        row.delete()
        counted = LogIn.objects.filter(address=row.address).order_by("-pk").values_list("pk", flat=True).first()
        if counted is not None:
            LogIn.objects.filter(pk=counted).update(refused=F("refused") + 1)
        raise TooManyTries(seconds)
    return row


def end(row: LogIn, *, succeeded: bool) -> None:
    """Note what became of a try; a success ends the count of its account, never that of its address."""
    outcome = LogIn.Outcome.SUCCEEDED if succeeded else LogIn.Outcome.FAILED
    LogIn.objects.filter(pk=row.pk).update(outcome=outcome)


def remember_device(request: HttpRequest, response: HttpResponse, username: str) -> None:
    """Let the browser that has just logged in be known by its next try to log in to the same account."""
    account = account_of(username)
    value = signing.dumps([account, device_of(request, account) or secrets.token_hex(8)], salt=_SALT)
    secure = bool(settings.SESSION_COOKIE_SECURE)
    name = f"__Host-{COOKIE}" if secure else COOKIE
    response.set_cookie(name, value, max_age=COOKIE_AGE, httponly=True, secure=secure, samesite="Lax")


def device_of(request: HttpRequest, account: str) -> str:
    """The mark of a browser that logged in to this account before; empty for any other."""
    cookie = request.COOKIES.get(f"__Host-{COOKIE}" if settings.SESSION_COOKIE_SECURE else COOKIE, "")
    try:
        device = signing.loads(cookie[:500], salt=_SALT, max_age=COOKIE_AGE)
    except signing.BadSignature:
        return ""
    if not (isinstance(device, list) and len(device) == 2 and device[0] == account):
        return ""
    return str(device[1])[:32]


def account_of(username: str) -> str:
    """What tells accounts apart, whether there is one of this name or not."""
    name = unicodedata.normalize("NFKC", username)[:254].casefold()
    return salted_hmac("flows.logins.account", name, algorithm="sha256").hexdigest()[:32]


def address_of(request: HttpRequest) -> str:
    """Where a request comes from: of IPv6 the network, as one person has all of it.

    Behind a proxy (DEX_BEHIND_PROXY) it is what the proxy says, the last entry of X-Forwarded-For; anywhere else
    anybody can write that header.
    """
    text = str(request.META.get("REMOTE_ADDR", ""))
    if settings.BEHIND_PROXY:
        text = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip() or text
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def forget(now: datetime) -> int:
    """Delete what is older than KEPT; how many rows that were."""
    return LogIn.objects.filter(at__lt=now - KEPT).delete()[0]


def _known(username: str) -> str:
    users = get_user_model()._default_manager
    name = username[:150] if "\0" not in username else ""
    return name if users.filter(**{get_user_model().USERNAME_FIELD: name}).exists() else ""


def _latest_success(account: str) -> int:
    rows = LogIn.objects.filter(account=account, outcome=LogIn.Outcome.SUCCEEDED)
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


def _wait(rule: Rule, failures: QuerySet[LogIn], now: datetime) -> int:
    return rule.seconds_to_wait(list(failures.order_by("-pk").values_list("at", flat=True)[:MOST]), now)
