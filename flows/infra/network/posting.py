"""One HTTP POST: to an address that was checked, without redirects or proxies, within a time for all of it."""

import http.client
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from flows.infra.network.deadline import Deadline
from flows.infra.network.guard import Guard
from flows.infra.network.policy import AddressError, Policy

_READ = 500  # bytes of an answer; what went wrong is said at its beginning


class PostError(Exception):
    """The receiver did not take it; the message says what came back."""


def host_of(url: str) -> str:
    """The host of a URL that can be posted to. Raises AddressError for every other."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise AddressError("The URL is not valid.") from error
    if parts.scheme not in ("http", "https"):
        raise AddressError("The URL must begin with https:// or http://.")
    if not parts.hostname:
        raise AddressError("The URL has no host.")
    if parts.username is not None or parts.password is not None:
        raise AddressError("The URL must not contain a user name or password.")
    if "%" in parts.hostname:
        raise AddressError("The host in the URL must not contain a %.")
    if any(ord(letter) <= 32 or ord(letter) == 127 or letter == "\\" for letter in url):
        raise AddressError("The URL contains a space, a backslash or a control character.")
    if not url.isascii():
        raise AddressError("The URL must be ASCII: write other letters as %XX, and names in Punycode.")
    return parts.hostname


def post(url: str, data: bytes, headers: dict[str, str], *, policy: Policy, deadline: Deadline) -> str:
    """Send it. Out: the beginning of what a 2xx answer says.

    In: `deadline`, for looking the name up, connecting, sending and the answer together. Raises AddressError, and
    PostError for every other answer, a redirect too, and for none.
    """
    import requests  # when something is sent: it is slow to import
    from urllib3.exceptions import HTTPError

    from flows.infra.network.session import Session

    host_of(url)
    headers = {"Accept-Encoding": "identity", **headers}
    try:
        with (
            Session(Guard(policy), deadline=deadline) as session,
            session.post(url, data, headers=headers, allow_redirects=False, stream=True) as answer,
        ):
            redirect = 300 <= answer.status_code < 400
            body = b"" if redirect else answer.raw.read1(_READ)
    except AddressError:
        raise
    except (OSError, requests.RequestException, HTTPError, http.client.HTTPException) as error:
        raise PostError(_reason(error, deadline)) from error
    if redirect:
        raise PostError(f"answered {answer.status_code}, a redirect. dex does not follow it; enter the final address")
    words = " ".join(body.decode(errors="replace").split())
    if not 200 <= answer.status_code < 300:
        raise PostError(f"answered {answer.status_code} {answer.reason}{': ' + words[:200] if words else ''}")
    return words


def _reason(error: BaseException, deadline: Deadline) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return f"no answer within {deadline.seconds:g} s"
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection: {cause.reason or cause}"
    words = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return f"no connection: {words[-1] if words else type(causes[-1]).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, innermost last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
