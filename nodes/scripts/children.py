"""Tells dex of child processes of a script that failed while nobody looked.

dex puts this file into the virtualenv of every script, where Python imports it at its start (see virtualenvs.py). It
runs in the script's own process and must not be in its way: it needs the standard library alone, does nothing where
dex did not ask for it, and never raises.

Python's multiprocessing prints the traceback of a child, and the script goes on: it ends with exit code 0 although its
work is not done. Only the script's own children count, not those of pools and libraries, which tell their failures
themselves; and not those whose exit code the script has read, or which it ended itself.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what is imported here, every script waits for
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "DEX_CHILDREN"  # names the file that is written; taken away before the script sees it
MOST = 20  # that are told
_MODULE = "multiprocessing.process"


class _WhenImported:
    """Stands among the finders of modules until a script imports multiprocessing; the others import nothing for it."""

    def __init__(self, place: str) -> None:
        self.place = place

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As others find it, and watched once it is there."""
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        specs = (each.find_spec(name, path, target) for each in sys.meta_path)
        spec: Any = next((each for each in specs if each is not None), None)
        if spec is not None:
            execute = spec.loader.exec_module

            def executed(module: Any) -> None:
                execute(module)
                try:
                    watch(module.BaseProcess, self.place, os.getpid())
                except Exception:  # another multiprocessing than the one that is known here
                    return

            spec.loader.exec_module = executed
        return spec


def watch(process: Any, place: str, me: int) -> None:
    """Write the failed children of process `me` to `place` when it ends. In: `process`, the class that is changed."""
    import atexit
    import contextlib
    import itertools
    import json
    from pathlib import Path

    failed: dict[int | None, tuple[str, int]] = {}  # number of a child -> (its name, exit code)
    numbers = itertools.count()
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
    import weakref

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
    from pathlib import Path

    try:
        does: Any = child._target if child._target is not None else type(child)
        does = getattr(does, "func", does)  # of a partial
        module: Any = sys.modules.get(getattr(does, "__module__", None) or type(does).__module__)
        main: Any = sys.modules["__main__"]
        return Path(module.__file__).resolve().is_relative_to(Path(main.__file__).resolve().parent)
    except Exception:  # it is not told; a script is not kept from its work for that
        return False


if __name__ == "_dex_children":  # not where dex itself imports it
    _place = os.environ.pop(VARIABLE, "")
    if _place:
        sys.meta_path.insert(0, _WhenImported(_place))
