"""Spellings of addresses that dex must not reach, and what is expected of each."""

#: What an attacker may type for a host -> what it stands for: this machine, a private network, or metadata of a cloud.
from collections.abc import Callable
from typing import Any

HOSTS = {
    # this machine
    "127.0.0.1": "private",
    "2130706433": "private",  # one number
    "017700000001": "private",  # octal
    "0x7f000001": "private",  # hexadecimal
    "0177.0.0.1": "private",
    "0x7f.0.0.0x1": "private",
    "127.1": "private",
    "0": "private",
    "0.0.0.0": "private",
    "localhost": "private",
    "LOCALHOST.": "private",
    "127.0.0.1.": "private",
    "[::1]": "private",
    "[::]": "private",
    "[::ffff:127.0.0.1]": "private",
    "[::ffff:7f00:1]": "private",
    "[0:0:0:0:0:ffff:127.0.0.1]": "private",
    "[::127.0.0.1]": "private",
    "[::ffff:0:127.0.0.1]": "private",  # SIIT
    "[64:ff9b::7f00:1]": "private",  # NAT64
    "[64:ff9b:1::7f00:1]": "private",
    "[2002:7f00:1::]": "private",  # 6to4
    # private networks
    "10.0.0.1": "private",
    "012.0.0.1": "private",
    "192.168.1": "private",
    "172.16.0.1": "private",
    "100.64.0.1": "private",
    "224.0.0.1": "private",
    "255.255.255.255": "private",
    "[fc00::1]": "private",
    "[fec0::1]": "private",
    "[64:ff9b::10.0.0.1]": "private",
    "[2002:a00:1::]": "private",
    # metadata
    "169.254.169.254": "metadata",
    "2852039166": "metadata",
    "0251.0376.0251.0376": "metadata",
    "0xa9fea9fe": "metadata",
    "169.254.43518": "metadata",
    "169.254.169.254.": "metadata",
    "169.254.170.2": "metadata",
    "100.100.100.200": "metadata",
    "192.0.0.192": "metadata",
    "168.63.129.16": "metadata",
    "[::ffff:169.254.169.254]": "metadata",
    "[::ffff:a9fe:a9fe]": "metadata",
    "[::169.254.169.254]": "metadata",
    "[::ffff:0:169.254.169.254]": "metadata",
    "[64:ff9b::a9fe:a9fe]": "metadata",
    "[64:ff9b:1::a9fe:a9fe]": "metadata",
    "[2002:a9fe:a9fe::]": "metadata",
    "[fd00:ec2::254]": "metadata",
    "[fd20:ce::254]": "metadata",
    "[fe80::1]": "metadata",
    # names that somebody else gave an address (`lookup` below)
    "inside.example.org": "private",
    "INSIDE.example.org.": "private",
    "both.example.org": "private",  # a public address and a private one
    "metadata.example.org": "metadata",
    "xn--bcher-kva.example.org": "private",
}
#: The same, in letters that become ASCII only when they are looked up.
UNICODE = {
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460": "private",  # circled digits: 127.0.0.1
    "\uff11\uff16\uff19\u3002254\u3002169\u3002254": "metadata",  # wide digits and dots
    "b\u00fccher.example.org": "private",
}
#: An address of one network card, which no URL can name.
ZONED = {"fe80::a9fe:a9fe%1": "metadata"}
_NAMES = {
    "inside.example.org": ("127.0.0.1",),
    "both.example.org": ("93.184.216.34", "10.0.0.1"),
    "metadata.example.org": ("169.254.169.254",),
    "xn--bcher-kva.example.org": ("127.0.0.1",),
}
SAID = {"private": "in a private network", "metadata": "metadata address"}


def lookup(real: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A resolver that knows the names above, and asks the real one for the others."""

    def getaddrinfo(host: str | bytes | None, port: Any = None, *rest: Any, **more: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        name = name if name is None or name.isascii() else name.encode("idna").decode()
        ips = _NAMES.get((name or "").rstrip(".").lower(), (host,))
        return [found for ip in ips for found in real(ip, port, *rest, **more)]

    return getaddrinfo
