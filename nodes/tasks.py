"""What a node will do and how that ended, as data: shared by kinds of nodes, what runs for them, and the engine."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flows.infra.process import Child
from flows.models import Revision

After = Literal["", "proceed", "skip", "abort"]


@dataclass(frozen=True)
class TaskSpec:
    """One thing a node will do, before it is a row."""

    key: str  # unique within a flow: dbt's unique_id, or that with a suffix for a row of tests alone
    unique_id: str
    identifier: str
    resource_type: str
    tags: tuple[str, ...] = ()
    path: str = ""
    materialized: str = ""
    runs: bool = True  # False: selected, but not run by the node's command
    tests: tuple[str, ...] = ()
    unit_tests: tuple[str, ...] = ()
    builds: bool = True  # False: only its tests run
    parts: tuple["TaskSpec", ...] = ()  # what one task makes where it makes several: the tables of a connection

    @property
    def makes(self) -> tuple["TaskSpec", ...]:
        """What other tasks may wait for: its parts, or itself."""
        return self.parts or (self,)


@dataclass(frozen=True)
class Problem:
    """Something to tell beside the field it is about."""

    field: str
    message: str
    value: str = ""


@dataclass(frozen=True)
class Expanded:
    """What a node's selectors give on one manifest."""

    specs: tuple[TaskSpec, ...] = ()
    warnings: tuple[Problem, ...] = ()
    errors: tuple[Problem, ...] = ()
    selected: tuple[str, ...] = ()  # what dbt says is selected, also what is not executed: ephemeral models, exposures
    command: Mapping[str, Any] = field(default_factory=dict)  # of dbt, that a Transformation stands for


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended: the closed set that whatever an execution does is reduced to.

    `retryable` False: trying again cannot help (a resource that is gone); `exit_code` where there was a process.
    """

    state: Literal["succeeded", "failed", "cancelled"]
    reason: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    retryable: bool = True
    log_dropped: int = 0
    after: After = ""  # of a start hook that failed: what becomes of the others


class Stopped(Exception):
    """The worker is ending: the attempt was broken off through no fault of its own, and is to be made again."""


@dataclass(frozen=True)
class Context:
    """What an attempt gets: what to do, where to write, whom to obey.

    `cancelled`: somebody wants it to stop, it may end in order. `lost`: another has the task now, so what it
    started must be killed at once. `stopping`: the worker ends; raise Stopped after killing what was started.
    """

    spec: Mapping[str, Any]
    log: Callable[[bytes], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    started: Callable[[Child, int | None], None] = lambda child, uid: None  # says which process and user it has
    progress: Callable[[Mapping[str, Any]], None] = lambda result: None  # shows how far it is
    run_id: int = 0
    task_run_id: int = 0
    attempt: int = 1
    flow: str = ""
    revision: Revision | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: Callable[[str], Mapping[str, Any] | None] = lambda node: None  # what a node before wrote, by its name
    work: Path = Path("/nonexistent")  # a folder of this attempt's own
    timeout: float = 3600

    @property
    def must_end(self) -> bool:
        """Whether there is any reason not to go on."""
        return self.cancelled.is_set() or self.lost.is_set() or self.stopping.is_set()
