"""The HTTP client: sessions of `requests` that connect to checked addresses alone, without proxies."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from flows.infra.network.deadline import Deadline, connect, tls_context
from flows.infra.network.guard import Guard


class Session(requests.Session):
    """A session that asks its guard before each connection, those after redirects included.

    In: `deadline`, for everything that the session does; without one the time limits of each request count;
    `redirects`, how many are followed. Requests raise AddressError and what `requests` raises.
    """

    def __init__(self, guard: Guard, *, deadline: Deadline | None = None, redirects: int = 5) -> None:
        super().__init__()
        self.trust_env = False  # no proxies and no .netrc of the machine
        self.max_redirects = redirects
        self.headers["User-Agent"] = "dex"
        adapter = _Adapter(guard, deadline)  # one for both: reading the certificates takes 20 ms
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)

    def __deepcopy__(self, memo: Any) -> "Session":
        return self  # dlt copies its settings, and sessions in them, to print them


class TooLarge(Exception):
    """An answer is longer than what was to be read of it."""


def blocks(answer: requests.Response, most: int) -> Iterator[bytes]:
    """The body of a streamed answer, unpacked. Raises TooLarge after `most` bytes."""
    size = 0
    for block in answer.iter_content(256 * 1024):
        size += len(block)
        if size > most:
            raise TooLarge
        yield block


class _Adapter(HTTPAdapter):
    def __init__(self, guard: Guard, deadline: Deadline | None) -> None:
        self._guard, self._deadline = guard, deadline
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        # The certificates of the machine; requests adds those that it brings.
        options["ssl_context"] = tls_context(self._deadline) if self._deadline else ssl.create_default_context()
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._guard, self._deadline)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The connections to a host. Raises AddressError before anything is sent."""
        pool = super().get_connection_with_tls_context(request, verify, None, cert)
        if self._deadline:
            self._deadline.wait_for(lambda: self._guard.addresses(pool.host))
        else:
            self._guard.addresses(pool.host)
        return pool


def _pools(guard: Guard, deadline: Deadline | None) -> dict[str, Any]:
    """urllib3's pools, whose connections go to addresses, not to names; Host and the certificate stay the name's."""

    class Pinned(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            problem: OSError | None = None
            for ip in guard.addresses(self._dns_host):
                try:
                    if deadline:
                        return connect((ip, self.port), deadline)
                    return socket.create_connection((ip, self.port), self.timeout)
                except OSError as error:
                    problem = error
            raise problem or OSError("The host has no address.")

    class PinnedTLS(Pinned, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Pinned

    class PoolTLS(HTTPSConnectionPool):
        ConnectionCls = PinnedTLS

    return {"http": Pool, "https": PoolTLS}
