"""Which addresses a connection may reach, and the guard that holds a child process to it.

A host is looked up once, every address it has is checked, and what is connected to is what was checked: a name that
changes its mind, a redirect and an odd spelling of 127.0.0.1 all end at the same place.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nodes.connections.connectors.failures import SourceError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Where clouds hand out credentials: refused even where private networks are allowed.
_METADATA = tuple(
    ipaddress.ip_network(net)
    for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32")
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(SourceError, OSError):
    """dex does not connect there."""

    def __init__(self, message: str) -> None:
        SourceError.__init__(self, "config", message)


@dataclass(frozen=True)
class Policy:
    """Where connections may go.

    `private`: to networks of one's own too; `allow`: to these names and networks anyway.
    """

    private: bool = False
    allow: tuple[str, ...] = ()

    @classmethod
    def of(cls, order: dict[str, Any] | None) -> "Policy":
        """The policy that an order carries."""
        order = order or {}
        return cls(bool(order.get("private")), tuple(order.get("allow") or ()))

    def check(self, host: str, ip: str) -> None:
        """Raises Refused for an address that must not be reached."""
        address = plain(ip)
        if host in self.allow or _within(address, self.allow):
            return
        shown = host if host == ip else f"{host} ({ip})"
        if any(address in net for net in _METADATA if net.version == address.version):
            raise Refused(
                f"{shown} is an address for machines only; dex connects there only if DEX_CONNECT_ALLOW names it."
            )
        if not self.private and not is_public(ip):
            raise Refused(
                f"{shown} is in a private network; dex connects there only if DEX_CONNECT_ALLOW names it "
                "or DEX_CONNECT_PRIVATE is on."
            )


def plain(ip: str) -> Address:
    """An address without its zone, and out of the IPv6 forms that wrap an IPv4 one."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64 or 1 < int(address) < 1 << 32:  # ::1 is itself, ::127.0.0.1 is not
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def is_public(ip: str) -> bool:
    """Whether an address belongs to the public internet, whatever it is wrapped in."""
    address = plain(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _within(address: Address, allowed: Sequence[str]) -> bool:
    for entry in allowed:
        try:
            if address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue  # a name
    return False


class Guard:
    """Looks hosts up once and checks them; `install` holds every socket of this process to it.

    Drivers written in C do not pass through Python's sockets: `resolve` their host first, give them the address.
    """

    def __init__(self, policy: Policy, lookup: Callable[..., Any] = socket.getaddrinfo) -> None:
        self.policy = policy
        self._lookup = lookup
        self._known: dict[str, list[str]] = {}
        self._installed = False

    def resolve(self, host: str) -> str:
        """The address to connect to. Raises Refused, and SourceError for a host that is not found."""
        return self.addresses(host)[0]

    def addresses(self, host: str) -> list[str]:
        """Every address of a host, all of them checked, looked up at most once."""
        host = host.strip().rstrip(".").lower() if host.strip(". ") else host
        if host not in self._known:
            if not host or any(ord(letter) <= 32 for letter in host):
                raise SourceError("name", "The host's name is empty or holds a blank.")
            try:
                found = self._lookup(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                raise SourceError("name", f"The host {host} is not found.") from error
            self._known[host] = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for ip in self._known[host]:
            self.policy.check(host, ip)
        return self._known[host]

    def check_address(self, address: Any, family: int) -> Any:
        """The address for connect(), with a checked literal in place of a name."""
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise Refused("dex connects to no sockets of its own machine.")
        host, *rest = address
        try:
            ipaddress.ip_address(str(host).partition("%")[0])
        except ValueError:
            return (self._of_family(str(host), family), *rest)
        names = [name for name, ips in self._known.items() if str(host) in ips]
        if not any(name in self.policy.allow for name in names):
            self.policy.check(str(host), str(host))
        return address

    def _of_family(self, host: str, family: int) -> str:
        wanted = [ip for ip in self.addresses(host) if (":" in ip) == (family == socket.AF_INET6)]
        if not wanted:
            raise SourceError("name", f"The host {host} has no address of this kind.")
        return wanted[0]

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
            found: list[Any] = []
            for ip in self.addresses(name):
                if family in (0, socket.AF_INET6 if ":" in ip else socket.AF_INET):
                    found += real_lookup(ip, port, 0, type, proto, socket.AI_NUMERICHOST)
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return found

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


def parse_allow(text: str | Iterable[str]) -> tuple[str, ...]:
    """The entries of a setting such as "db.internal, 10.1.0.0/16"."""
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(part.strip().lower() for part in parts if part.strip())
