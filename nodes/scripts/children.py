"""Tells dex of child processes of a script that failed while nobody looked.

dex puts this file into the environment of every script, where Python imports it at its start (see environments.py). It
runs in the script's own process and must not be in its way: it needs the standard library alone, does nothing where
dex did not ask for it, and never raises.

Python's multiprocessing prints the traceback of a child, and the script goes on: it ends with exit code 0 although its
work is not done. Only the script's own children count, not those of pools and libraries, which tell their failures
themselves; and not those whose exit code the script has read, or which it ended itself.
"""

import atexit
import contextlib
import itertools
import json
import os
import sys
import weakref
from pathlib import Path
from typing import Any

VARIABLE = "DEX_CHILDREN"  # names the file that is written; taken away before the script sees it
MOST = 20  # that are told


def watch(place: str, me: int) -> None:
    """Write the failed children of process `me` to `place` when it ends."""
    from multiprocessing.process import BaseProcess

    failed: dict[int | None, tuple[str, int]] = {}  # number of a child -> (its name, exit code)
    numbers = itertools.count()
    process: Any = BaseProcess  # a class that is changed here
    read, start, terminate, kill = process.exitcode.fget, process.start, process.terminate, process.kill

    def looked(child: Any) -> None:
        child._dex_looked = True
        failed.pop(getattr(child, "_dex_number", None), None)

    def started(child: Any) -> None:
        own = os.getpid() == me and _is_own(child)  # once it has started, it does not know any more what it does
        start(child)
        if own:
            with contextlib.suppress(Exception):
                child._dex_number = next(numbers)
                _listen(child, failed)

    def exit_code(child: Any) -> int | None:
        code: int | None = read(child)
        if code is not None:
            looked(child)
        return code

    def terminated(child: Any) -> None:
        looked(child)
        terminate(child)

    def killed(child: Any) -> None:
        looked(child)
        kill(child)

    process.start, process.terminate, process.kill = started, terminated, killed
    process.exitcode = property(exit_code, doc=process.exitcode.__doc__)

    def tell() -> None:  # registered first of all, it is called last: children are joined by then
        with contextlib.suppress(Exception):
            if failed and os.getpid() == me:
                Path(place).write_text(json.dumps(list(failed.values())[:MOST]))

    atexit.register(tell)


def _listen(child: Any, failed: dict[int | None, tuple[str, int]]) -> None:
    """Note how a child ended, whoever asks for its end first."""
    name, daemon, number, here = child.name, child.daemon, child._dex_number, weakref.ref(child)
    popen, poll = weakref.ref(child._popen), type(child._popen).poll

    def noting(*args: Any, **options: Any) -> int | None:
        code: int | None = poll(popen(), *args, **options)
        ended_with_us = daemon and code == -15  # as daemons do
        if code and not ended_with_us and not getattr(here(), "_dex_looked", False):
            failed[number] = (name, code)
        return code

    child._popen.poll = noting


def _is_own(child: Any) -> bool:
    """Whether what the child does is code of the script's folder."""
    with contextlib.suppress(Exception):
        does: Any = child._target if child._target is not None else type(child)
        does = getattr(does, "func", does)  # of a partial
        module: Any = sys.modules.get(getattr(does, "__module__", None) or type(does).__module__)
        main: Any = sys.modules["__main__"]
        return Path(module.__file__).resolve().is_relative_to(Path(main.__file__).resolve().parent)
    return False


def _begin() -> None:
    place = os.environ.pop(VARIABLE, "")
    if place:
        with contextlib.suppress(Exception):
            watch(place, os.getpid())


if __name__ == "_dex_children":
    _begin()
