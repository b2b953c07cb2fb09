"""What dbt parsed once is not parsed again in another test, nor in another process of the suite.

Each test has databases and environments of its own, so dex asks for the same projects again and again. What a parse
left is kept by dex's own key (the content, variables, target and versions) in a folder that all processes of one run of
the suite share, and copied from there. Tests of the parsing itself switch it off.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nodes.dbt import parse

_really = parse._parse
SHARED = Path(os.environ["DEX_TEST_SHARED"]) / "parses"


def kept(order: Any, entry: Path) -> list[str]:
    """nodes.dbt.parse._parse, or a copy of what it left for the same content."""
    SHARED.mkdir(parents=True, exist_ok=True)
    place = SHARED / entry.name
    with (SHARED / f"{entry.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            warnings = _really(order, entry)
            building = Path(tempfile.mkdtemp(dir=SHARED))
            shutil.copytree(entry, building / "entry", symlinks=True)
            (building / "entry").rename(place)
            building.rmdir()
            return warnings
    shutil.copytree(place, entry, symlinks=True, dirs_exist_ok=True)
    return parse._kept(entry) or []


def install() -> None:
    """From now on parses are shared."""
    parse._parse = kept
