"""What a line of the system's log is about: the run and the task that this thread works on, put into every line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[dict[str, int]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(**ids: int) -> Iterator[None]:
    """Lines written inside carry these ids, such as run=12, task=340."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


class Context(logging.Filter):
    """Adds the ids to every record: as fields for JSON, and as `where` for people."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        ids = _about.get()
        record.where = "".join(f" [{name} {number}]" for name, number in ids.items())
        for name, number in ids.items():
            setattr(record, name, number)
        return True
