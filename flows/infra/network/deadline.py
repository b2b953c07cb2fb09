"""A time for a whole exchange over the network, however slowly the other side answers.

The timeout of a socket is one for each read: who sends a byte now and then is never late. Sockets made here have what
is left of the deadline as the timeout of each step.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Deadline:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until it. Raises TimeoutError when it has passed."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return left

    def wait_for(self, function: Callable[[], T]) -> T:
        """What a function returns that knows no deadline, such as a look-up of a name. Raises TimeoutError, and what it
        raises; one that is late is left to itself."""
        results: list[T] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                results.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=call, name="dex-look-up", daemon=True)
        thread.start()
        thread.join(self.left())
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return results[0]


class _Timed(socket.socket):
    """A socket whose every read has the time that is left."""

    deadline: Deadline

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*arguments, **options)

    def sendall(self, *arguments: Any, **options: Any) -> None:
        self.settimeout(self.deadline.left())  # for all of it: the system's own sendall counts the time
        super().sendall(*arguments, **options)


class _TimedTLS(ssl.SSLSocket):
    """The same, encrypted; its deadline is that of the context which made it."""

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(self.context.deadline.left())  # type: ignore[attr-defined]
        return super().recv_into(*arguments, **options)

    def send(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(self.context.deadline.left())  # type: ignore[attr-defined]
        return super().send(*arguments, **options)


class _Context(ssl.SSLContext):
    deadline: Deadline
    sslsocket_class = _TimedTLS


def connect(address: tuple[str, int], deadline: Deadline) -> socket.socket:
    """A connected socket. Raises OSError, TimeoutError."""
    plain = socket.create_connection(address, deadline.left())
    timed = _Timed(plain.family, plain.type, plain.proto, fileno=plain.detach())
    timed.deadline = deadline
    timed.settimeout(deadline.left())
    return timed


def tls_context(deadline: Deadline) -> ssl.SSLContext:
    """What encrypts such a socket, with the certificates of the machine."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name
    context.load_default_certs()
    context.deadline = deadline
    return context
