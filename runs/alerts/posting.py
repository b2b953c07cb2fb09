"""One HTTP POST: to the address that was checked, without redirects or proxies, within a time for all of it."""

import http.client
import ssl

from runs.alerts.address import Place
from runs.alerts.deadline import Deadline, connect, tls_context

_READ = 500  # bytes of an answer; what went wrong is said at its beginning


class PostError(Exception):
    """The receiver did not take it; the message says what came back."""


class _Pinned(http.client.HTTPConnection):
    """Connects to the address of `place`, whatever its name resolves to now."""

    def __init__(self, place: Place, deadline: Deadline) -> None:
        super().__init__(place.host, place.port)
        self.place, self.deadline = place, deadline

    def connect(self) -> None:
        self.sock = connect((self.place.ip, self.place.port), self.deadline)
        if self.place.scheme == "https":
            try:
                self.sock = tls_context(self.deadline).wrap_socket(self.sock, server_hostname=self.place.host)
            except BaseException:
                self.sock.close()
                raise


def post(place: Place, data: bytes, headers: dict[str, str], *, deadline: Deadline) -> str:
    """Send it. Out: the beginning of what a 2xx answer says.

    In: `deadline`, for connecting, sending and the answer together. Raises PostError for every other answer, a redirect
    too, and for none.
    """
    connection = _Pinned(place, deadline)
    try:
        connection.request("POST", place.path, data, {**headers, "Host": place.netloc, "User-Agent": "dex"})
        answer = connection.getresponse()
        said = b"" if 300 <= answer.status < 400 else answer.read1(_READ)
    except TimeoutError as error:
        raise PostError(f"no answer within {deadline.seconds:g} s") from error
    except ssl.SSLError as error:
        raise PostError(f"no secure connection: {error.reason or error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise PostError(f"no connection: {getattr(error, 'strerror', None) or type(error).__name__}") from error
    finally:
        connection.close()
    if 300 <= answer.status < 400:
        raise PostError(f"answered {answer.status}, a redirect, which is not followed: type the address it leads to")
    words = " ".join(said.decode(errors="replace").split())
    if not 200 <= answer.status < 300:
        raise PostError(f"answered {answer.status} {answer.reason}{': ' + words[:200] if words else ''}")
    return words
