"""Which failures are worth another try. Pure.

Patterns are those of a shell (`*`, `?`, `[abc]`), found anywhere in the message, whatever the case: nobody who writes
one can make the engine hang, as with regular expressions.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

When = Literal["any", "transient", "matching"]
MOST_RETRIES = 20
LONGEST_S = 2**31 - 1
#: Kinds of tasks that may have a policy of their own, in the words of forms and files: dbt's types of resources, and
#: the kinds of nodes that `add_kind` adds.
KINDS = {
    "model": "Models",
    "seed": "Seeds",
    "snapshot": "Snapshots",
    "function": "Functions",
    "test": "Tests",
}
MOST_PATTERNS = 50
LONGEST_PATTERN = 200
LONGEST_MESSAGE = 20_000  # characters that are looked at
#: What warehouses, drivers and HTTP services say when trying again later usually helps.
TRANSIENT = (
    # the network, and a server that goes away
    *("connection*lost", "connection*refused", "connection*reset", "connection*closed", "connection*terminated"),
    *("connection timed out", "could not connect", "server closed the connection", "terminating connection"),
    *("broken pipe", "network is unreachable", "no route to host", "temporary failure in name resolution"),
    *("ssl*unexpected eof", "remote end closed"),
    *("the database system is starting up", "the database system is shutting down", "too many connections"),
    *("remaining connection slots are reserved",),
    # locks, and transactions that met
    *("deadlock detected", "could not serialize access", "lock timeout", "canceling statement due to lock timeout"),
    *("could not obtain lock", "could not set lock on file", "conflicting lock is held", "database is locked"),
    *("concurrent update", "concurrent transaction", "transaction conflict", "conflict on update"),
    # services behind HTTP
    *("http 429", "http 500", "http 502", "http 503", "http 504", "error 429", "error 502", "error 503", "error 504"),
    *("status 429", "status 502", "status 503", "status 504", "too many requests", "rate limit", "bad gateway"),
    *("service unavailable", "gateway timeout", "temporarily unavailable", "try again later", "backend error"),
)


def lines_of(text: str) -> list[str]:
    """The patterns of a field in which each stands on a line of its own."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def problem_of(text: str) -> str:
    """What is wrong with such a field, and what to do; empty when nothing is."""
    patterns = lines_of(text)
    if len(patterns) > MOST_PATTERNS:
        return f"There are at most {MOST_PATTERNS} patterns, not {len(patterns)}."
    for pattern in patterns:
        if len(pattern) > LONGEST_PATTERN:
            return f"A pattern has at most {LONGEST_PATTERN} characters: {pattern[:40]}…"
        if not pattern.strip("*? "):
            return f"The pattern {pattern} matches every message; choose “any failure” instead."
    return ""


def matches(message: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns is found in a message."""
    text = " ".join(message[:LONGEST_MESSAGE].casefold().split())
    return any(fnmatchcase(text, f"*{pattern.casefold()}*") for pattern in patterns)


def is_transient(message: str) -> bool:
    """Whether a message is one of those that usually pass by themselves."""
    return matches(message, TRANSIENT)


def is_worth_a_try(message: str, when: str, patterns: Iterable[str]) -> bool:
    """Whether a failure with this message is tried again: any, what is transient, or what fits a pattern."""
    if when == "transient":
        return is_transient(message)
    if when == "matching":
        return matches(message, patterns)
    return True


def add_kind(name: str, label: str) -> None:
    """Let the tasks of a kind of node have a policy of their own; `label` is for people: "Scripts"."""
    KINDS[name] = label


def remove_kind(name: str) -> None:
    """Take that back; a kind that was never added is no error."""
    KINDS.pop(name, None)


def kind_of(node_kind: str, resource_type: str) -> str:
    """The kind of a task, a key of KINDS, from what its node is and what dbt calls it; empty for any other."""
    if node_kind in KINDS:
        return node_kind
    kind = "test" if resource_type == "unit_test" else resource_type
    return kind if kind in KINDS else ""


def problem_of_kinds(by_kind: object) -> str:
    """What is wrong with policies by kind, {"seed": {"retries": 2, "timeout": 60}}; empty when nothing is."""
    if not isinstance(by_kind, Mapping):
        return 'Must be a mapping of types, such as {"seed": {"retries": 2}}.'
    for kind, policy in by_kind.items():
        if kind not in KINDS:
            return f"Unknown type {str(kind)[:40]}; use one of {', '.join(KINDS)}."
        if not isinstance(policy, Mapping):
            return f"{kind}: must be a mapping, such as retries: 2."
        for name, value in policy.items():
            if wrong := _problem_of_setting(str(name), value):
                return f"{KINDS[kind]}: {wrong}"
    return ""


def _problem_of_setting(name: str, value: Any) -> str:
    if name == "retry_on":
        return "" if value in get_args(When) else f"retry_on must be one of {', '.join(get_args(When))}."
    bounds = {"retries": (0, MOST_RETRIES), "retry_delay": (0, LONGEST_S), "timeout": (1, LONGEST_S)}
    if name not in bounds:
        return f"{name[:40]} is unknown; use {', '.join(bounds)} or retry_on."
    least, most = bounds[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        return f"{name} must be a whole number from {least} to {most}."
    return ""
