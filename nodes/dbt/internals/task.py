"""What dbt is given in place of its own parts: a task that supplies runners, a pool, an event manager."""

import contextvars
import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from dbt.compilation import Compiler
from dbt.task.build import BuildTask
from dbt_common.events.base_types import EventLevel
from dbt_common.events.contextvars import log_contextvars
from dbt_common.events.event_manager import EventManager

from nodes.dbt.internals import versions
from nodes.dbt.internals.invocation import config_of_now
from nodes.dbt.internals.microbatch import told, window_at

Log = Callable[[str, str], None]  # level, text; called in the thread that has something to say

_QUIET = (EventLevel.DEBUG, EventLevel.TEST)


@dataclass
class Ticket:
    """One execution from outside: who works for it, and whether it is still wanted."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    threads: set[int] = field(default_factory=set)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While this thread works for the ticket, its queries are the ticket's."""
        me = threading.get_ident()
        self.threads.add(me)
        try:
            yield
        finally:
            self.threads.discard(me)


@dataclass(frozen=True)
class Outcome:
    """What became of one resource, in dbt's words for the status."""

    unique_id: str
    name: str
    status: str  # success, pass, warn, fail, error, skipped, partial success
    message: str
    failures: int | None = None
    execution_time: float = 0.0
    adapter_response: dict[str, Any] = field(default_factory=dict)
    compiled_code: str | None = None
    record: dict[str, Any] = field(default_factory=dict)  # all of it that outlives the session

    @property
    def good(self) -> bool:
        """Whether dbt counts it as a success."""
        return self.status in ("success", "pass", "warn", "no-op")


@dataclass(frozen=True)
class HookReport:
    """What became of the hooks at one end of a run."""

    proceed: bool
    message: str = ""
    hooks: tuple[dict[str, str], ...] = ()
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    aborted: bool = False  # dbt would have ended the run here, on-run-end hooks too


class Events(EventManager):
    """Skips what nobody will read before dbt makes a message of it: most of what it says is for debugging."""

    debug = False

    def fire_event(
        self, e: Any, level: Any = None, node: Any = None, force_warn_or_error_handling: bool = False
    ) -> None:
        """Hand an event on to dbt, unless nobody would read it."""
        if not self.debug and (level or e.level_tag()) in _QUIET:
            return
        super().fire_event(e, level, node, force_warn_or_error_handling)


class Batches:
    """What a microbatch model takes for dbt's thread pool; closed once its task is cancelled."""

    def __init__(self, threads: int, executor: ThreadPoolExecutor, ticket: Ticket) -> None:
        self.max_threads = threads
        self.max_microbatch_models = max(1, threads // 2)
        self._executor, self._ticket = executor, ticket

    def is_closed(self) -> bool:
        """Whether no further batch may start."""
        return self._ticket.cancelled.is_set()

    def apply_async(self, work: Callable[..., Any], args: Iterable[Any] = (), callback: Any = None) -> None:
        """Build one batch on a thread of the session."""
        context = contextvars.copy_context()  # its log lines belong to the same task

        def batch() -> None:
            with self._ticket.working():
                callback(context.run(work, *args))

        self._executor.submit(batch)


class Supplier(BuildTask):
    """dbt's build task as a supplier of runners: which one runs when is decided outside."""

    @property
    def config(self) -> Any:
        """With the flags of the command that the execution stands for, which asks."""
        return config_of_now() or self._config

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config

    @property
    def compiler(self) -> Compiler:
        """One for each use, on the config of that moment: hooks are compiled by it."""
        return Compiler(self.config)

    @compiler.setter
    def compiler(self, compiler: Compiler) -> None:
        """dbt sets one; it would know the session's own config alone."""

    def __init__(self, project: Any, wanted: frozenset[str]) -> None:
        super().__init__(project.flags, project.config, project.manifest)
        self._executed: dict[str, Any] = project.executed
        self.num_nodes = len(wanted)
        self.job_queue = SimpleNamespace(in_progress=set(), in_progress_microbatch=set())
        self.with_hooks = True

    @property
    def original_invocation_started_at(self) -> datetime | None:
        """From when the execution that asks counts its batches; None: from the beginning of this run."""
        return window_at.get()

    @original_invocation_started_at.setter
    def original_invocation_started_at(self, at: datetime | None) -> None:
        """dbt sets it to nothing."""

    def get_hooks_by_type(self, hook_type: Any) -> list[Any]:
        """Fresh copies of the project's hooks, or none where the caller runs them."""
        hooks = [fresh(hook) for hook in super().get_hooks_by_type(hook_type)] if self.with_hooks else []
        self._executed.update({hook.unique_id: hook for hook in hooks})
        return hooks

    def populate_adapter_cache(self, adapter: Any, required_schemas: Any = None) -> None:
        """Ask the warehouse again which relations there are."""
        adapter.cache.clear()  # what an earlier run knew may have changed since
        super().populate_adapter_cache(adapter, required_schemas)

    def call_runner(self, runner: Any) -> Any:
        """As dbt's own, without the messages that carry whole results and that nobody reads here."""
        try:
            with log_contextvars(node_info=runner.node.node_info):
                return told(runner, lambda: runner.run_with_hooks(self.manifest))
        except Exception as error:
            return versions.crashed(self, runner, error)
        finally:
            runner.node.clear_event_status()


def fresh(node: Any) -> Any:
    """A copy to execute: running a node changes it, and the next run wants it as it was parsed."""
    new = copy.copy(node)
    new._event_status = {}
    if "extra_ctes" in vars(new):
        new.extra_ctes = []
    if "depends_on" in vars(new):  # the macros that a run uses are added in place
        new.depends_on = copy.copy(node.depends_on)
        new.depends_on.macros = [*node.depends_on.macros]
    if getattr(new, "all_constraints", None):  # their references are replaced in place
        new.constraints, new.columns = copy.deepcopy(node.constraints), copy.deepcopy(node.columns)
    return new
