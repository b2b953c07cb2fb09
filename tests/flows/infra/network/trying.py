"""What the connectors say, in a process of theirs, when they test hostile hosts.

    python -m tests.flows.infra.network.trying

In: on standard input the network policy, the hosts and what is to connect to them, as JSON.
Out: host -> connector -> kind and message.
"""

import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes.connections.connectors.child import Order
from tests.flows.infra.network.hostile import lookup


def orders(host: str) -> dict[str, tuple[str, dict]]:
    """What is ordered to be tested at a host; without the brackets that only a URL has."""
    server = {"host": host.strip("[]"), "port": 9, "user": "u", "password": "p4ssw0rd"}
    sql = {**server, "database": "d", "connect_timeout": 1}
    s3 = {"place": "s3", "endpoint": f"http://{host}:9", "folder": "b", "key_id": "k", "key_secret": "s"}
    rest = {"base_url": f"http://{host}:9/v1/", "endpoints": [{"name": "orders", "path": "orders"}], "attempts": 1}
    return {
        "REST API": ("rest_api", rest),
        "file over HTTP": ("http_file", {"url": f"http://{host}:9/file.csv", "attempts": 1}),
        "file with a user name": ("http_file", {"url": f"http://example.org@{host}:9/file.csv", "attempts": 1}),
        "PostgreSQL": ("sql_database", {"system": "postgresql", **sql}),
        "MySQL": ("sql_database", {"system": "mysql", **sql}),
        "SFTP": ("files", {**server, "place": "sftp", "folder": "/"}),
        "S3": ("files", s3),
    }


@contextmanager
def free_sockets() -> Iterator[None]:
    """What a guard does to the sockets of its process is undone: here it is a process of many orders."""
    kept = [
        *((socket, name, getattr(socket, name)) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")),
        *((socket.socket, name, getattr(socket.socket, name)) for name in ("connect", "connect_ex")),
    ]
    yield
    for place, name, value in kept:
        setattr(place, name, value)


class Said:
    """Keeps what would be told to the worker."""

    def emit(self, event: dict) -> None:
        self.last = event


if __name__ == "__main__":
    asked = json.loads(sys.stdin.read())
    socket.getaddrinfo = lookup(socket.getaddrinfo)
    said: dict[str, dict[str, list[str]]] = {}
    for host in asked["hosts"]:
        said[host] = {}
        for name in asked["names"]:
            connector, config = orders(host)[name]
            events = Said()
            order = {"connector": connector, "config": config, "network": asked["network"]}
            with free_sockets():
                Order(order, events, Path(tempfile.mkdtemp())).test()  # type: ignore[arg-type] # keeps the last event alone
            said[host][name] = [events.last["kind"], events.last["message"]]
    print(json.dumps(said))
