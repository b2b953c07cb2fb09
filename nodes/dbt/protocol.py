"""The lines that a child which runs dbt writes for dex; docs/decisions/0002-dbt-session.md has the protocol."""

import json
import os
import queue
import threading
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any


class Writer(threading.Thread):
    """Writes events in the order they happened; what piled up goes out with one call."""

    def __init__(self, fd: int) -> None:
        super().__init__(name="events", daemon=True)
        self._fd = fd
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def emit(self, event: dict[str, Any]) -> None:
        """Write an event as soon as possible; from any thread."""
        self._events.put(event)

    def run(self) -> None:
        """Write until `finish`."""
        while True:
            batch = [self._events.get()]
            with suppress(queue.Empty):
                while len(batch) < 500:
                    batch.append(self._events.get_nowait())
            lines = "".join(json.dumps(event, default=str) + "\n" for event in batch if event is not None)
            data = lines.encode("utf-8", "backslashreplace")
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:  # nobody reads any more
                os._exit(1)
            if None in batch:
                return

    def finish(self) -> None:
        """Everything is out when this returns."""
        self._events.put(None)
        self.join(5)


def log_line(task: str | None, level: str, text: str) -> dict[str, Any]:
    """The event that carries one piece of log."""
    at = datetime.now(timezone.utc).isoformat()  # noqa: UP017 - also run by Pythons that have no datetime.UTC
    return {"event": "log", "task": task, "level": level, "text": text, "ts": at}
