"""Which addresses dex may post to. A request to a network of one's own would let a form reach what only dex can."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressError(ValueError):
    """dex does not post there; the message says why, without the path of the URL, which may be a secret."""


@dataclass(frozen=True)
class Place:
    """Where a request goes: the address that was checked, and the name that it was looked up by."""

    scheme: str
    host: str
    port: int
    ip: str
    path: str

    @property
    def netloc(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def split(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of a URL. Raises AddressError for one that nothing can be posted to."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError as error:
        raise AddressError("The URL is not understood.") from error
    if parts.scheme not in ("http", "https"):
        raise AddressError("The URL must begin with https:// or http://.")
    if not parts.hostname:
        raise AddressError("The URL names no host.")
    if parts.username is not None or parts.password is not None:
        raise AddressError("The URL must not hold a user name or password.")
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise AddressError("The URL holds a blank or a control character.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and parts.hostname.isascii()):
        raise AddressError("The URL must be ASCII: write other letters as %XX, and names in Punycode.")
    return parts.scheme, parts.hostname, port, path


def resolve(url: str, *, private: bool = False, allowed: Sequence[str] = ()) -> Place:
    """Look the host up, once, and check every address it has.

    In: `private`, whether networks of one's own are allowed; `allowed`, host names and networks (10.1.0.0/16) that
    are allowed anyway. Raises AddressError.
    """
    scheme, host, port, path = split(url)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"The host {host} is not found.") from error
    ips = [str(entry[4][0]).partition("%")[0] for entry in found]
    for ip in ips:
        if not (private or host in allowed or _is_allowed(ip, allowed) or is_public(ip)):
            raise AddressError(
                f"{host} is in a private network ({ip}); dex posts there only if DEX_NOTIFY_ALLOW names it."
            )
    return Place(scheme, host, port, ips[0], path)


def is_public(ip: str) -> bool:
    """Whether an address belongs to the public internet, whatever it is wrapped in."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64 or int(address) >> 32 == 0:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _is_allowed(ip: str, allowed: Sequence[str]) -> bool:
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    for entry in allowed:
        try:
            if address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue  # a name
    return False
