"""Parameters that a flow declares, and the values that a start gives them. Pure."""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
KEYS = ("name", "type", "default", "required")
MOST = 256
LONGEST_VALUE = 32 * 1024
LARGEST = 2**63  # beyond it no warehouse has whole numbers
Declarations = Sequence[Mapping[str, Any]]


class ParameterError(ValueError):
    """A declaration or a value is wrong; the message says which and what to give instead."""


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[str(value).strip().lower()]


def _text(value: Any) -> str:
    text = str(value)
    if len(text.encode()) > LONGEST_VALUE or "\0" in text:
        raise ValueError
    return text


def _integer(value: Any) -> int:
    number = int(value)
    cut = isinstance(value, float) and value != number
    if isinstance(value, bool) or cut or abs(number) >= LARGEST:
        raise ValueError
    return number


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError  # neither JSON nor a warehouse has NaN and infinity
    return number


TYPES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "text": (_text, "text of at most 32 KiB"),
    "integer": (_integer, "a whole number"),
    "number": (_number, "a number"),
    "flag": (_flag, "true or false"),
    "date": (lambda value: dt.date.fromisoformat(str(value)).isoformat(), "a date such as 2026-01-31"),
}


def check_declarations(declared: Any) -> None:
    """Raise ParameterError unless `declared` is a list of {"name", "type", "default", "required"}."""
    if not isinstance(declared, list):
        raise ParameterError("Parameters are a list of objects with name, type, default and required.")
    if len(declared) > MOST:
        raise ParameterError(f"A flow has at most {MOST} parameters, not {len(declared)}.")
    seen = set()
    for entry in declared:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not NAME.match(name):
            raise ParameterError("A parameter needs a name of letters, digits and underscores.")
        if name in seen:
            raise ParameterError(f"Parameter {name} is declared twice.")
        seen.add(name)
        _check_declaration(name, entry)


def _check_declaration(name: str, entry: Mapping[str, Any]) -> None:
    kind = entry.get("type", "text")
    if unknown := sorted(set(entry) - set(KEYS)):
        raise ParameterError(f"Parameter {name} has {', '.join(map(repr, unknown))}; known are {', '.join(KEYS)}.")
    if not isinstance(kind, str) or kind not in TYPES:
        raise ParameterError(f"Parameter {name} has type {kind!r}; use one of {', '.join(TYPES)}.")
    if not isinstance(entry.get("required", False), bool):
        raise ParameterError(f"Parameter {name}: required is true or false.")
    if entry.get("default") is not None:
        _convert(name, kind, entry["default"])


def check_values(declared: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a start: given ones converted to the declared types, defaults for the rest.

    Raises ParameterError for a name that is not declared, a value of the wrong type, or a required one missing.
    """
    by_name = {entry["name"]: entry for entry in declared}
    if unknown := sorted(set(given) - set(by_name)):
        has = f"Its parameters: {', '.join(by_name)}." if by_name else "It has no parameters."
        raise ParameterError(f"The flow has no parameter {', '.join(map(repr, unknown))}. {has}")
    values = {}
    for name, entry in by_name.items():
        value = given.get(name, entry.get("default"))
        if value is None:
            if entry.get("required"):
                raise ParameterError(f"Parameter {name} is required.")
            continue
        values[name] = _convert(name, entry.get("type", "text"), value)
    return values


def without_a_value(declared: Declarations) -> list[str]:
    """The parameters that a start must give a value to, because they are required and have no default."""
    return [entry["name"] for entry in declared if entry.get("required") and entry.get("default") is None]


def wrong_values(declared: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, str]:
    """Everything that `check_values` would refuse at once: name of the parameter -> what is wrong with it."""
    by_name = {entry["name"]: entry for entry in declared}
    wrong = {}
    for name in [*by_name, *sorted(set(given) - set(by_name))]:
        try:
            check_values([by_name[name]] if name in by_name else declared, {name: given[name]} if name in given else {})
        except ParameterError as error:
            wrong[name] = str(error)
    return wrong


def _convert(name: str, kind: str, value: Any) -> Any:
    convert, description = TYPES[kind]
    try:
        if isinstance(value, list | Mapping) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError
        return convert(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ParameterError(f"Parameter {name} must be {description}, not {str(value)[:80]!r}.") from error
