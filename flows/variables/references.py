"""`{{ ... }}` in fields of nodes and connections: variables, parameters of the run, outputs of earlier nodes.

`{{ NAME }}` is a variable of the environment, `{{ params.NAME }}` a parameter of the run, `{{ nodes.NODE.output.KEY }}`
a value that the Custom Script node NODE wrote to DEX_OUTPUT. Other text in braces stays as it is. Pure.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

_REFERENCE = re.compile(
    r"\{\{\s*(?:"
    r"params\.(?P<param>[A-Za-z_][A-Za-z0-9_]*)"
    r"|nodes\.(?P<node>[^{}\n]{1,200}?)\.output\.(?P<key>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r")\s*\}\}"
)


class ReferenceProblem(ValueError):
    """A reference names something that is not there, or must not be used here; the message says what to do."""


@dataclass(frozen=True)
class Reference:
    """One `{{ ... }}`: what kind of thing it names, and which."""

    kind: Literal["variable", "parameter", "output"]
    name: str  # of the variable, the parameter or the node
    key: str = ""  # of a node's output


def references_in(value: Any) -> list[Reference]:
    """Every reference in a text, or in the texts of a list or mapping, each once, in order."""
    references: dict[Reference, None] = {}
    for text in _texts(value):
        for match in _REFERENCE.finditer(text):
            references[_reference(match)] = None
    return list(references)


def fill(
    text: str,
    variables: Mapping[str, str],
    parameters: Mapping[str, Any],
    outputs: Callable[[str], Mapping[str, Any] | None] = lambda node: None,
    *,
    secrets: Iterable[str] = (),
) -> str:
    """The text with its references replaced.

    In: `outputs`, node name -> what it wrote, None for a node that is not there or has not succeeded; `secrets`, names
    of variables that must not stand in this text. Raises ReferenceProblem.
    """
    refused = set(secrets)

    def value_of(match: re.Match[str]) -> str:
        reference = _reference(match)
        if reference.kind == "parameter":
            if reference.name not in parameters:
                raise ReferenceProblem(_missing("parameter of the run", reference.name, parameters))
            return text_of(parameters[reference.name])
        if reference.kind == "output":
            written = outputs(reference.name)
            if written is None:
                raise ReferenceProblem(f"The node {reference.name} has not succeeded in this run, so it has no output.")
            if reference.key not in written:
                raise ReferenceProblem(_missing(f"output of the node {reference.name}", reference.key, written))
            return text_of(written[reference.key])
        if reference.name in refused:
            raise ReferenceProblem(secret_said(reference.name))
        if reference.name not in variables:
            raise ReferenceProblem(_missing("variable", reference.name, variables))
        return variables[reference.name]

    return _REFERENCE.sub(value_of, text)


def secret_said(name: str) -> str:
    """Why a secret cannot stand in a parameter of a script."""
    return f'{name} is a secret, and other users can see parameters. Read it in the script with os.getenv("{name}").'


def text_of(value: Any) -> str:
    """A value as a text: a string as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _reference(match: re.Match[str]) -> Reference:
    if match["param"]:
        return Reference("parameter", match["param"])
    if match["node"]:
        return Reference("output", match["node"].strip(), match["key"])
    return Reference("variable", match["name"])


def _missing(what: str, name: str, names: Iterable[str]) -> str:
    offered = list(names)[:1000]
    like = difflib.get_close_matches(name[:100], offered, n=3, cutoff=0.5)
    like = like or difflib.get_close_matches(name[:100].upper(), offered, n=3, cutoff=0.5)
    return f"There is no {what} {name[:100]}." + (f" Did you mean {' or '.join(like)}?" if like else "")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
