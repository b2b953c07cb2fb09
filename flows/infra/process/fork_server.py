"""Runs in a process of its own: imports what is slow to import once, and forks a child for each order.

A program that must start in milliseconds and be read by any Python 3.10 or later: the standard library alone, nothing
of dex. flows.infra.process.forking starts it and says what goes over the socket.

What is imported here is inherited by every child, so it must be free of secrets, connections and threads; the server
refuses to fork when an import has started a thread. Between the server and each child stands a keeper, a process that
waits for the child, ends whatever the child has left behind, and reports the exit code.
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any

_SET_PDEATHSIG, _SET_NAME, _SET_CHILD_SUBREAPER = 1, 15, 36
LATER_S = 0.5  # without an order, after which the rest is imported
_HEAD = 8  # bytes that say how long an order is
_libc = ctypes.CDLL(None, use_errno=True)


def main(descriptor: int, idle_s: float, modules: list[str], later: list[str]) -> int:
    """Serve orders from the socket until its other end is closed, or there was no child for `idle_s` seconds.

    `modules` are imported before the first child is forked, `later` once there is a moment without an order.
    """
    connection = socket.socket(fileno=descriptor)
    if not _imported(modules):
        return 1
    keepers: set[int] = set()
    while True:
        if later and not select.select([connection], [], [], min(idle_s, LATER_S))[0]:
            if not _imported(later):
                return 1
            later = []
        _reap(keepers)
        # With children alive we look often enough to notice that the last one has ended.
        readable, _, _ = select.select([connection], [], [], min(idle_s, 30.0) if keepers else idle_s)
        if not readable:
            _reap(keepers)
            if keepers:
                continue
            return 0
        order, descriptors = _receive(connection)
        if order is None:
            return 0
        pid = os.fork()
        if pid == 0:
            connection.close()
            _keep(order, descriptors)
        keepers.add(pid)
        for each in descriptors:
            os.close(each)


def _imported(modules: list[str]) -> bool:
    """Import them; False if that has started a thread, which a fork would leave behind with all that it holds."""
    for name in modules:
        importlib.import_module(name)
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a count
    if threads > 1:
        print(f"{threads - 1} threads were started by imports of {', '.join(modules)}", file=sys.stderr)
        return False
    gc.collect()
    gc.freeze()  # children share these pages as long as nobody counts their references
    return True


def _receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """One order and its four descriptors: standard input, output, error, and the control socket of the child."""
    head, descriptors, _, _ = socket.recv_fds(connection, _HEAD, 4)
    if not head:
        return None, []
    head += _exactly(connection, _HEAD - len(head))
    return json.loads(_exactly(connection, int.from_bytes(head, "big"))), descriptors


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError("the order was cut off")
        data += piece
    return bytes(data)


def _reap(keepers: set[int]) -> None:
    while keepers:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        keepers.discard(pid)


def _keep(order: dict[str, Any], descriptors: list[int]) -> None:
    """The keeper: start the child, wait for its end or for a word to end it, clear up, report. Never returns."""
    code = 70
    control = socket.socket(fileno=descriptors[3])
    try:
        _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.setsid()  # what is sent to the group of the child does not reach its keeper
        keeper = os.getpid()
        child = os.fork()
        if child == 0:
            _become(order, descriptors, control, keeper)
        for each in descriptors[:3]:
            os.close(each)
        code = _wait(child, control)
        _end_rest()
        control.sendall(json.dumps({"exit_code": code}).encode() + b"\n")
    except OSError:
        pass  # nobody listens any more
    finally:
        os._exit(0)


def _wait(child: int, control: socket.socket) -> int:
    """The exit code of the child (minus the signal that ended it). It is killed when the control socket is closed."""
    ending = os.pidfd_open(child)
    readable, _, _ = select.select([ending, control], [], [])
    if ending not in readable:
        for pid in (child, *_below()):
            _kill(pid)
    _, status = os.waitpid(child, 0)
    os.close(ending)
    return os.waitstatus_to_exitcode(status)


def _end_rest() -> None:
    """Kill what the child has started and left behind: all of it became children of this process."""
    while True:
        for pid in _below():
            _kill(pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(0.002)


def _below() -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are enough
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", errors="replace") as file:  # noqa: PTH123 - in a hurry
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    below = list(children.get(os.getpid(), ()))
    for pid in below:  # grows while we walk it
        below += children.get(pid, ())
    return below


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _become(order: dict[str, Any], descriptors: list[int], control: socket.socket, keeper: int) -> None:
    """The child: take on what was ordered and run the module as `python -m` would. Never returns."""
    code = 1
    try:
        _libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:  # it ended before we asked to end with it
            os._exit(code)
        os.setsid()
        _libc.prctl(_SET_NAME, order["module"].rpartition(".")[2].encode()[:15], 0, 0, 0)
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
        for descriptor in descriptors[:3]:
            os.close(descriptor)
        os.umask(0o077)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        time.tzset()
        if (tempfile := sys.modules.get("tempfile")) is not None:
            vars(tempfile)["tempdir"] = None  # what it remembered is from the environment before
        if order["nice"]:
            os.nice(order["nice"])
        for number, value in order["limits"]:
            resource.setrlimit(number, (value, value))
        for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            errors = "backslashreplace" if mode == "w" else "surrogateescape"
            stream = open(number, mode, buffering=1, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        control.sendall(b"{}\n")  # the kernel adds our process id, as the other end knows it
        control.close()
        code = _run(order["module"], order["arguments"])
    except SystemExit as ended:
        code = _code(ended.code)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        _leave(code)


def _run(module: str, arguments: list[str]) -> int:
    import runpy
    import warnings

    sys.argv = [module, *arguments]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _code(code: Any) -> int:
    """The exit code that `sys.exit(code)` stands for."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _leave(code: int) -> None:
    """End as the interpreter does: threads are waited for, what was registered for the end is called."""
    import atexit
    import threading

    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:
        code = code or 120  # as the interpreter when it cannot write what is left
    finally:
        os._exit(code & 0xFF)


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file, which is no place to import from
    sys.exit(
        main(int(sys.argv[1]), float(sys.argv[2]), *(names.split(",") if names else [] for names in sys.argv[3:5]))
    )
