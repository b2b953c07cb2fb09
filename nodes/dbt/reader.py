"""Reads what a repository says in a child process with limits: its Jinja may loop, the aliases of its YAML explode.

The same text is read once in a process: what was found is kept by a digest of everything that it depends on.
"""

import hashlib
import json
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from flows.infra import process

What = Literal["project", "profile", "scripts", "requirements"]
CODE = Path(__file__).resolve().parents[2]
LARGEST = 1024 * 1024  # bytes of a file
CPU_S, WALL_S = 10, 30.0
LIMITS = process.Limits(memory=1024**3, cpu_seconds=CPU_S, file_size=0, open_files=64)
KEPT = 256
AGAIN_S = 60.0  # after which what was too much is tried again: the machine may have been the reason
_LARGEST_ANSWER = 4 * 1024 * 1024
_cache: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
_lock = threading.Lock()


class ReadError(Exception):
    """The text cannot be used; the message says why."""


class TooMuch(ReadError):
    """Reading the text takes more than dex spends on it; the message says what to look for."""


def read_file(path: Path, most: int = LARGEST) -> bytes:
    """The content of a file of a repository. Raises OSError, and TooMuch for a file that is too large."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TooMuch(f"{path.name} is larger than {most // 1024:,} KiB, the maximum that dex reads")
    return data


def ask(what: What, name: str, data: bytes, **order: Any) -> Mapping[str, Any]:
    """What is found in a text; see reader_child for what is asked and answered.

    In: `name`, of the file, for messages; `order`, what else it depends on, as JSON. Raises ReadError, TooMuch.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"{name} is not UTF-8 text") from error
    whole = json.dumps({"what": what, "name": name, "text": text, **order}, sort_keys=True, default=str).encode()
    key = hashlib.sha256(whole).hexdigest()
    found = _kept(key)
    if found is None:
        found = _asked(whole)
        _keep(key, found)
    if found.get("limit"):
        raise TooMuch(
            f"{name} cannot be read with {CPU_S} seconds of a processor and {LIMITS.memory // 1024**3} GiB of memory: "  # type: ignore[operator]
            "look for loops in its Jinja, and for YAML aliases that multiply"
        )
    if found.get("error"):
        raise ReadError(str(found["error"]))
    return found


def forget() -> None:
    """Read everything anew; for tests."""
    with _lock:
        _cache.clear()


def _kept(key: str) -> dict[str, Any] | None:
    with _lock:
        at, found = _cache.get(key, (0.0, {}))
        if not found or (found.get("limit") and time.monotonic() > at + AGAIN_S):
            return None
        _cache.move_to_end(key)
        return found


def _keep(key: str, found: dict[str, Any]) -> None:
    with _lock:
        _cache[key] = (time.monotonic(), found)
        while len(_cache) > KEPT:
            _cache.popitem(last=False)


def _asked(order: bytes) -> dict[str, Any]:
    """The answer of a fresh process; {"limit": ...} where it was too much for it."""
    output = bytearray()
    child = process.start(
        [sys.executable, "-m", "nodes.dbt.reader_child"],
        env=process.clean_environment({"PYTHONPATH": str(CODE), "PYTHONDONTWRITEBYTECODE": "1"}),
        cwd=tempfile.gettempdir(),
        limits=LIMITS,
        stdin=process.PIPE,
        stdout=lambda piece: output.extend(piece[: max(0, _LARGEST_ANSWER - len(output))]),
    )
    threading.Thread(target=_tell, args=(child, order), name="dex-reader", daemon=True).start()
    if child.wait(WALL_S) is None:
        child.kill_tree(grace_int=0, grace_term=0)
        return {"limit": "time"}
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):  # it was killed, or had no memory to say so
        return {"limit": "time or memory"}
    return found if isinstance(found, dict) else {"error": "it could not be read"}


def _tell(child: process.Child, order: bytes) -> None:
    """In a thread: a child that reads nothing must not hold up who waits for it."""
    with suppress(OSError, ValueError):
        if child.stdin:
            while order:  # a raw pipe may take less than it is given
                order = order[child.stdin.write(order) :]
            child.stdin.close()
