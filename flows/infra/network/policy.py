"""Which addresses may be reached: the public internet, and what the settings name."""

import ipaddress
from dataclasses import dataclass
from functools import cached_property

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IPv6 networks whose addresses hold an IPv4 address in their last 32 bits: NAT64 (RFC 6052, 8215) and SIIT (RFC 2765).
_WRAPPING = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96"))
# Link-local addresses, and others where clouds hand out credentials: AWS, Google, Scaleway, Alibaba, Oracle, Azure.
_METADATA = tuple(
    ipaddress.ip_network(net)
    for net in (
        *("169.254.0.0/16", "fe80::/10", "fd00:ec2::/64", "fd20:ce::254", "fd00:42::42"),
        *("100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)


class AddressError(OSError):
    """dex does not connect there; the message says why, without the path of a URL, which may be a secret.

    An OSError, as every other failure of a socket: libraries handle it.
    """


class HostNotFound(AddressError):
    """Nobody knows a host of this name."""


@dataclass(frozen=True)
class Policy:
    """Where connections may go.

    `private`: to private networks and this machine too; `allow`: to these names, addresses and networks (10.1.0.0/16)
    anyway; `setting`: what the settings that say so begin with, for messages.
    """

    private: bool = False
    allow: tuple[str, ...] = ()
    setting: str = "DEX_CONNECT"

    def check(self, host: str, ip: str) -> None:
        """Raises AddressError for an address that must not be reached under the name of this host.

        A metadata address must be named itself: neither the name of a host nor a network that it is in is enough.
        """
        raw, address = ipaddress.ip_address(ip.partition("%")[0]), unwrapped(ip)
        naming = [network for network in self._networks if raw in network or address in network]
        shown = host if host == ip else f"{host} ({ip})"
        if any(each in network for network in _METADATA for each in (raw, address)):
            if not any(network.num_addresses == 1 for network in naming):
                raise AddressError(
                    f"{shown} is a link-local or cloud metadata address; "
                    f"dex connects there only if {self.setting}_ALLOW names this very address."
                )
        elif not (self.private or naming or name_of(host) in self._names or is_public(ip)):
            raise AddressError(
                f"{shown} is in a private network; dex connects there only if {self.setting}_ALLOW names it "
                f"or {self.setting}_PRIVATE is on."
            )

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name_of(entry) for entry in self.allow)

    @cached_property
    def _networks(self) -> list[Network]:
        networks: list[Network] = []
        for entry in self.allow:
            try:
                networks.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
            except ValueError:
                continue  # a name
        return networks


def unwrapped(ip: str) -> Address:
    """An address without its zone, and out of the IPv6 forms that hold an IPv4 one."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        # ::1 is itself, ::127.0.0.1 is not
        if 1 < int(address) < 1 << 32 or any(address in network for network in _WRAPPING):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def is_public(ip: str) -> bool:
    """Whether an address belongs to the public internet, whatever it is wrapped in."""
    address = unwrapped(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def name_of(host: str) -> str:
    """The one spelling of a host's name: lower case, ASCII, without a dot at the end."""
    name = host.strip().rstrip(".").lower()
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name  # no name that anybody could look up
