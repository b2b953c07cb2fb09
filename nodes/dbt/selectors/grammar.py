"""The text of a selector, read once into a frozen value.

The grammar is dbt's (dbt/graph/selector_spec.py and cli.py of 1.11.16): a space means OR, and a comma without blanks
means AND. AND may also be written ` & `, with or without blanks, for fields in which a comma is typed to end a value.
What dbt quietly takes for "nothing" is told to the user here instead.
"""

from __future__ import annotations

import re

from nodes.dbt.selectors.refusals import check, unknown_method
from nodes.dbt.selectors.values import ALL, METHODS, VALUE_LENGTH, Atom, Selector, SelectorError

_ATOM = re.compile(r"\A(@)?((\d*)\+)?(([\w.]+):)?(.*?)(\+(\d*))?\Z")
_JOINERS = frozenset({"and", "or", "not", "AND", "OR", "NOT"})


def split_values(text: str) -> list[str]:
    """The text of a field as values, one a line; empty lines fall away. A comma is part of a value, and means AND."""
    return [piece for piece in (piece.strip() for piece in text.splitlines()) if piece]


def parse(text: str) -> Selector:
    """Read one value. Raises SelectorError for whatever dex refuses, with a hint to show beside the chip."""
    selector, errors = read(text)
    if errors:
        raise errors[0]
    if selector is None:  # pragma: no cover - `read` gives a selector or an error
        raise SelectorError("This selector is not valid", value=text)
    return selector


def read(text: str) -> tuple[Selector | None, list[SelectorError]]:
    """Read one value as dbt would, and say everything dex has against it.

    There is a selector, beside the errors, where dbt would carry on with one; there is none where dbt would
    stop.
    """
    if len(text) > VALUE_LENGTH:
        shown = text[:60] + "..."
        return None, [SelectorError(f"A value can have at most {VALUE_LENGTH} characters", "", shown, aborts=True)]
    if "\n" in text or "\r" in text:
        return None, [SelectorError("A line break ends a value", "Enter two values", text, aborts=True)]
    stripped = text.strip(" ")
    if not stripped:
        return Selector(text, ()), [SelectorError("The value is empty", "Remove it, or enter a name", text)]
    joined = "&".join(part.strip(" ") for part in stripped.split("&"))  # blanks beside & mean nothing
    pieces = [piece for piece in joined.split(" ") if piece]
    terms: list[tuple[Atom, ...]] = []
    errors: list[SelectorError] = []
    warnings: list[str] = []
    for piece in pieces:
        try:
            term = tuple(_atom(part) for part in re.split("[,&]", piece))
        except SelectorError as error:
            return None, [*errors, error]
        for atom in term:
            wrong, warning = check(atom)
            if wrong is not None:
                errors.append(wrong)
                if wrong.aborts:
                    return None, errors
            if warning:
                warnings.append(warning)
        terms.append(term)
    joiners = [piece for piece in pieces if piece in _JOINERS] if len(pieces) > 1 else []
    warnings.extend(
        f"{stripped!r}: the word {word!r} is read as a name. A space means OR, a comma or & means AND, "
        "and for NOT use the exclude list"
        for word in dict.fromkeys(joiners)
    )
    return Selector(stripped, tuple(terms), tuple(warnings)), errors


def _atom(text: str) -> Atom:
    match = _ATOM.match(text)
    if match is None:
        raise SelectorError("This selector is not valid", "", text, aborts=True)
    at, up, up_depth, _, method, value, down, down_depth = match.groups()
    if at and down is not None:
        raise SelectorError(
            '"@" in front and "+" behind cannot be combined',
            f"@{value} already selects everything downstream",
            text,
            aborts=True,
        )
    arguments: tuple[str, ...] = ()
    explicit = method is not None
    if method is None:
        method = _default_method(value)
    else:
        method, *rest = method.split(".")
        arguments = tuple(rest)
        if method not in METHODS:
            raise unknown_method(text, method, value)
    return Atom(
        text=text,
        method=method,
        arguments=arguments,
        value=value,
        up=None if up is None else int(up_depth) if up_depth else ALL,
        down=None if down is None else int(down_depth) if down_depth else ALL,
        at=at is not None,
        explicit=explicit,
    )


def _default_method(value: str) -> str:
    if "/" in value:
        return "path"
    return "file" if value.lower().endswith((".sql", ".py", ".csv")) else "fqn"
