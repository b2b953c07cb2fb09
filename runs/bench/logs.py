"""How fast the output of a task is drained: pipe, masking, head and tail on disk, nothing more in memory."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from flows.infra import process
from flows.infra.redaction import Redactor
from runs.logs import reading
from runs.logs.store import LogWriter, read

SECRET = "a-secret-that-nobody-may-see-0123456789"  # noqa: S105 - made up for the benchmark
_PRINTS = """
import sys
line = ("row %09d of a script that talks far too much, as they do when something goes wrong" + chr(10))
block = "".join(line % n for n in range(10000)).encode()
left = int(sys.argv[1]) * 1024 * 1024
out = sys.stdout.buffer
while left > 0:
    out.write(block[:left])
    left -= len(block)
out.write(b"the end: " + sys.argv[2].encode() + b"\\n")
"""


def logs(size: int = 1024) -> dict[str, Any]:
    """A child prints `size` MiB and a secret at the very end. Out: MiB a second, the memory of this process, the file.

    `secrets` more are looked for at the same time, as in a project with many variables.
    """
    others = [f"another-secret-{number:04}-{'x' * 16}" for number in range(20)]
    writer = LogWriter("bench/1.log", Redactor([SECRET, *others]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    child = process.start(
        [sys.executable, "-c", _PRINTS, str(size), SECRET],
        env={},
        cwd=Path(settings.DEX_HOME),
        on_output=writer.append,
    )
    code = child.wait(600)
    took = time.monotonic() - began
    dropped = writer.close()
    opened = time.monotonic()
    shown = reading.window("bench/1.log")
    opened = time.monotonic() - opened
    end = read("bench/1.log", -200).text
    if code != 0 or SECRET in end or "the end:" not in end:
        raise RuntimeError(f"the log is not what it should be: exit {code}, {end!r}")
    return {
        "bench": "logs",
        "mib": size,
        "mib_per_s": round(size / took, 1),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "rss_before_mib": round(before / 1024, 1),
        "file_mib": round(writer.path.stat().st_size / 1024 / 1024, 2),
        "dropped_mib": round(dropped / 1024 / 1024, 1),
        "page_ms": round(opened * 1000, 1),
        "lines_shown": len(shown.lines),
        "secrets": 1 + len(others),
    }
