"""One HTTP POST: to the address that was checked, without redirects or proxies, within a time."""

import http.client
import socket
import ssl
import time

from runs.notify.address import Place

TIMEOUT_S = 10.0
_READ = 500  # bytes of an answer; what went wrong is said at its beginning


class PostError(Exception):
    """The receiver did not take it; the message says what came back."""


class _Pinned(http.client.HTTPConnection):
    """Connects to the address of `place`, whatever its name resolves to now."""

    def __init__(self, place: Place, timeout: float) -> None:
        super().__init__(place.host, place.port, timeout=timeout)
        self.place = place

    def connect(self) -> None:
        self.sock = socket.create_connection((self.place.ip, self.place.port), self.timeout)
        if self.place.scheme == "https":
            context = ssl.create_default_context()
            try:
                self.sock = context.wrap_socket(self.sock, server_hostname=self.place.host)
            except BaseException:
                self.sock.close()
                raise


def post(place: Place, data: bytes, headers: dict[str, str], *, timeout: float = TIMEOUT_S) -> int:
    """Send it. Out: the status, 2xx. In: `timeout`, seconds for each step of the exchange.

    Raises PostError for every other answer, a redirect too, and for none.
    """
    connection = _Pinned(place, timeout)
    began = time.monotonic()
    try:
        connection.request("POST", place.path, data, {**headers, "Host": place.netloc, "User-Agent": "dex"})
        answer = connection.getresponse()
        said = answer.read1(_READ) if 400 <= answer.status else b""
    except TimeoutError as error:
        raise PostError(f"no answer within {time.monotonic() - began:.0f} s") from error
    except ssl.SSLError as error:
        raise PostError(f"no secure connection: {error.reason or error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise PostError(f"no connection: {getattr(error, 'strerror', None) or type(error).__name__}") from error
    finally:
        connection.close()
    if 300 <= answer.status < 400:
        raise PostError(f"answered {answer.status}, a redirect, which is not followed: type the address it leads to")
    if not 200 <= answer.status < 300:
        words = " ".join(said.decode(errors="replace").split())[:200]
        raise PostError(f"answered {answer.status} {answer.reason}{': ' + words if words else ''}")
    return answer.status
