"""What models, tests and hooks can read of the command that they run in: as if it were one `dbt build`.

dbt keeps its flags in a global and in the config. Here nodes with different settings run side by side, so both are
found by context: each execution sees those of the command that its step stands for.
"""

import copy
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import dbt_common.invocation
from dbt import tracking
from dbt.cli.flags import Flags, args_to_context
from dbt.flags import set_flags

from nodes.dbt.internals.versions import UTC


@dataclass(frozen=True)
class Command:
    """A command of dbt: what a step of a run stands for."""

    which: str = "build"
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    indirect_selection: str = "eager"
    full_refresh: bool = False

    @classmethod
    def of(cls, order: Mapping[str, Any] | None) -> "Command":
        """From the protocol; what is not said is as in a bare `dbt build`."""
        order = order or {}
        return cls(
            which=str(order.get("which") or "build"),
            select=tuple(order.get("select") or ()),
            exclude=tuple(order.get("exclude") or ()),
            indirect_selection=str(order.get("indirect_selection") or "eager"),
            full_refresh=bool(order.get("full_refresh")),
        )

    def arguments(self, place: Mapping[str, Any]) -> list[str]:
        """Its command line; `place` holds the options that all commands of a session share."""
        arguments = [self.which]
        for name in ("project_dir", "profiles_dir", "target", "threads"):
            if place.get(name):
                arguments += [f"--{name.replace('_', '-')}", str(place[name])]
        if place.get("vars"):
            arguments += ["--vars", json.dumps(place["vars"], separators=(",", ":"))]
        arguments += ["--select", *self.select] if self.select else []
        arguments += ["--exclude", *self.exclude] if self.exclude else []
        arguments += ["--indirect-selection", self.indirect_selection] if self.indirect_selection != "eager" else []
        # dbt test has no such option.
        return [*arguments, "--full-refresh"] if self.full_refresh and self.which != "test" else arguments


@dataclass(frozen=True)
class Invocation:
    """One run, as dbt has an invocation: the same for all sessions that execute some of it."""

    id: str = ""
    started_at: datetime | None = None
    selected: tuple[str, ...] | None = None  # None: what the session is asked to prepare
    steps: Mapping[str, Command] = field(default_factory=dict)
    hooks: Command = field(default_factory=Command)

    @classmethod
    def of(cls, order: Mapping[str, Any] | None) -> "Invocation":
        """From the protocol."""
        order = order or {}
        started = order.get("started_at")
        selected = order.get("selected")
        return cls(
            id=str(order.get("id") or ""),
            started_at=datetime.fromisoformat(started) if started else None,
            selected=None if selected is None else tuple(selected),
            steps={str(key): Command.of(each) for key, each in (order.get("steps") or {}).items()},
            hooks=Command.of(order.get("hooks")),
        )

    def command(self, step: str, *, full_refresh: bool) -> Command:
        """What a step stands for; one that is not known, a bare `dbt build`."""
        return replace(self.steps.get(step, Command()), full_refresh=full_refresh)

    def begin(self, profiles_dir: str) -> None:
        """Make its id and its beginning those that dbt tells: new ones unless a session before had them already."""
        dbt_common.invocation.reset_invocation_id()
        if self.id:
            dbt_common.invocation._INVOCATION_ID = self.id
        tracking.initialize_from_flags(False, profiles_dir)
        if self.started_at is not None:
            dbt_common.invocation._INVOCATION_STARTED_AT = self.started_at.astimezone(UTC).replace(tzinfo=None)
            tracking.active_user.run_started_at = self.started_at.astimezone(
                tracking.active_user.run_started_at.tzinfo  # that of dbt, which prints itself in its own way
            )


_flags: ContextVar[Any] = ContextVar("flags", default=None)
_config: ContextVar[Any] = ContextVar("config", default=None)


class _Seen:
    """Takes the place of dbt's global flags: those of the execution that asks, else the session's own."""

    def __init__(self, own: Flags) -> None:
        object.__setattr__(self, "_own", own)

    def __getattr__(self, name: str) -> Any:
        return getattr(_flags.get() or object.__getattribute__(self, "_own"), name)


class _Shown(Flags):
    """Flags that are looked at and change nothing: dbt's own set how messages are coloured when they are made."""

    def set_common_global_flags(self) -> None:
        """Leave dbt's globals alone."""


class Commands:
    """The flags and configs of the commands that a session was asked to be like; made once each."""

    def __init__(self, own: Flags, place: Mapping[str, Any]) -> None:
        self._place = place
        self._made: dict[Command, tuple[Flags, Any]] = {}
        self._lock = threading.Lock()
        set_flags(_Seen(own))

    def _of(self, command: Command, config: Any) -> tuple[Flags, Any]:
        with self._lock:
            if command not in self._made:
                arguments = command.arguments(self._place)
                # Values of selectors are not given to the parser of options: one might look like an option.
                flags = _Shown(ctx=args_to_context(replace(command, select=(), exclude=()).arguments(self._place)))
                described: dict[str, Any] = {"invocation_command": f"dbt {' '.join(arguments)}"}
                described |= {"select": command.select} if command.select else {}
                described |= {"exclude": command.exclude} if command.exclude else {}
                if command.full_refresh:  # also where the command has no such option
                    described["full_refresh"] = True
                object.__delattr__(flags, "deprecated_env_var_warnings")  # dbt takes them away once they are said
                for name, value in described.items():
                    object.__setattr__(flags, name.upper(), value)
                    object.__setattr__(flags, name, value)
                seen = copy.copy(config)
                seen.args = flags
                self._made[command] = flags, seen
            return self._made[command]

    @contextmanager
    def active(self, command: Command, config: Any) -> Iterator[None]:
        """Within the block, this context sees the command's flags, on their own and in the config."""
        flags, seen = self._of(command, config)
        one, two = _flags.set(flags), _config.set(seen)
        try:
            yield
        finally:
            _flags.reset(one)
            _config.reset(two)


def config_of_now() -> Any:
    """The config with the flags of the execution that asks; None outside of one."""
    return _config.get()
