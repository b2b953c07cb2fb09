"""The Pythons of this machine that a virtualenv can be made with. None is ever downloaded."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flows.infra import process

LINES = tuple(f"3.{minor}" for minor in range(9, 16))  # that are looked for
_ASK = (
    "import json, platform, sys\n"
    "print(json.dumps([platform.python_version(), sys.implementation.cache_tag, sys.base_prefix]))"
)
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Interpreter:
    """A Python: its program, its version such as 3.11.9, the tag of its bytecode, and where it is installed."""

    path: str
    version: str
    tag: str
    prefix: str

    @property
    def line(self) -> str:
        """Its version without the patch: 3.11."""
        return ".".join(self.version.split(".")[:2])

    @property
    def folders(self) -> tuple[Path, ...]:
        """What a child that runs on it must be able to read, beside the system's own folders."""
        found = {Path(self.prefix).resolve(), Path(self.path).resolve().parent.parent}
        return tuple(sorted(path for path in found if not path.is_relative_to("/usr")))


@cache
def own() -> Interpreter:
    """The Python that dex itself runs on, outside of its virtualenv."""
    tag = sys.implementation.cache_tag or ""
    prefix = str(Path(sys.base_prefix).resolve())
    return Interpreter(str(Path(sys.executable).resolve()), platform.python_version(), tag, prefix)


def choose(lines: Iterable[str], folders: str = "") -> Interpreter | None:
    """A Python of one of these lines (3.11), dex's own if it is one; None where this machine has none.

    In: `lines`, the best first; `folders` where to look beside the usual places, separated by colons.
    """
    wanted = list(lines)
    if own().line in wanted:
        return own()
    return next((found for line in wanted if (found := find(line, folders))), None)


def find(line: str, folders: str = "") -> Interpreter | None:
    """The Python of a line on this machine; None where there is none."""
    if line == own().line:
        return own()
    kept = sorted(str(folder) for folder in (Path.home() / ".pyenv" / "versions").glob(f"{line}.*/bin"))
    clean = process.clean_environment()
    path = os.pathsep.join(each for each in (folders, *kept, clean["PATH"]) if each)
    command = [uv_program(), "python", "find", "--no-project", "--no-config", "--system", line]
    environment = {**clean, "PATH": path, "UV_PYTHON_DOWNLOADS": "never"}
    done = process.run(command, env=environment, cwd=tempfile.gettempdir(), timeout=_PATIENCE_S)
    program = done.output.decode(errors="replace").strip()
    return _asked(program) if done.ok and program else None


def lines_here(folders: str = "") -> list[str]:
    """The lines of Python that this machine has, the oldest first."""
    return [line for line in LINES if find(line, folders)]


def _asked(program: str) -> Interpreter | None:
    """What a Python says of itself; None for a program that does not answer."""
    clean = process.clean_environment()
    done = process.run([program, "-I", "-c", _ASK], env=clean, cwd=tempfile.gettempdir(), timeout=_PATIENCE_S)
    try:
        version, tag, prefix = json.loads(done.output)
    except ValueError:
        return None
    return Interpreter(str(Path(program).resolve()), version, tag or "", str(Path(prefix).resolve()))


def uv_program() -> str:
    """The uv that is installed beside dex."""
    import uv

    return str(uv.find_uv_bin())
