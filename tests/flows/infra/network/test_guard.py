"""Where a connection may go: what is looked up once is checked, and what was checked is connected to."""

import socket
import subprocess
import sys

import pytest

from flows.infra.network.guard import Guard
from flows.infra.network.policy import AddressError, HostNotFound, Policy
from nodes.connections.connectors.client import CODE
from tests.helpers.waiting import patience


@pytest.mark.parametrize("ip", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet(ip):
    Policy().check("db.example.com", ip)


def test_names_and_networks_that_are_allowed_anyway():
    policy = Policy(allow=("db.internal", "10.1.0.0/16"))
    policy.check("db.internal", "192.168.0.1")
    policy.check("other", "10.1.2.3")
    with pytest.raises(AddressError, match=r"other \(10.2.0.1\) is in a private network"):
        policy.check("other", "10.2.0.1")


@pytest.mark.parametrize("host", ["", " ", ".", "a b", "[::1]", "127.0.0.1:80", "a,127.0.0.1", "/run/postgresql"])
def test_an_invalid_host_name_is_not_found(host):
    with pytest.raises(HostNotFound):
        Guard(Policy(private=True)).resolve(host)


INSTALLED = """
import asyncio, socket, urllib.request
from flows.infra.network.guard import Guard
from flows.infra.network.policy import AddressError, HostNotFound, Policy
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
        assert any(isinstance(link, AddressError) for link in chain(error)), repr(error)
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


@pytest.mark.process
def test_every_socket_of_the_child_is_held_to_it():
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED], cwd=CODE, capture_output=True, text=True, timeout=patience(60)
    )
    assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr


def lookup(host, port, *args, **options):
    """A name server that knows three names; literals are themselves, as in getaddrinfo."""
    known = {"fine.test": "127.0.0.1", "evil.test": "127.0.0.2", "six.test": "::1"}
    ip = known.get(host, host)
    return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]


@pytest.fixture
def guard():
    return Guard(Policy(allow=("fine.test", "six.test")), lookup)


def test_a_connection_goes_to_the_address_that_was_checked(guard):
    assert guard.check_address(("fine.test", 80), socket.AF_INET) == ("127.0.0.1", 80)
    assert guard.check_address((b"fine.test", 80), socket.AF_INET) == ("127.0.0.1", 80)
    assert guard.check_address(("127.0.0.1", 80), socket.AF_INET) == ("127.0.0.1", 80), "as fine.test it is allowed"
    assert guard.check_address(("six.test", 80, 0, 0), socket.AF_INET6) == ("::1", 80, 0, 0)
    assert guard.check_address(("8.8.8.8", 53), socket.AF_INET) == ("8.8.8.8", 53)


@pytest.mark.parametrize(
    ("address", "family", "error"),
    [
        (("evil.test", 80), socket.AF_INET, AddressError),
        (("127.0.0.1", 80), socket.AF_INET, AddressError),
        (("127.0.0.2", 80), socket.AF_INET, AddressError),
        (("six.test", 80), socket.AF_INET, HostNotFound),
        ("/run/postgresql/socket", socket.AF_UNIX, AddressError),
    ],
)
def test_a_connection_to_any_other_address_is_refused(guard, address, family, error):
    with pytest.raises(error):
        guard.check_address(address, family)


def test_once_installed_it_checks_every_lookup_and_connection_of_the_process(guard, monkeypatch):
    for place, name in ((socket, "getaddrinfo"), (socket, "gethostbyname"), (socket, "gethostbyname_ex")):
        monkeypatch.setattr(place, name, getattr(place, name))
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, getattr(socket.socket, name))
    guard.install()
    guard.install()  # once is enough
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert socket.getaddrinfo(b"fine.test", port)[0][4] == ("127.0.0.1", port)
        with socket.create_connection(("fine.test", port), patience(5)) as one, socket.socket() as other:
            assert one.getpeername() == ("127.0.0.1", port) and other.connect_ex(("fine.test", port)) == 0
        with pytest.raises(AddressError):
            socket.create_connection(("evil.test", port), 1)
        with socket.socket() as other, pytest.raises(AddressError):
            other.connect_ex(("127.0.0.2", port))
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("fine.test", port, socket.AF_INET6)
        assert socket.gethostbyname_ex("fine.test") == ("fine.test", [], ["127.0.0.1"])
        with pytest.raises(AddressError):
            socket.gethostbyname("evil.test")
