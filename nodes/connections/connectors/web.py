"""HTTP as connectors speak it: patient with busy servers, short with broken ones, and silent about secrets."""

import hashlib
import ssl
import time
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from flows.infra.network.guard import Guard
from flows.infra.network.session import Session, TooLarge, blocks
from nodes.connections.connectors.failures import SourceError

TIMEOUT = (10, 60)  # seconds to connect, and between bytes
BUSY = (408, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0  # seconds, whatever Retry-After says
MOST_BYTES = 256 * 1024 * 1024  # of one answer
SAME_PAGES = 3  # so many equal answers one after the other mean that there is no end


class Web(Session):
    """A session that waits and tries again, and turns everything that goes wrong into a sentence.

    In: `secret_headers`, left out once a redirect leads to another host; `home`, the only host and port that requests
    may begin at (a link to a next page must not carry the credentials elsewhere); `attempts`, how often a request is
    tried; `most_pages`, how many answers are read before dex believes that there is no end.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        attempts: int = 5,
        most_pages: int = 10_000,
        expects_json: bool = True,
        secret_headers: Iterable[str] = (),
        home: str = "",
        say: Callable[[str], None] = print,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(guard)
        self._attempts, self._most_pages, self._expects_json = attempts, most_pages, expects_json
        self._home = urlsplit(requests.Request("GET", home).prepare().url or "").netloc.lower() if home else ""
        self._secret_headers = [name.lower() for name in secret_headers]
        self._say, self._sleep = say, sleep
        self._pages: dict[str, int] = {}
        self._last: dict[str, tuple[bytes, int]] = {}  # path -> (digest of the answer, how often in a row)

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """A redirect to another host gets no secret, and none leads from https to http."""
        super().rebuild_auth(prepared_request, response)
        old, new = urlsplit(response.request.url), urlsplit(prepared_request.url)
        if old.scheme == "https" and new.scheme != "https":
            raise SourceError("http", f"{old.hostname} redirects to an unencrypted URL; dex does not follow it.")
        if old.netloc != new.netloc:
            for name in list(prepared_request.headers):
                if name.lower() in self._secret_headers:
                    del prepared_request.headers[name]

    def send(self, request: Any, **options: Any) -> Any:
        """As requests.Session.send; the answer is one that can be used. Raises SourceError."""
        if self._home and urlsplit(request.url).netloc.lower() != self._home:
            raise SourceError(
                "http", f"The API redirects to another host, {urlsplit(request.url).hostname}; dex does not follow it."
            )
        streamed = bool(options.pop("stream", None))
        options.setdefault("allow_redirects", True)
        request.hooks = {"response": []}  # dlt's would raise before anything could be tried again
        options["timeout"] = options.get("timeout") or TIMEOUT
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                answer = super().send(request, stream=True, **options)
            except requests.TooManyRedirects as error:
                raise SourceError("http", f"{_place(request)} redirects endlessly.") from error
            except (requests.ConnectionError, requests.Timeout) as error:
                if last or _final(error):
                    raise
                self._pause(2.0 ** (attempt - 1), f"{_place(request)} could not be reached")
                continue
            if answer.status_code in BUSY and not last:
                answer.close()
                wait = _retry_after(answer.headers.get("Retry-After"))
                self._pause(
                    2.0 ** (attempt - 1) if wait is None else wait, f"{_place(request)} answered {answer.status_code}"
                )
                continue
            self._refuse_errors(request, answer)
            if not streamed and not answer.is_redirect:
                self._read(request, answer)
            return answer
        raise AssertionError("the last attempt returns or raises")

    def download(self, url: str, to: Path, most: int, look: Callable[[Any], None], **options: Any) -> None:
        """An address into a file, after a `look` at the head of the answer.

        Raises SourceError when it is larger than `most` bytes.
        """
        with self.get(url, stream=True, **options) as answer, to.open("wb") as file:
            look(answer)
            try:
                file.writelines(blocks(answer, most))
            except TooLarge as error:
                limit = f"{most // 1024 // 1024:,} MiB"
                raise SourceError("data", f"{_place(answer.request)} is larger than {limit}.") from error

    def _pause(self, seconds: float, why: str) -> None:
        seconds = min(seconds, LONGEST_WAIT)
        self._say(f"{why}; trying again in {seconds:.0f} s")
        self._sleep(seconds)

    def _refuse_errors(self, request: Any, answer: Any) -> None:
        code, place = answer.status_code, _place(request)
        if code < 400:
            return
        answer.close()
        if code == 401:
            raise SourceError("auth", f"{place} answered 401: the credentials are wrong or expired.")
        if code == 403:
            raise SourceError("permission", f"{place} answered 403: these credentials do not have access.")
        if code == 404:
            raise SourceError("config", f"{place} answered 404: the path does not exist.")
        if code == 429:
            raise SourceError(
                "http", f"{place} answered 429 {self._attempts} times: too many requests; try again later."
            )
        if code >= 500:
            raise SourceError("http", f"{place} answered {code} {self._attempts} times: the server has a problem.")
        raise SourceError("http", f"{place} answered {code}: it rejected the request.")

    def _read(self, request: Any, answer: Any) -> None:
        """The whole body, within limits, looked at before anybody parses it."""
        place = _place(request)
        try:
            body = answer._content = b"".join(blocks(answer, MOST_BYTES))
        except TooLarge as error:
            limit = f"{MOST_BYTES // 1024 // 1024} MiB"
            raise SourceError("http", f"{place} sent a response larger than {limit}.") from error
        if not self._expects_json:
            return
        if answer.headers.get("Content-Type", "").startswith("text/html") or body.lstrip()[:1] == b"<":
            raise SourceError("http", f"{place} answered with a web page (HTML) instead of data. Check the URL.")
        if body.lstrip()[:1] not in (b"{", b"[", b"") and answer.status_code != 204:
            raise SourceError("http", f"{place} answered with something that is not JSON.")
        answer.json = lambda **_: self._exact(place, body, answer.encoding)  # numbers, too
        if request.method == "GET":
            self._count(request, place, body)

    def _exact(self, place: str, body: bytes, encoding: str | None) -> Any:
        from nodes.connections.connectors.values.rows import exact_json

        try:
            return exact_json(body) if not encoding or "utf" in encoding.lower() else exact_json(body.decode(encoding))
        except (ValueError, LookupError) as error:
            raise SourceError("data", f"{place} answered with something that is not JSON: {error}.") from error

    def _count(self, request: Any, place: str, body: bytes) -> None:
        self._pages[place] = self._pages.get(place, 0) + 1
        if self._pages[place] > self._most_pages:
            raise SourceError(
                "http", f"{place} has more than {self._most_pages:,} pages. The pagination may be endless."
            )
        digest = hashlib.sha256(body).digest()
        before, count = self._last.get(place, (b"", 0))
        count = count + 1 if digest == before else 1
        self._last[place] = (digest, count)
        if count >= SAME_PAGES:
            raise SourceError("http", f"{place} returns the same data for every page. Check the pagination.")


def _place(request: Any) -> str:
    """Host and path: the query may hold secrets."""
    parts = urlsplit(request.url)
    return f"{parts.hostname}{parts.path}"


def _final(error: BaseException) -> bool:
    """Whether trying again cannot help: a bad certificate."""
    from nodes.connections.connectors.failures import chain

    return any(isinstance(link, ssl.SSLError) for link in chain(error))


def _retry_after(text: str | None) -> float | None:
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
