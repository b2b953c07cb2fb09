"""What dex has against a value: the mistakes dbt stops at, and those it takes for nothing without a word."""

from __future__ import annotations

import difflib

from nodes.dbt.selectors.values import METHODS, RESOURCE_TYPES, RESULTS, STATES, Atom, SelectorError, has_wildcard

# Names that dbt's NodeType has too and that no resource of a graph ever bears.
_OTHER_NODE_TYPES = ("rpc", "sql_operation", "doc", "macro", "group", "fixture")
_MEANT = {
    "name": "fqn",
    "model": "fqn",
    "models": "fqn",
    "folder": "path",
    "dir": "path",
    "owner": "config.meta.owner",
    "meta": "config.meta",
    "materialized": "config.materialized",
    "type": "resource_type",
    "test": "test_name",
    "seed": "resource_type",
    "snapshot": "resource_type",
    "label": "tag",
    "tags": "tag",
}


def unknown_method(text: str, method: str, value: str) -> SelectorError:
    """The error for a method that dbt does not know, with the likeliest one."""
    lowered = method.lower()
    close = difflib.get_close_matches(lowered, METHODS, n=1, cutoff=0.6)
    if lowered in METHODS:
        hint = f"Methods are lower case: {lowered}:{value}"
    elif lowered in _MEANT:
        meant = _MEANT[lowered]
        hint = f"A name needs no method: {value}" if meant == "fqn" else f"Did you mean {meant}:{value}?"
    elif close:
        hint = f"Did you mean {close[0]}:{value}?"
    else:
        hint = f"dbt has the methods {', '.join(METHODS)}. A name needs no method"
    return SelectorError(f"{method!r} is not a method", hint, text, aborts=True)


def check(atom: Atom) -> tuple[SelectorError | None, str]:
    """What is wrong with an atom that can be read, and what is merely doubtful."""
    misshapen, unknown = _check_shape(atom), _check_value(atom)
    error = misshapen or unknown
    if misshapen and unknown and unknown.aborts:
        misshapen.aborts = True  # dbt stops at the value, whatever else is wrong
    warning = ""
    if error is None:
        if atom.method == "config" and has_wildcard(atom.value):
            warning = f"{atom.text!r}: config does not support wildcards; it matches exactly {atom.value!r}"
        elif atom.arguments and atom.method != "config":
            warning = f"{atom.text!r}: dbt ignores {'.' + '.'.join(atom.arguments)!r} after {atom.method!r}"
    return error, warning


def _check_shape(atom: Atom) -> SelectorError | None:
    text, value, explicit = atom.text, atom.value, atom.explicit
    if not value:
        if explicit:
            hint = f"Write the value directly after the colon: {atom.method}:name"
        elif text:
            hint = "Write a name next to the operator: +name, name+, 2+name, @name"
        else:
            hint = "A comma without spaces, or &, means AND and needs a value on both sides. For OR, enter two values"
        # the one method whose empty value dbt accepts is handled with its enumeration
        if atom.method in ("resource_type", "version", "state", "path"):
            return SelectorError("A value is missing", hint, text, aborts=True)
        return SelectorError("A value is missing", hint, text)
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return SelectorError("There is a control character (a tab?) in the value", "Enter it again", text)
    if value.startswith("@"):
        return SelectorError('"@" comes before "+"', f"@+{value[1:]}", text)
    if value.startswith("!") and not explicit:
        return SelectorError("NOT is not supported", f"Put {value[1:]} in the exclude list", text)
    if "+" in value:
        return SelectorError(
            'The "+" is not an operator in this position',
            "Write +name, name+, 2+name, name+2 or 1+name+1; for a + inside a name use the wildcard ?",
            text,
        )
    if not explicit and ":" in value:
        return SelectorError(f"{value.split(':')[0]!r} is not a method", "A method comes first: tag:finance", text)
    return None


def _check_value(atom: Atom) -> SelectorError | None:
    text, value, method = atom.text, atom.value, atom.method
    if method == "config" and not any(atom.arguments):
        return SelectorError("The name of a setting is missing", "Write config.materialized:table", text)
    if method == "path":
        return _check_path(text, value)
    if method == "source" and value.count(".") > 2:
        return SelectorError(
            "A source can have at most three parts",
            "source, source.table or package.source.table",
            text,
            aborts=True,
        )
    if method in ("exposure", "metric", "semantic_model", "saved_query", "unit_test") and value.count(".") > 1:
        return SelectorError("There are too many dots", f"{method}:name or {method}:package.name", text, aborts=True)
    if method == "test_type" and value not in ("generic", "schema", "singular", "data", "unit"):
        # dbt asks whether the value is a part of the word, so "at" and "a" pass for "data" there
        known_to_dbt = any(value in word for word in ("data", "singular", "unit"))
        return _not_one_of(atom, ("generic", "singular", "unit", "data"), aborts=not known_to_dbt)
    accepted: dict[str, tuple[tuple[str, ...], bool]] = {
        "resource_type": (RESOURCE_TYPES, True),
        "version": (("latest", "prerelease", "old", "none"), True),
        "state": (STATES, True),
        "access": (("public", "protected", "private"), False),
        "result": (RESULTS, False),
        "source_status": (("fresher",), False),
    }
    if method in accepted:
        values, aborts = accepted[method]
        if value not in values:
            return _not_one_of(atom, values, aborts=aborts and value not in _OTHER_NODE_TYPES)
    return None


def _check_path(text: str, value: str) -> SelectorError | None:
    if value.startswith("/"):
        return SelectorError(
            "A path is relative to the project folder",
            f"Write path:{value.strip('/') or 'models'}",
            text,
            aborts=True,
        )
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if not parts:
        return SelectorError("The path is the whole project", "Write package:this", text, aborts=True)
    if any("**" in part and part != "**" for part in parts):
        return SelectorError('"**" must be a whole part of the path', "Write models/**/mart_*.sql", text, aborts=True)
    if ".." in parts:
        return SelectorError("A path cannot leave the project folder", "Write it without ..", text)
    return None


def _not_one_of(atom: Atom, values: tuple[str, ...], *, aborts: bool) -> SelectorError:
    close = difflib.get_close_matches(atom.value.lower(), values, n=1)
    choices = f"{atom.method} is one of {', '.join(values)}"
    hint = f"Did you mean {atom.method}:{close[0]}? {choices}" if close else choices
    return SelectorError(f"{atom.value!r} is not a value of {atom.method}", hint, atom.text, aborts=aborts)
