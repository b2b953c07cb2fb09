"""The programs that stand in front of a command, tried once on this machine, and the thread that starts children."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


class _Spawner(threading.Thread):
    """The one thread that starts children.

    A child that wants to die with its parent really dies with the thread that started it, so that thread
    must live as long as the process. A daemon thread does; a thread of a pool does not.
    """

    def __init__(self) -> None:
        super().__init__(name="dex-spawner", daemon=True)
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def run(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # children inherit the mask
        while True:
            order, answer = self._orders.get()
            try:
                answer.set_result(order())
            except BaseException as error:
                answer.set_exception(error)
            del order, answer  # keeps nothing of the last child alive while it waits for the next

    def do(self, order: Callable[[], Any]) -> Any:
        answer: Future[Any] = Future()
        self._orders.put((order, answer))
        return answer.result()


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def _forget_spawner() -> None:
    global _spawner, _spawner_lock
    _spawner, _spawner_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_spawner)  # threads do not survive a fork (Celery's prefork)


def popen(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """subprocess.Popen in the thread that lives as long as dex, in a session of its own."""
    global _spawner
    with _spawner_lock:
        if _spawner is None:
            _spawner = _Spawner()
            _spawner.start()
        spawner = _spawner
    child: subprocess.Popen[bytes] = spawner.do(
        lambda: subprocess.Popen(argv, bufsize=0, start_new_session=True, **options)
    )
    return child


@cache
def tool(name: str, *trial: str) -> str | None:
    """The path of a program that exists and, where a trial is given, passes it on this machine; tried once."""
    path = shutil.which(name, path=PATH)
    return path if path is not None and (not trial or passes([path, *trial])) else None


def passes(argv: Sequence[str]) -> bool:
    """Whether a command ends well within ten seconds; what it prints is nobody's."""
    nothing = subprocess.DEVNULL
    try:
        tried = popen(argv, env={"PATH": PATH}, stdin=nothing, stdout=nothing, stderr=nothing)
    except OSError:
        return False
    try:
        return tried.wait(timeout=10) == 0
    except subprocess.TimeoutExpired:
        tried.kill()
        tried.wait()
        return False
