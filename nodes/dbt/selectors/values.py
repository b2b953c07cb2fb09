"""The frozen values that a selector's text is read into, the words dbt knows, and dex's limits."""

from __future__ import annotations

from dataclasses import dataclass

#: How much a form accepts. The command line may give more values (see `COMMAND_VALUES`), never longer ones.
VALUE_LENGTH = 2000
FORM_VALUES = 100
COMMAND_VALUES = 10_000
LIMITS = {"value_length": VALUE_LENGTH, "form_values": FORM_VALUES, "command_values": COMMAND_VALUES}

#: An operator without a number walks to the end of the graph.
ALL = -1

#: dbt's methods (selector_methods.py, MethodName), in the order they are offered.
METHODS = (
    "fqn",
    "tag",
    "path",
    "file",
    "package",
    "source",
    "resource_type",
    "config",
    "group",
    "access",
    "version",
    "test_name",
    "test_type",
    "unit_test",
    "exposure",
    "metric",
    "semantic_model",
    "saved_query",
    "state",
    "result",
    "source_status",
    "selector",
)
SELECTOR = "selector"

RESOURCE_TYPES = (
    "model",
    "seed",
    "snapshot",
    "test",
    "unit_test",
    "source",
    "exposure",
    "metric",
    "semantic_model",
    "saved_query",
    "function",
    "analysis",
    "operation",
)
STATES = (
    "new",
    "old",
    "modified",
    "unmodified",
    "modified.body",
    "modified.configs",
    "modified.relation",
    "modified.persisted_descriptions",
    "modified.macros",
    "modified.contract",
)
RESULTS = ("success", "error", "fail", "warn", "pass", "skipped", "no-op", "partial success", "runtime error")
_WILDCARDS = frozenset("*?[]")


class SelectorError(ValueError):
    """A value that dex refuses: what is wrong (`message`), what was probably meant (`hint`), and the `value`.

    `aborts` tells the two kinds apart that dbt has: on some values it stops (nothing at all is selected),
    others it takes for an empty selection without a word.
    """

    def __init__(self, message: str, hint: str = "", value: str = "", *, aborts: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.value = value
        self.aborts = aborts

    def __str__(self) -> str:
        named = f"{self.value!r}: {self.message}" if self.value else self.message
        return f"{named}. {self.hint}" if self.hint else named


@dataclass(frozen=True, slots=True)
class Atom:
    """One criterion: `2+tag:finance+` is method `tag`, value `finance`, up 2, down ALL."""

    text: str
    method: str
    arguments: tuple[str, ...]
    value: str
    up: int | None = None
    down: int | None = None
    at: bool = False
    explicit: bool = False  # the method was written, not guessed from the value

    @property
    def operators(self) -> tuple[bool, int | None, int | None]:
        """(@, levels above, levels below)."""
        return self.at, self.up, self.down


@dataclass(frozen=True, slots=True)
class Selector:
    """One value of an include or exclude list.

    `terms` is a union (parts separated by spaces) of intersections (parts joined by a comma or `&`). A value usually
    is a single atom, and the fields of that first atom can be read from the selector itself.
    """

    text: str
    terms: tuple[tuple[Atom, ...], ...]
    warnings: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The method of the first atom."""
        return self.terms[0][0].method

    @property
    def value(self) -> str:
        """The value of the first atom."""
        return self.terms[0][0].value

    @property
    def up(self) -> int | None:
        """How many levels above the first atom takes."""
        return self.terms[0][0].up

    @property
    def down(self) -> int | None:
        """How many levels below the first atom takes."""
        return self.terms[0][0].down

    @property
    def at(self) -> bool:
        """Whether the first atom has the operator @."""
        return self.terms[0][0].at

    @property
    def dbt(self) -> str:
        """The same in dbt's spelling, for `--select`: comma for AND, space for OR."""
        return " ".join(",".join(atom.text for atom in term) for term in self.terms)


def has_wildcard(text: str) -> bool:
    """Whether a text holds a wildcard."""
    return not _WILDCARDS.isdisjoint(text)
