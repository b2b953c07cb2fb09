"""Reads an exported form: every mistake is found and named, at its place."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from flows.models import Flow
from flows.retry_policy import problem_of_kinds
from nodes import kinds
from nodes.document.value import (
    AFTER,
    FLOW_FIELDS,
    FORMAT,
    SCHEDULE_FIELDS,
    Document,
    flow_defaults,
)
from nodes.models import Node

MOST_NODES = 500
MOST_PROBLEMS = 50  # that are told; looking for what was meant takes time for each


class DocumentError(ValueError):
    """A text that is no flow; `problems` says what and where, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def read(given: Any) -> Document:
    """The whole form of an exported form. Raises DocumentError with all that is wrong."""
    problems: list[str] = []
    if not isinstance(given, dict):
        raise DocumentError(["A flow must be a mapping that begins with dex: 1, name: and environment:."])
    if given.get("dex") != FORMAT:
        problems.append(f"dex: must be {FORMAT}, the format that this version reads.")
    fields = ("dex", "name", "environment", *FLOW_FIELDS, "schedule", "nodes")
    problems += _unknown("the flow", given, fields)
    schedule = given.get("schedule") or {}
    if not isinstance(schedule, dict):
        problems.append("schedule: must be a mapping with cron: and time_zone:.")
        schedule = {}
    problems += _unknown("schedule", schedule, (*SCHEDULE_FIELDS, AFTER))
    defaults = flow_defaults()
    document: Document = {
        "name": given.get("name"),
        "environment": given.get("environment"),
        **{name: given.get(name, defaults[name]) for name in FLOW_FIELDS},
        "schedule": {name: schedule.get(name, defaults[name]) for name in (*SCHEDULE_FIELDS, AFTER)},
    }
    for name in ("name", "environment"):
        if not isinstance(document[name], str) or not document[name].strip():
            problems.append(f"{name}: is missing or is not text.")
    problems += _wrong_types("the flow", document | document["schedule"], Flow, (*FLOW_FIELDS, *SCHEDULE_FIELDS))
    if not _texts(document["schedule"][AFTER]):
        problems.append("schedule: after: must be a list of the names of flows.")
        document["schedule"][AFTER] = []
    nodes = given.get("nodes") or []
    if not isinstance(nodes, list):
        problems.append("nodes: must be a list.")
        nodes = []
    if len(nodes) > MOST_NODES:
        raise DocumentError([f"A flow has at most {MOST_NODES} nodes; this has {len(nodes)}."])
    document["nodes"] = [_read_node(node, number, problems) for number, node in enumerate(nodes, 1)]
    problems += _wrong_names(document["nodes"])
    if problems:
        raise DocumentError(problems)
    return document


def _read_node(given: Any, number: int, problems: list[str]) -> Document:
    where = f"node {number}"
    if not isinstance(given, dict):
        problems.append(f"{where}: must be a mapping with name: and type:.")
        return {}
    name, type_name = given.get("name"), given.get("type", Node._meta.get_field("kind").get_default())
    if not isinstance(name, str) or not name.strip():
        problems.append(f"{where}: name: is missing or is not text.")
        name = where
    where = f"node {name[:60]}"
    try:
        kind = kinds.get(type_name)
    except kinds.UnknownKind as error:
        names = ", ".join(each.name for each in kinds.all_kinds())
        problems.append(f"{where}: type: must be one of {names}, not {str(type_name)[:60]}.{error.hint}")
        return {"name": name}
    problems += _unknown(where, given, ("name", "type", *kind.fields, "runs_after", "at"))
    document: Document = {"name": name, "type": kind.name}
    document |= {field: given.get(field, default) for field, default in kind.defaults.items()}
    own = {option.name for option in kind.options}
    problems += _wrong_types(where, document, Node, tuple(field for field in kind.fields if field not in own))
    problems += [
        f"{where}: {option.name}: must be {option.wanted}."
        for option in kind.options
        if not option.fits(document[option.name])
    ]
    document["runs_after"] = given.get("runs_after") or []
    if not _texts(document["runs_after"]):
        problems.append(f"{where}: runs_after: must be a list of the names of nodes.")
        document["runs_after"] = []
    document["at"] = given.get("at")
    if document["at"] is not None and not _place(document["at"]):
        problems.append(f"{where}: at: must be two numbers, such as [240, 80].")
        document["at"] = None
    return document


def _unknown(where: str, given: Mapping[Any, Any], names: tuple[str, ...]) -> Iterator[str]:
    unknown = [key for key in given if key not in names]
    for key in unknown[:MOST_PROBLEMS]:
        close = get_close_matches(str(key)[:60], names, n=1)
        yield (f"{where}: {str(key)[:60]}: is not a known key." + (f" Did you mean {close[0]}?" if close else ""))
    if len(unknown) > MOST_PROBLEMS:
        yield f"{where}: {len(unknown) - MOST_PROBLEMS:,} more unknown keys."


def _wrong_types(where: str, document: Document, row: type[Flow] | type[Node], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value, field = document[name], row._meta.get_field(name)
        kind = field.get_internal_type()
        if name == "by_kind":
            wrong = problem_of_kinds(value)
            fits, wanted = not wrong, f"policies by type of task: {wrong}".rstrip(".")
        elif kind == "JSONField":
            fits = isinstance(value, list) and (name in ("arguments", "parameters") or _texts(value))
            wanted = "a list of strings" if name not in ("arguments", "parameters") else "a list"
        elif kind == "BooleanField":
            fits, wanted = isinstance(value, bool), "true or false"
        elif kind in ("PositiveSmallIntegerField", "PositiveIntegerField"):
            whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
            fits, wanted = whole or (value is None and field.null), "a whole number"
        elif kind == "ForeignKey":
            fits, wanted = value is None or isinstance(value, str), "the name of a connection"
        else:
            fits, wanted = isinstance(value, str), "text"
        if not fits:
            yield f"{where}: {name}: must be {wanted}."


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _place(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2
    return numbers and all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) and abs(n) < 1e7 for n in value
    )


def _wrong_names(nodes: list[Document]) -> Iterator[str]:
    names = Counter(node["name"] for node in nodes if "name" in node)
    for name in sorted(name for name, count in names.items() if count > 1):
        yield f"node {name[:60]}: this name is used twice."
    told = 0
    for node in nodes:
        for up in dict.fromkeys(node.get("runs_after", ())):
            if told >= MOST_PROBLEMS:
                return
            if up == node["name"]:
                told += 1
                yield f"node {node['name'][:60]}: runs_after: a node cannot run after itself."
            elif up not in names:
                told += 1
                close = get_close_matches(up[:150], names, n=1)
                hint = f" Did you mean {close[0]}?" if close else ""
                yield f"node {node['name'][:60]}: runs_after: there is no node {up[:60]}.{hint}"
