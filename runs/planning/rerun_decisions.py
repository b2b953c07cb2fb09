"""What a rerun runs again and what it takes over, with the reason for each. Pure.

The dialog before a rerun and the planner of the rerun ask the same function, so that the dialog cannot promise what
the run does not do.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["failed", "here", "selected", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
NOT_DONE = "it did not succeed"


@dataclass(frozen=True)
class Scope:
    """What shall run again: what did not succeed, and besides `keys` (and all below them, "here"), or everything."""

    mode: Mode = "failed"
    keys: frozenset[str] = frozenset()

    @classmethod
    def of(cls, scope: Mapping[str, object]) -> "Scope":
        """The scope as the run keeps it."""
        keys = scope.get("keys") or ()
        assert isinstance(keys, Iterable)
        unique = frozenset(str(key) for key in keys)
        mode = scope.get("mode") or ("selected" if unique else "failed")
        return cls(mode if mode in MODES else "failed", unique)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Decision:
    """Whether a task runs again, and why or why not."""

    runs: bool
    why: str


def decisions(
    keys: Iterable[str],
    edges: Iterable[tuple[str, str]],
    done: Mapping[str, str],
    scope: Scope,
    changed: Collection[str] = (),
    always: Collection[str] = (),
) -> dict[str, Decision]:
    """Decide for each task of a plan.

    In: `keys` of the tasks; `edges` as (up, down); `done`, why a task counts as done in the run that is repeated
    ("succeeded in run 7"), by key; `changed`, keys whose code is another now; `always`, keys of hooks, which run every
    time. Out: a decision for each key.
    """
    ordered = list(keys)
    below: dict[str, list[str]] = {}
    for up, down in edges:
        below.setdefault(up, []).append(down)
    by_key: dict[str, Decision] = {}
    spreading: list[str] = []
    for key in ordered:
        if scope.mode == "all":
            by_key[key] = Decision(True, "everything runs again")
        elif key in scope.keys:
            by_key[key] = Decision(True, "chosen")
            if scope.mode == "here":
                spreading.append(key)
        elif key in changed:
            by_key[key] = Decision(True, "its code has changed")
            spreading.append(key)
        elif key in always:
            by_key[key] = Decision(True, "hooks always run")
        elif key not in done:
            by_key[key] = Decision(True, NOT_DONE)
        else:
            by_key[key] = Decision(False, done[key])
    while spreading:
        up = spreading.pop()
        for down in below.get(up, ()):
            if down in by_key and not by_key[down].runs and down not in always:
                by_key[down] = Decision(True, "it is downstream of a task that runs again")
                spreading.append(down)
            elif down not in by_key:
                by_key[down] = Decision(False, "")  # a gate between nodes only passes on
                spreading.append(down)
    return {key: by_key[key] for key in ordered}
