"""One process of dbt: its command line, its log line by line, and its end."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.infra import process
from nodes.dbt.commands.log import Outcome, results_in

GRACE_S = 2.0  # for dbt to cancel its queries, before it is killed
LONGEST_LINE = 4 * 1024 * 1024

Hear = Callable[["Process", bytes | None], None]  # a line of its log; None when it has ended


@dataclass(frozen=True)
class Place:
    """What all commands of a lane share."""

    program: str
    project_dir: Path
    profiles_dir: str
    target_path: Path
    log_path: str
    cwd: str
    target: str = ""
    vars: str = ""  # JSON
    threads: int = 0

    def command(
        self, terms: Iterable[str], *, threads: int | None = None, full_refresh: bool = False, copy: Path | None = None
    ) -> list[str]:
        """The command line that builds what these selectors mean. In: `copy`, to build from in place of the project."""
        options = {
            "--project-dir": str(copy or self.project_dir),
            "--profiles-dir": self.profiles_dir,
            "--target-path": str(self.target_path),
            "--log-path": self.log_path,
            "--log-format": "json",
            "--log-level": "debug",  # the start and the end of a resource are told there
            "--log-level-file": "none",
            "--indirect-selection": "empty",
            "--target": self.target,
            "--vars": self.vars,
            "--threads": str(min(filter(None, (threads, self.threads)), default="")),
        }
        said = [part for name, value in options.items() if value for part in (name, value)]
        refresh = ["--full-refresh"] if full_refresh else []
        return [self.program, "build", *said, "--no-use-colors", *refresh, "--select", *terms]

    @property
    def results(self) -> Path:
        """Where dbt writes how everything ended."""
        return self.target_path / "run_results.json"


class Process:
    """A running `dbt build`. `hear` gets its lines and its end, from other threads."""

    def __init__(self, argv: list[str], place: Place, hear: Hear) -> None:
        self.place = place
        self.interrupted_at: float | None = None
        self._hear = hear
        self._rest = bytearray()
        self._killed = False
        place.results.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        # In the namespace of its supervisor, and ended by the kernel when that ends.
        self._child = process.start(argv, env=environment, cwd=place.cwd, on_output=self._read, isolate=False)
        threading.Thread(target=self._wait, name=f"dbt-{self._child.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.exit_code

    @property
    def signal(self) -> int | None:
        """The signal that ended it, if one did."""
        return self._child.signal

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C does: dbt cancels its queries then."""
        if self.interrupted_at is None:
            self.interrupted_at = time.monotonic()
            threading.Thread(target=self._child.interrupt, daemon=True).start()

    def insist(self) -> None:
        """Kill it, if it was asked to stop and did not."""
        if not self._killed and self.interrupted_at and time.monotonic() - self.interrupted_at > GRACE_S:
            self._killed = True
            self._child.kill()

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()

    def results(self) -> dict[str, Outcome]:
        """What it wrote of all results; nothing where it wrote none."""
        with suppress(OSError):
            return results_in(self.place.results.read_text(errors="replace"))
        return {}

    def _read(self, data: bytes) -> None:
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest[-LONGEST_LINE:])
        for line in lines:
            self._hear(self, bytes(line))

    def _wait(self) -> None:
        self._child.wait()
        if self._rest:
            self._hear(self, bytes(self._rest))
        self._hear(self, None)
