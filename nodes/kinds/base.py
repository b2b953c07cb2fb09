"""What every kind of node shares: what it will do, said as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


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
    why: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: the closed set that whatever an execution does is reduced to.

    `retryable` False: trying again cannot help (a resource that is gone); `exit_code` where there was a process.
    """

    state: Literal["succeeded", "failed", "cancelled"]
    reason: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    retryable: bool = True
    log_dropped: int = 0
