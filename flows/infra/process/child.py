"""One child process from its start to its end, and the end of everything it started."""

import logging
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flows.infra.process import forking
from flows.infra.process.launch import Limits, clean_environment, limit, wrap
from flows.infra.process.sandbox import Sandbox, bubblewrap_program
from flows.infra.process.table import boot_id, descendants, start_time
from flows.infra.process.tools import popen
from flows.infra.process.users import name_child

log = logging.getLogger("dex.processes")
PIPE = subprocess.PIPE
Sink = Callable[[bytes], None]

_DRAIN_S = 2.0  # how long output is still read after the child has ended
_TICK_S = 0.1  # how often we look for its end where the kernel does not tell
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Finished:
    """How a short command ended."""

    exit_code: int | None  # None: it took too long and was killed
    output: bytes
    errors: bytes

    @property
    def ok(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.exit_code == 0


class Child:
    """A running child process, its pipes, and the thread that empties them and notices its end."""

    def __init__(
        self, process: subprocess.Popen[bytes] | forking.Forked, namespace: bool, sinks: Mapping[int, Sink]
    ) -> None:
        self._process, self._namespace, self._sinks = process, namespace, dict(sinks)
        self.pid = process.pid
        self.pid_start = start_time(process.pid) or 0
        self.stdin: IO[bytes] | None = process.stdin
        own = process.stdout is not None and process.stdout.fileno() not in sinks
        self.stdout: IO[bytes] | None = process.stdout if own else None
        self.output_error: Exception | None = None  # of whoever took our output; the child never notices
        self._exit_code: int | None = None
        self._ended = threading.Event()
        self._reaping = threading.Lock()
        threading.Thread(target=self._watch, name=f"dex-child-{self.pid}", daemon=True).start()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + n where signal n ended it, as a shell would say."""
        return self._exit_code if self._ended.is_set() else None

    @property
    def signal(self) -> int | None:
        """The signal that ended it, if one did."""
        code = self.exit_code
        return code - 128 if code is not None and 128 < code <= 128 + 64 else None

    def poll(self) -> int | None:
        """The exit code if it has ended."""
        return self.exit_code

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, or None if it still runs after so many seconds."""
        self._ended.wait(timeout)
        return self.exit_code

    def send(self, signum: int) -> bool:
        """Signal the command and all that it started; False if there was nobody to hear it."""
        heard = False
        with self._reaping:
            if self._is_ours():
                below = descendants(self.pid)
                # In a namespace the first two processes are bubblewrap's own, and end by themselves.
                for pid in below[1:] if self._namespace else [self.pid, *below]:
                    heard |= _signal(pid, signum)
        return heard

    def interrupt(self) -> bool:
        """Ask it to stop, as Ctrl-C does."""
        deadline = time.monotonic() + 1
        while not self.send(signal.SIGINT):  # just started: the command is not there yet
            if self._ended.wait(0.02) or time.monotonic() > deadline:
                return False
        return True

    def kill(self) -> None:
        """End all of it at once."""
        with self._reaping:  # as long as it is not reaped, the id is its own
            if self._is_ours():
                _kill_all(self.pid)

    def kill_tree(self, grace_int: float = 10, grace_term: float = 5) -> int | None:
        """Ask, insist, kill; each only if the one before did not help. Returns the exit code."""
        if grace_int > 0 and not self._ended.is_set():
            self.interrupt()
            self._ended.wait(grace_int)
        if grace_term > 0 and not self._ended.is_set():
            self.send(signal.SIGTERM)
            self._ended.wait(grace_term)
        self.kill()
        return self.wait(_DRAIN_S + 8)

    def _watch(self) -> None:
        """Empty the pipes until the child has ended: its exit decides, not the end of its output."""
        poller = select.poll()
        for fd in self._sinks:
            poller.register(fd, select.POLLIN)
        ending = self._ending()
        if ending >= 0:
            poller.register(ending, select.POLLIN)
        deadline: float | None = None
        while deadline is None or (self._sinks and time.monotonic() < deadline):
            patience = _DRAIN_S / 20 if deadline is not None else None if ending >= 0 else _TICK_S
            for fd, _ in poller.poll(None if patience is None else patience * 1000):
                if fd == ending or not self._pass_on(fd):
                    poller.unregister(fd)
            if deadline is None and self._reap():
                deadline = time.monotonic() + _DRAIN_S
        if ending >= 0:
            os.close(ending)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None and pipe is not self.stdout:
                pipe.close()
        self._ended.set()

    def _pass_on(self, fd: int) -> bool:
        """Hand over what a pipe holds; False at its end."""
        data = os.read(fd, _CHUNK)
        if not data:
            del self._sinks[fd]
            return False
        if self.output_error is None:
            try:
                self._sinks[fd](data)
            except Exception as error:  # goes on reading: a full pipe would stop the child
                self.output_error = error
        return True

    def _is_ours(self) -> bool:
        """Whether the process id is still that of the child."""
        return self._process.returncode is None

    def _ending(self) -> int:
        """A descriptor of our own that can be read once the child has ended; -1 where the kernel has none."""
        try:
            return os.pidfd_open(self.pid)
        except OSError:
            return -1

    def _reap(self) -> bool:
        """Whether the command has ended; if so, nothing that it started is left."""
        with self._reaping:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return False
            _kill_group(self.pid)  # still unreaped, so the number of its group is not somebody else's
            code = self._process.wait()  # type: ignore[union-attr]
        self._exit_code = 128 - code if code < 0 else code
        return True


class ForkedChild(Child):
    """A child that a fork server has made; its keeper is the one to wait for it."""

    def __init__(self, forked: forking.Forked, sinks: Mapping[int, Sink]) -> None:
        self._control = forked.control
        super().__init__(forked, False, sinks)

    def kill(self) -> None:
        """End all of it at once; the keeper then ends what came loose from it."""
        super().kill()
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def _is_ours(self) -> bool:
        return self._exit_code is None and start_time(self.pid) == self.pid_start

    def _ending(self) -> int:
        return os.dup(self._control.fileno())

    def _reap(self) -> bool:
        if not select.select([self._control], [], [], 0)[0]:
            return False
        code = forking.report_of(self._control)
        with self._reaping:
            self._exit_code = 128 - code if code < 0 else code
        self._control.close()
        return True


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str,
    limits: Limits | None = None,
    stdin: int | None = None,
    stdout: int | Sink | None = None,
    on_output: Sink | None = None,
    isolate: bool = True,
    box: Sandbox | None = None,
    preload: forking.Preload | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a command from a list of arguments; in a sandbox, as far as this machine has one.

    `on_output` gets what it prints, in pieces, from a thread of its own. `stdout` may be PIPE (the caller
    reads `child.stdout`) or a function of its own; then `on_output` gets standard error alone.
    `preload`: what a command `python -m MODULE ...` shall find imported; it is forked from a process that
    stays for the next one, see flows.infra.process.forking. That process is made with the PYTHONPATH of `env`.
    """
    limits = limits or Limits()
    nothing = subprocess.DEVNULL
    own_stdout = stdout is not None
    streams = {
        "stdin": PIPE if stdin == PIPE else nothing,
        "stdout": PIPE if own_stdout or on_output else nothing,
        "stderr": nothing if on_output is None else PIPE if own_stdout else subprocess.STDOUT,
    }
    process: subprocess.Popen[bytes] | forking.Forked | None = None
    namespace = False
    if preload:
        process = _forked(argv, env, cwd, limits, isolate, box, preload, streams)
    if process is None:
        command, namespace = wrap(argv, limits, isolate, box)
        process = popen(command, env=dict(env), cwd=cwd, umask=0o077, pass_fds=pass_fds, **streams)
        limit(process.pid, limits)
    sinks: dict[int, Sink] = {}
    if callable(stdout) and process.stdout:
        sinks[process.stdout.fileno()] = stdout
    elif on_output and not own_stdout and process.stdout:
        sinks[process.stdout.fileno()] = on_output
    if on_output and process.stderr:
        sinks[process.stderr.fileno()] = on_output
    child = ForkedChild(process, sinks) if isinstance(process, forking.Forked) else Child(process, namespace, sinks)
    if box is not None:
        name_child(box.uid, child.pid, child.pid_start)
    return child


def _forked(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | str,
    limits: Limits,
    isolate: bool,
    box: Sandbox | None,
    preload: forking.Preload,
    streams: Mapping[str, int],
) -> forking.Forked | None:
    """The command as a fork of a process that has imported `preload`; None where that is not possible here."""
    python, _, module, *arguments = argv
    path = {"PYTHONPATH": env["PYTHONPATH"]} if "PYTHONPATH" in env else {}

    def server(command: Sequence[str], **options: Any) -> Child:
        return start(command, env=clean_environment(path), cwd="/", isolate=isolate, box=box, **options)

    order = {
        "module": module,
        "arguments": arguments,
        "env": dict(env),
        "cwd": str(cwd),
        "nice": limits.nice,
        "limits": [(number, value) for _, number, value in limits.settings()],
    }
    key = (python, *path.values(), preload, isolate, box, bubblewrap_program())
    try:
        return forking.fork(key, order, start=server, python=python, preload=preload, **streams)
    except forking.ServerGone as error:
        log.warning("%s starts without what was to be imported before: %s", module, error)
        return None


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str,
    timeout: float,
    limits: Limits | None = None,
    isolate: bool = True,
    box: Sandbox | None = None,
    most: int = 16 * 1024 * 1024,
) -> Finished:
    """Run a command to its end; of each stream the first `most` bytes are kept."""
    output, errors = bytearray(), bytearray()
    child = start(
        argv,
        env=env,
        cwd=cwd,
        limits=limits,
        isolate=isolate,
        box=box,
        stdout=lambda data: output.extend(data[: max(0, most - len(output))]),
        on_output=lambda data: errors.extend(data[: max(0, most - len(errors))]),
    )
    code = child.wait(timeout)
    if code is None:
        child.kill_tree(grace_int=2, grace_term=1)
    return Finished(code, bytes(output), bytes(errors))


def kill_leftover(pid: int, pid_start: int, boot: str) -> bool:
    """End what is left of a child whose supervisor died; True if it was still there.

    A process id is used again, so only a process that started at the same tick of the same boot is ours.
    """
    if not pid_start or boot != boot_id() or start_time(pid) != pid_start:
        return False
    _kill_all(pid)
    return True


def _kill_all(pid: int) -> None:
    """Kill the leader of a session, its group and everything below, wherever that moved to."""
    below = descendants(pid)
    _kill_group(pid)
    for each in (pid, *below):
        _signal(each, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _signal(pid: int, signum: int) -> bool:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
        return True
    return False
