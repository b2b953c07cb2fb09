"""dbt sessions of this process. One that a run needs no more is kept warm for the next of the same revision."""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from flows.models import Revision
from nodes.dbt.client import SESSION, DbtClient, Event, SessionClosed
from nodes.dbt.profiles import ProfileError
from nodes.dbt.runtime import Runtime
from nodes.dbt.warehouse import asked_target, database_dir, dbt_environment, parsed_of

log = logging.getLogger("dex.sessions")
MOST_IDLE = 3  # a session of a large project takes some 300 MB
Sink = Callable[[bytes], None]


class Session:
    """A dbt session as a driver uses it: calls that wait for their answer, events of tasks, one sink for the rest.

    In: `runtime`, the dbt that the revision was parsed with (default: the one that dex ships); which executor.
    """

    def __init__(self, key: str, revision: Revision, runtime: Runtime | None = None, executor: str = SESSION) -> None:
        self.key = key
        self.warehouse = str(revision.warehouse.get("type") or "")
        self.sink: Sink | None = None
        self.since = time.monotonic()
        self.died: str | None = None
        self._folder = Path(settings.DEX_HOME) / "sessions" / uuid.uuid4().hex
        self._folder.mkdir(parents=True, mode=0o700)
        self._waiting: list[Event] = []
        self.client = DbtClient(
            env=dbt_environment(revision.environment),
            home=Path(settings.DEX_HOME) / "sessions" / "home",
            on_output=self._output,
            runtime=runtime,
            executor=executor,
        )

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self.died is None and self.client.alive

    def open(self, revision: Revision, threads: int) -> str:
        """Load a revision; "" or what went wrong."""
        try:
            self.client.open(
                parsed_of(revision),
                work_dir=self._folder,
                threads=threads,
                target=asked_target(revision) or None,
                vars=revision.variables,
                database_dir=database_dir(revision.environment),
            )
        except (SessionClosed, ProfileError) as error:
            return str(error)
        return self._answer("ready", settings.SESSION_OPEN_TIMEOUT_S)

    def begin(self, unique_ids: Iterable[str], label: str, *, leftovers: bool, invocation: Mapping[str, Any]) -> str:
        """Prepare a run: connections, schemas, the cache of relations; "" or what went wrong."""
        try:
            self.client.begin(unique_ids, hooks=False, label=label, leftovers=leftovers, invocation=invocation)
        except SessionClosed as error:
            return str(error)
        return self._answer("begun", settings.SESSION_OPEN_TIMEOUT_S)

    def end(self) -> str:
        """End the run and close every connection; "" or what went wrong."""
        try:
            self.client.end()
        except SessionClosed as error:
            return str(error)
        return self._answer("ended", 60)

    def _answer(self, wanted: str, timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            event = self.client.next_event(left)
            if event is None:
                continue
            kind = event["event"]
            if kind == "died":
                self.died = _how(event)
                return self.died
            if kind == "fatal":
                return str(event.get("message"))
            if kind == wanted:
                return "" if event.get("proceed", event.get("ok", True)) else str(event.get("message"))
            if kind == "log" and not event.get("task"):
                self._output(f"{event['text']}\n".encode(errors="replace"))
            else:
                self._waiting.append(event)
        return f"dbt did not respond for {timeout:g} s"

    def events(self, timeout: float) -> Iterator[Event]:
        """What it said, waiting at most `timeout` seconds for the first."""
        waiting, self._waiting = self._waiting, []
        yield from waiting
        event = self.client.next_event(0 if waiting else max(0.0, timeout))
        while event is not None:
            if event["event"] == "died":
                self.died = _how(event)
            if event["event"] == "log" and not event.get("task"):
                self._output(f"{event['text']}\n".encode(errors="replace"))
            else:
                yield event
            event = self.client.next_event(0)

    def plan(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Tell the command executor what may run along with the next task."""
        with suppress(SessionClosed):
            self.client.plan(items)

    def refuse(self, key: str) -> None:
        """Keep the command executor from executing what it has begun."""
        with suppress(SessionClosed):
            self.client.refuse(key)

    def cancel(self, task: str) -> None:
        """Cancel one task; from any thread."""
        with suppress(SessionClosed):
            self.client.cancel(task)

    def kill(self) -> None:
        """End the process, its queries first; from any thread."""
        self.client.kill(grace=1)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """End the process in order; returns when it is gone."""
        self.client.close()
        self.client.child.wait(5)
        self.kill()

    def _output(self, data: bytes) -> None:
        if self.sink is not None:
            self.sink(data)


def _how(event: Event) -> str:
    if event.get("signal"):
        return f"killed by signal {event['signal']}"
    return f"exit code {event.get('exit_code')}"


_idle: list[Session] = []
_lock = threading.Lock()


def take(key: str) -> Session | None:
    """A living warm session for `key`, which is the caller's from now on; None when there is none."""
    with _lock:
        for session in reversed(_idle):
            if session.key == key:
                _idle.remove(session)
                if session.alive:
                    return session
    return None


def keep(session: Session) -> None:
    """Keep an open session that nobody uses; the oldest go when there are too many."""
    session.sink = None
    session.since = time.monotonic()
    with _lock:
        _idle.append(session)
        surplus = _idle[:-MOST_IDLE]
        del _idle[: len(surplus)]
    for old in surplus:
        old.close()


def expire() -> None:
    """Close what was idle longer than SESSION_WARM_S."""
    limit = time.monotonic() - settings.SESSION_WARM_S
    _close(lambda session: session.since < limit or not session.alive)


def close_all() -> None:
    """Close every idle session; for the end of the process."""
    _close(lambda session: True)


def _close(which: Callable[[Session], Any]) -> None:
    with _lock:
        old = [session for session in _idle if which(session)]
        for session in old:
            _idle.remove(session)
    for session in old:
        session.close()
