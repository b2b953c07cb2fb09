"""Children of dex in tests, forked from a process that has imported dbt (or dlt) already.

Importing dbt takes seconds of CPU, and a test suite starts hundreds of sessions, parses and loads. Here each of them is
forked: it runs the same `main()` on the same pipes with the same environment and limits, and is a child of this
process like any other, with its pid, signals and exit code. What it does without is bubblewrap's PID namespace around
it; tests of that, and all tests with engines in processes of their own (chaos, `up`), start real ones.
DEX_TEST_FORKS=0 starts real ones everywhere.
"""

import array
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONNECTORS = "nodes.connections.connectors"
#: module that is run -> what is imported before the fork
IMPORTS = {
    "nodes.dbt.session": ("nodes.dbt.session", "dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.postgres"),
    "nodes.dbt.parse_child": ("nodes.dbt.session", "dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.postgres"),
    "dbt.cli.main": ("nodes.dbt.session", "dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.postgres"),
    f"{CONNECTORS}.child": (f"{CONNECTORS}.child", f"{CONNECTORS}.catalogue", f"{CONNECTORS}.loading"),
}
#: the servers of this process, once they are installed
installed: list["Forks"] = []
_ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


class Forked(subprocess.Popen[bytes]):
    """What subprocess.Popen is, for a process that was forked elsewhere and became a child of this one."""

    def __init__(self, args: Sequence[str], pid: int, pipes: dict[str, int]) -> None:
        self.args, self.pid, self.returncode = args, pid, None
        self.stdin = os.fdopen(pipes["stdin"], "wb", 0) if "stdin" in pipes else None
        self.stdout = os.fdopen(pipes["stdout"], "rb", 0) if "stdout" in pipes else None
        self.stderr = os.fdopen(pipes["stderr"], "rb", 0) if "stderr" in pipes else None
        self.text_mode = self.encoding = self.errors = None
        self._waitpid_lock = threading.Lock()
        self._input = None
        self._communication_started = False
        self._closed_child_pipe_fds = True
        self._child_created = True
        self._sigint_wait_secs = 0.25


class Forks:
    """One process for each set of imports, started when it is first needed."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], socket.socket]] = {}
        self._lock = threading.Lock()

    def popen(self, argv: Sequence[str], real: Any, **options: Any) -> subprocess.Popen[bytes]:
        """Start `python -m MODULE ...` by a fork; anything else by `real`."""
        module = argv[2] if len(argv) > 2 and argv[1] == "-m" else ""
        if argv[0] != sys.executable or module not in IMPORTS:
            started: subprocess.Popen[bytes] = real(argv, **options)
            return started
        ours, theirs = _pipes(options)
        try:
            with self._lock:
                pid = self._ask(module, argv, options, theirs)
        except BaseException:
            for descriptor in ours.values():
                os.close(descriptor)
            raise
        finally:
            for descriptor in set(theirs):
                os.close(descriptor)
        return Forked(argv, pid, ours)

    def _ask(self, module: str, argv: Sequence[str], options: dict[str, Any], descriptors: list[int]) -> int:
        server = self._server(IMPORTS[module])
        order = {
            "module": module,
            "argv": list(argv[3:]),
            "env": options["env"],
            "cwd": str(options["cwd"]),
            "parent": os.getpid(),
            "limits": options.get("limits", []),
        }
        data = json.dumps(order).encode()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            server.sendmsg(
                [len(data).to_bytes(4, "big")],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))],
            )
            server.sendall(data)
            pid = int(server.recv(32))
        finally:
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        return pid

    def _server(self, imports: tuple[str, ...]) -> socket.socket:
        known = self._servers.get(imports)
        if known is not None and known[0].poll() is None:
            return known[1]
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(theirs.fileno()), *imports],
            pass_fds=[theirs.fileno()],
            cwd=_ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(300)
        self._servers[imports] = (process, ours)
        return ours

    def close(self) -> None:
        """End the servers; what was forked ends with this process."""
        for process, connection in self._servers.values():
            connection.close()
            process.kill()
            process.wait()
        self._servers.clear()


def _pipes(options: dict[str, Any]) -> tuple[dict[str, int], list[int]]:
    """Our ends by name, and the descriptors that become 0, 1 and 2 of the child."""
    ours: dict[str, int] = {}
    theirs: list[int] = []
    for name in ("stdin", "stdout", "stderr"):
        wanted = options.get(name)
        if wanted == subprocess.PIPE:
            read, write = os.pipe()
            ours[name], other = (write, read) if name == "stdin" else (read, write)
            theirs.append(other)
        elif wanted == subprocess.STDOUT:
            theirs.append(os.dup(theirs[1]))
        else:
            theirs.append(os.open(os.devnull, os.O_RDWR))
    return ours, theirs


def serve(connection: socket.socket) -> None:
    """Fork a child for each order until nobody is left who gives one."""
    gc.collect()
    gc.freeze()
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
        if not head:
            return
        data = bytearray()
        while len(data) < int.from_bytes(head, "big"):
            data += connection.recv(65536)
        read, write = os.pipe()
        between = os.fork()
        if between == 0:
            if (child := os.fork()) == 0:
                os.close(read)
                os.close(write)
                _become(json.loads(data), descriptors, connection)
            os.write(write, str(child).encode())
            os._exit(0)
        os.close(write)
        os.waitpid(between, 0)  # only now is the child somebody else's, and is that told
        connection.sendall(os.read(read, 32))
        os.close(read)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(order: dict[str, Any], descriptors: list[int], connection: socket.socket) -> None:
    code = 1
    try:
        connection.close()
        deadline = time.monotonic() + 10
        while os.getppid() != order["parent"]:  # the process between has not ended yet
            if time.monotonic() > deadline:
                os._exit(70)
            time.sleep(0.0005)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        for descriptor in descriptors:
            os.close(descriptor)
        os.umask(0o077)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        for number, value in order["limits"]:
            resource.setrlimit(number, (value, value))
        for stream, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            setattr(sys, stream, os.fdopen(number, mode, closefd=False))
        code = _run(order)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _run(order: dict[str, Any]) -> int:
    sys.argv = [order["module"], *order["argv"]]
    module = importlib.import_module(order["module"])
    if order["module"] == "nodes.dbt.parse_child":
        module.main(json.loads(sys.argv[1]))
        return 0
    if order["module"] == "dbt.cli.main":
        return module.cli() or 0
    return module.main() or 0


def install(forks: Forks) -> None:
    """From now on this process starts dbt and dlt by forks."""
    from flows.infra.process import child
    from flows.infra.process.launch import wrap
    from flows.infra.process.tools import popen

    wanted = threading.local()
    installed.append(forks)

    def bare(argv: Sequence[str], limits: Any, isolate: bool, box: Any = None) -> tuple[list[str], bool]:
        if box is None and isolate and argv[0] == sys.executable and argv[1] == "-m" and argv[2] in IMPORTS:
            wanted.limits = [(number, value) for _, number, value in limits.settings()]
            return list(argv), False
        wanted.limits = None
        return wrap(argv, limits, isolate, box)

    def start(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        if wanted.limits is None:
            return popen(argv, **options)
        return forks.popen(argv, popen, limits=wanted.limits, **options)

    child.wrap, child.popen = bare, start  # type: ignore[assignment]


if __name__ == "__main__":
    server = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name)
    # A child that nobody reads any more ends; the server, when this process's parent has ended.
    select.select([server], [], [])
    serve(server)
