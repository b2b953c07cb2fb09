"""What the message of an adapter means, as a kind and a sentence that says what to change."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nodes.dbt.warehouses.base import Problem
from nodes.dbt.warehouses.registry import WAREHOUSES, package_of, title_of

READ = 20_000  # characters of a message that are looked at
LONGEST = 1500  # characters of it that are shown
#: What every server, driver and library may say. Warehouses say what is theirs first.
COMMON = (
    Problem(
        r"could not translate host name|Name or service not known|getaddrinfo|NameResolutionError|Failed to resolve"
        r"|Temporary failure in name resolution|nodename nor servname|No address associated",
        "host",
        "The host {host} was not found. Check Host.",
    ),
    Problem(
        r"Connection refused|actively refused|Errno 111|No route to host|Network is unreachable",
        "port",
        "Nothing answers at {host}, port {port}. Check host and port, and that a firewall lets this machine connect.",
    ),
    Problem(
        r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|wrong version number|SSLError|SSL: ",
        "tls",
        "The server does not speak TLS as the settings ask for it, or its certificate is not trusted.",
    ),
    Problem(r"timed? ?out|timeout", "timeout", "{host} did not answer in time. Check host, port and firewall."),
    Problem(
        r"password authentication|authentication failed|Unauthorized|Login failed|invalid (?:password|credentials)",
        "auth",
        "The warehouse does not accept this login.",
    ),
    Problem(
        r"permission denied|insufficient privileges|Access Denied|not authorized|Forbidden",
        "permission",
        "The login works, but lacks a permission.",
    ),
)
_NO_ADAPTER = re.compile(r"Could not find adapter type|No module named 'dbt\.adapters\.(?!exceptions)", re.IGNORECASE)
_NO_PROFILE = re.compile(r"Credentials in profile .{0,200}? invalid: (?P<what>[^\n]{1,500})", re.IGNORECASE | re.DOTALL)


def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern not in _PATTERNS:
        _PATTERNS[pattern] = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return _PATTERNS[pattern]


# All of them at once, so that the test of hostile texts finds them.
_PATTERNS: dict[str, re.Pattern[str]] = {}
for _problem in (*COMMON, *(problem for warehouse in WAREHOUSES.values() for problem in warehouse.problems)):
    _compiled(_problem.pattern)


def explain(kind: str, settings: Mapping[str, Any], message: str) -> tuple[str, str]:
    """What is wrong, as a kind and a sentence; ("other", "") where nobody knows.

    In: `kind`, dbt's type of the warehouse; `settings`, without secrets, for the names in the sentence.
    """
    text = message[:READ]
    if _NO_ADAPTER.search(text):
        return "adapter", no_adapter(kind)
    if found := _NO_PROFILE.search(text):
        return "setting", f"dbt's adapter does not accept the settings: {found['what'].strip().rstrip('.')}."
    own: Iterable[Problem] = WAREHOUSES[kind].problems if kind in WAREHOUSES else ()
    for problem in (*own, *COMMON):
        if found := _compiled(problem.pattern).search(text):
            return problem.kind, sentence(problem.message, {**settings, **_groups(found)})
    return "other", ""


def no_adapter(kind: str, adapters: Sequence[str] = ()) -> str:
    """That the project's dbt cannot talk to a warehouse, and what it needs. In: what it has adapters for, if known."""
    package = package_of(kind)
    here = f", only for {' and '.join(map(title_of, adapters))}" if adapters else ""
    advice = f"Add the package {package} to the project's dbt runtime" if package else "Correct the type in the profile"
    return f"The project's dbt has no adapter for {title_of(kind)[:60]}{here}. {advice}."


def sentence(text: str, names: Mapping[str, Any]) -> str:
    """A sentence with its names filled in; one that has no value is left out."""
    known: defaultdict[str, Any] = defaultdict(str, {name: "" if v is None else v for name, v in names.items()})
    filled = " ".join(text.format_map(known).split())
    for mark in ",.:;":
        filled = filled.replace(f" {mark}", mark).replace(f", port{mark}", mark)
    return filled


def _groups(found: re.Match[str]) -> dict[str, str]:
    return {name: value.strip("\"'") for name, value in found.groupdict().items() if value}
