"""Files that others see whole or not at all, also when two write the same one at once."""

import os
import threading
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file beside its place and put it there in one step; the last of several writers wins.

    In: `mode`, its permissions (default: as the umask says).
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        beside.write_bytes(data)
        if mode is not None:
            beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
