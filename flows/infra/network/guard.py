"""Looks hosts up once, checks every address they have, and holds a whole process to that.

What is connected to is what was checked: a name that changes its mind, a redirect and an odd spelling of 127.0.0.1 all
end at the same place.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from flows.infra.network.policy import AddressError, HostNotFound, Policy, name_of


class Guard:
    """What looks up and checks for one exchange, or one process.

    In: `lookup`, which stands for socket.getaddrinfo. Drivers written in C do not pass through Python's sockets:
    `resolve` their host first, give them the address.
    """

    def __init__(self, policy: Policy, lookup: Callable[..., Any] | None = None) -> None:
        self.policy = policy
        self._lookup = lookup or socket.getaddrinfo
        self._known: dict[str, list[str]] = {}
        self._installed = False

    def resolve(self, host: str) -> str:
        """The address to connect to. Raises AddressError, and HostNotFound for a host that nobody knows."""
        return self.addresses(host)[0]

    def addresses(self, host: str) -> list[str]:
        """Every address of a host, all of them checked, looked up at most once. Raises as resolve does."""
        host = name_of(host)
        if host not in self._known:
            if not host or any(ord(letter) <= 32 for letter in host):
                raise HostNotFound("The host name is empty or contains a space.")
            try:
                infos = self._lookup(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                raise HostNotFound(f"The host {host} was not found.") from error
            self._known[host] = list(dict.fromkeys(str(entry[4][0]) for entry in infos))
        for ip in self._known[host]:
            self._check(host, ip)
        return self._known[host]

    def _check(self, host: str, ip: str) -> None:
        """As the policy does; an address that a host was found at before may be reached under that host's name too."""
        names = [name for name, ips in list(self._known.items()) if host == ip and ip in ips and name != ip]
        for name in names:
            try:
                return self.policy.check(name, ip)
            except AddressError:
                continue
        return self.policy.check(host, ip)

    def check_address(self, address: Any, family: int) -> Any:
        """The address for connect(), with a checked literal in place of a name. Raises as resolve does."""
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise AddressError("dex does not connect to Unix sockets.")
        host, *rest = address
        host = host.decode() if isinstance(host, bytes) else str(host)
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return (self._of_family(host, family), *rest)
        self._check(host, host)
        return address

    def _of_family(self, host: str, family: int) -> str:
        ips = [ip for ip in self.addresses(host) if (":" in ip) == (family == socket.AF_INET6)]
        if not ips:
            raise HostNotFound(f"The host {host} has no address of this kind.")
        return ips[0]

    def install(self) -> None:
        """Hold every socket that Python makes in this process to the policy, from now on and for good."""
        if self._installed:
            return
        self._installed = True
        real_lookup, real_connect, real_connect_ex = self._lookup, socket.socket.connect, socket.socket.connect_ex

        def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
            if host is None or flags & socket.AI_PASSIVE:
                return real_lookup(host, port, family, type, proto, flags)
            name = host.decode() if isinstance(host, bytes) else str(host)
            infos: list[Any] = []
            for ip in self.addresses(name):
                if family in (0, socket.AF_INET6 if ":" in ip else socket.AF_INET):
                    infos += real_lookup(ip, port, 0, type, proto, socket.AI_NUMERICHOST)
            if not infos:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return infos

        def connect(self_: socket.socket, address: Any) -> None:
            real_connect(self_, self.check_address(address, self_.family))

        def connect_ex(self_: socket.socket, address: Any) -> int:
            return real_connect_ex(self_, self.check_address(address, self_.family))

        for place, name, value in (
            (socket, "getaddrinfo", getaddrinfo),
            (socket, "gethostbyname", self.resolve),
            (socket, "gethostbyname_ex", lambda host: (host, [], self.addresses(host))),
            (socket.socket, "connect", connect),
            (socket.socket, "connect_ex", connect_ex),
        ):
            setattr(place, name, value)
