"""Children that are forked from a process which has imported already what is slow to import (dbt: 3 s of CPU).

There is one such server for each interpreter, set of modules and sandbox. It is started when it is first needed, with
the isolation and environment that its children get, holds no secrets, ends with this process, and by itself when it
had no children for some time. A child has limits, variables and pipes of its own, and is a `Child` like any other.

What goes over the sockets: an order is its length in 8 bytes and then JSON {module, arguments, env, cwd, nice, limits};
with it come four descriptors, the child's standard input, output, error and its control socket. On that one the child
says that it is there (the kernel adds its process id), and its keeper says at the end {exit_code}. Closing it kills
the child. See docs/decisions/0024-forked-children.md.
"""

import array
import json
import logging
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

log = logging.getLogger("dex.processes")
IDLE_S = 900.0  # a server without children ends after so long; a session stays warm for less
START_S = 120.0  # that the imports of a server may take on a slow machine
_LAST_WORDS_S = 5.0  # that what a server wrote before it ended may take to arrive
AGAIN_S = 60.0  # after which a server is tried again that could not start
_PROGRAM = Path(__file__).with_name("fork_server.py")
_SO_PASSCRED = getattr(socket, "SO_PASSCRED", 16)
_SCM_CREDENTIALS = getattr(socket, "SCM_CREDENTIALS", 2)


class ServerGone(Exception):
    """The fork server cannot be used: it could not start, or ended."""


@dataclass(frozen=True)
class Preload:
    """What children shall find imported: `modules` always, `later` if the server had a moment for it."""

    modules: tuple[str, ...]
    later: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forked:
    """What was forked: its process id, our ends of its pipes, and its control socket. Looks like a subprocess.Popen."""

    pid: int
    control: socket.socket
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None
    returncode: int | None = None


class Server:
    """One fork server. In: `start`, starts `python ARGUMENTS` with what its children are to inherit; see Popen."""

    def __init__(self, start: Callable[..., Any], python: str, preload: Preload, idle_s: float) -> None:
        ours, theirs = socket.socketpair()
        self._socket, self._lock = ours, threading.Lock()
        self._errors = bytearray()
        command = [python, str(_PROGRAM), str(theirs.fileno()), str(idle_s)]
        command += [",".join(preload.modules), ",".join(preload.later)]
        try:
            self.child = start(command, pass_fds=(theirs.fileno(),), on_output=self._note)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self.child.poll() is None

    def fork(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> tuple[int, socket.socket]:
        """Process id and control socket of a new child. Raises ServerGone; the child has not run then.

        In: `order`, see above; `descriptors`, its standard input, output and error, which stay the caller's.
        """
        control, theirs = socket.socketpair()
        control.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
        control.settimeout(START_S)
        data = json.dumps(order).encode()
        try:
            rights = array.array("i", [*descriptors, theirs.fileno()])
            with self._lock:
                head = len(data).to_bytes(8, "big")
                self._socket.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                self._socket.sendall(data)
            theirs.close()
            pid = _pid_of(control)
        except (OSError, ServerGone) as error:
            control.close()
            if not isinstance(error, TimeoutError):
                self.child.wait(_LAST_WORDS_S)  # why it ended may still be on its way through the pipe
            last = self._errors.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
            raise ServerGone(last[0]) from None
        finally:
            theirs.close()
        return pid, control

    def close(self) -> None:
        """End it; children that are alive end with it."""
        self._socket.close()
        self.child.kill()

    def _note(self, data: bytes) -> None:
        self._errors += data[: max(0, 20_000 - len(self._errors))]


def _pid_of(control: socket.socket) -> int:
    """Read the first word of a child. Its process id is the one that this process knows it by."""
    data, extra, _, _ = control.recvmsg(3, socket.CMSG_SPACE(12))
    for level, kind, content in extra:
        if data and level == socket.SOL_SOCKET and kind == _SCM_CREDENTIALS:
            pid: int = struct.unpack("3i", content[:12])[0]
            return pid
    raise ServerGone("it ended")


def report_of(control: socket.socket) -> int:
    """The exit code that a keeper reports; -9 when it was killed with its child. Blocks until either."""
    control.settimeout(None)
    data = bytearray()
    with suppress(OSError):
        while not data.endswith(b"\n") and (piece := control.recv(256)):
            data += piece
    try:
        return int(json.loads(data)["exit_code"])
    except (ValueError, KeyError, TypeError):
        return -9


def pipes(stdin: int | None, stdout: int | None, stderr: int | None) -> tuple[dict[str, IO[bytes]], list[int]]:
    """Our ends by name, and the three descriptors for the child, from what subprocess.Popen takes."""
    ours: dict[str, IO[bytes]] = {}
    theirs: list[int] = []
    for name, wanted in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        if wanted == subprocess.PIPE:
            read, write = os.pipe()
            mine, other = (write, read) if name == "stdin" else (read, write)
            ours[name] = os.fdopen(mine, "wb" if name == "stdin" else "rb", 0)
            theirs.append(other)
        elif wanted == subprocess.STDOUT:
            theirs.append(os.dup(theirs[1]))
        else:
            theirs.append(os.open(os.devnull, os.O_RDWR))
    return ours, theirs


_servers: dict[Any, Server] = {}
_failed: dict[Any, float] = {}  # key -> when its server could not start, on the monotonic clock
_lock = threading.Lock()


def _forget_servers() -> None:
    """A forked worker has servers of its own: two processes must not talk on one socket."""
    global _servers, _failed, _lock
    _servers, _failed, _lock = {}, {}, threading.Lock()


os.register_at_fork(after_in_child=_forget_servers)


def fork(
    key: Any,
    order: Mapping[str, Any],
    *,
    start: Callable[..., Any],
    python: str,
    preload: Preload,
    stdin: int | None,
    stdout: int | None,
    stderr: int | None,
) -> Forked:
    """Fork a child from the server for `key`, which is started if it is not there.

    In: as Server and Server.fork; stdin, stdout and stderr as subprocess.Popen. Raises ServerGone.
    """
    ours, theirs = pipes(stdin, stdout, stderr)
    try:
        pid, control = _fork(key, order, theirs, lambda: Server(start, python, preload, IDLE_S))
    except BaseException:
        for pipe in ours.values():
            pipe.close()
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return Forked(pid, control, ours.get("stdin"), ours.get("stdout"), ours.get("stderr"))


def _fork(
    key: Any, order: Mapping[str, Any], descriptors: Sequence[int], new: Callable[[], Server]
) -> tuple[int, socket.socket]:
    for _ in range(2):
        server, fresh = _server(key, new)
        try:
            return server.fork(order, descriptors)
        except ServerGone:
            with _lock:
                if _servers.get(key) is server:
                    del _servers[key]
                if fresh:
                    _failed[key] = time.monotonic()
            server.close()
            if fresh:
                raise
            # One that was idle may end in the moment in which it is asked.
    raise ServerGone("it ended twice")


def _server(key: Any, new: Callable[[], Server]) -> tuple[Server, bool]:
    """The server for `key`, and whether it was started for this."""
    with _lock:
        server = _servers.get(key)
        if server is not None and server.alive:
            return server, False
        if time.monotonic() < _failed.get(key, -AGAIN_S) + AGAIN_S:
            raise ServerGone("it could not start a moment ago")
        server = _servers[key] = new()
    return server, True


def close_all() -> None:
    """End all servers of this process, and their children."""
    with _lock:
        servers = list(_servers.values())
        _servers.clear()
    for server in servers:
        server.close()
