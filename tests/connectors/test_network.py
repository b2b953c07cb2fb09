"""Where a connection may go: what is looked up once is checked, and what was checked is connected to."""

import socket
import subprocess
import sys

import pytest

from nodes.connections.connectors.client import CODE
from nodes.connections.connectors.network import Guard, Policy, Refused, is_public, parse_allow
from tests.waiting import patience

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "169.254.169.254", "fd00:ec2::254",
]  # fmt: skip


@pytest.mark.parametrize("ip", PRIVATE)
def test_addresses_that_are_nobodys_business(ip):
    assert not is_public(ip)
    with pytest.raises(Refused):
        Policy().check("db.example.com", ip)


@pytest.mark.parametrize("ip", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet(ip):
    Policy().check("db.example.com", ip)


def test_metadata_addresses_are_refused_even_where_private_networks_are_allowed():
    policy = Policy(private=True)
    policy.check("db", "10.0.0.1")
    policy.check("db", "127.0.0.1")
    for ip in ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200", "fe80::1"):
        with pytest.raises(Refused, match="for machines only"):
            policy.check("db", ip)
    Policy(private=True, allow=("169.254.169.254",)).check("db", "169.254.169.254")


def test_names_and_networks_that_are_allowed_anyway():
    policy = Policy(allow=parse_allow("db.internal, 10.1.0.0/16"))
    policy.check("db.internal", "192.168.0.1")
    policy.check("other", "10.1.2.3")
    with pytest.raises(Refused, match=r"other \(10.2.0.1\) is in a private network"):
        policy.check("other", "10.2.0.1")


def flipping(*answers):
    """A resolver that changes its mind."""
    left = list(answers)

    def lookup(host, port, *args, **kwargs):
        ip = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port or 0))]

    return lookup


def test_a_name_that_changes_its_mind_is_asked_once():
    guard = Guard(Policy(), flipping("8.8.8.8", "127.0.0.1"))
    assert [guard.resolve("rebind.example") for _ in range(3)] == ["8.8.8.8"] * 3


def test_one_private_address_among_several_is_enough_to_refuse():
    def lookup(*args, **kwargs):
        return [(socket.AF_INET, 1, 6, "", (ip, 0)) for ip in ("8.8.8.8", "10.0.0.1")]

    with pytest.raises(Refused):
        Guard(Policy(), lookup).resolve("both.example")


@pytest.mark.parametrize("host", ["0x7f.1", "127.1", "2130706433", "localhost", "LOCALHOST.", "[::1]", "", "a b", "0"])
def test_odd_spellings_of_this_machine(host):
    from nodes.connections.connectors.failures import SourceError

    with pytest.raises(SourceError):
        Guard(Policy()).resolve(host)


INSTALLED = """
import asyncio, socket, urllib.request
from nodes.connections.connectors.network import Guard, Policy, Refused
real = socket.getaddrinfo
def lookup(host, port, *args, **kwargs):
    return real("127.0.0.1" if host.endswith(".test") else host, port, *args, **kwargs)
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
guard = Guard(Policy(allow=("fine.test",)), lookup)
guard.install()

def refused(call):
    try:
        call()
    except Exception as error:
        from nodes.connections.connectors.failures import chain
        assert any(isinstance(link, Refused) for link in chain(error)), repr(error)
    else:
        raise AssertionError("it was let through")

refused(lambda: socket.create_connection(("evil.test", port), 2))
refused(lambda: socket.create_connection(("127.0.0.1", port), 2))
refused(lambda: socket.socket().connect(("evil.test", port)))
refused(lambda: socket.socket().connect(("0x7f.1", port)))
refused(lambda: socket.socket().connect_ex(("127.0.0.1", port)))
refused(lambda: socket.socket(socket.AF_UNIX).connect("/run/x"))
refused(lambda: socket.gethostbyname("localhost"))
refused(lambda: urllib.request.urlopen(f"http://evil.test:{port}/", timeout=2))
refused(lambda: asyncio.run(asyncio.open_connection("evil.test", port)))
socket.create_connection(("fine.test", port), 2).close()
print("held")
"""


def test_every_socket_of_the_child_is_held_to_it():
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED], cwd=CODE, capture_output=True, text=True, timeout=patience(60)
    )
    assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr
