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
class Wish:
    """What shall run again: what did not succeed, and besides `keys` (and all below them, "here"), or everything."""

    mode: Mode = "failed"
    keys: frozenset[str] = frozenset()

    @classmethod
    def of(cls, scope: Mapping[str, object]) -> "Wish":
        """The wish that a run's scope keeps."""
        keys = scope.get("keys") or ()
        assert isinstance(keys, Iterable)
        found = frozenset(str(key) for key in keys)
        mode = scope.get("mode") or ("selected" if found else "failed")
        return cls(mode if mode in MODES else "failed", found)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Verdict:
    """Whether a task runs again, and why or why not."""

    runs: bool
    why: str


def verdicts(
    keys: Iterable[str],
    edges: Iterable[tuple[str, str]],
    done: Mapping[str, str],
    wish: Wish,
    changed: Collection[str] = (),
    always: Collection[str] = (),
) -> dict[str, Verdict]:
    """Decide for each task of a plan.

    In: `keys` of the tasks; `edges` as (up, down); `done`, why a task counts as done in the run that is repeated
    ("succeeded in run 7"), by key; `changed`, keys whose code is another now; `always`, keys of hooks, which run every
    time. Out: a verdict for each key.
    """
    ordered = list(keys)
    below: dict[str, list[str]] = {}
    for up, down in edges:
        below.setdefault(up, []).append(down)
    made: dict[str, Verdict] = {}
    spreading: list[str] = []
    for key in ordered:
        if wish.mode == "all":
            made[key] = Verdict(True, "everything runs again")
        elif key in wish.keys:
            made[key] = Verdict(True, "chosen")
            if wish.mode == "here":
                spreading.append(key)
        elif key in changed:
            made[key] = Verdict(True, "its code has changed")
            spreading.append(key)
        elif key in always:
            made[key] = Verdict(True, "hooks run every time")
        elif key not in done:
            made[key] = Verdict(True, NOT_DONE)
        else:
            made[key] = Verdict(False, done[key])
    while spreading:
        up = spreading.pop()
        for down in below.get(up, ()):
            if down in made and not made[down].runs and down not in always:
                made[down] = Verdict(True, "it is below what runs again")
                spreading.append(down)
            elif down not in made:
                made[down] = Verdict(False, "")  # a gate between nodes only passes on
                spreading.append(down)
    return {key: made[key] for key in ordered}
