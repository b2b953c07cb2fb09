"""The Custom Script kind: one task, a Python package of the project with its parameters."""

import re
from collections.abc import Iterator
from pathlib import Path

from nodes.kinds.base import Expanded, Problem, TaskSpec
from nodes.manifest import Manifest
from nodes.models import Node
from nodes.scripts import FOLDER, packages_of

MOST_ARGUMENTS = 256
LONGEST_ARGUMENT = 32 * 1024  # bytes; one argument of a Linux process may have 128 KiB
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def expand(node: Node, manifest: Manifest, project_dir: Path) -> Expanded:
    """The one task of a script node; errors when its package is not in the project, or a parameter cannot be passed."""
    errors = list(_problems(node, project_dir))
    key = f"script.{node.pk or 0}"
    path = f"{FOLDER}/{node.package}/__main__.py"
    spec = TaskSpec(key=key, unique_id=key, identifier=node.package or node.name, resource_type="script", path=path)
    return Expanded(specs=(spec,), errors=tuple(errors))


def _problems(node: Node, project_dir: Path) -> Iterator[Problem]:
    known = [package.name for package in packages_of(project_dir)]
    if not node.package:
        yield Problem("package", "Choose the package to run.")
    elif node.package not in known:
        there = f"There are {', '.join(known)}." if known else f"It has no package with a __main__.py below {FOLDER}/."
        yield Problem("package", f"The project has no script package {node.package}. {there}", node.package)
    yield from (Problem("arguments", message) for message in argument_problems(node.arguments))


def argument_problems(arguments: object) -> Iterator[str]:
    """What is wrong with the parameters of a script, one sentence each."""
    if not isinstance(arguments, list):
        yield "Parameters are a list of keys with values."
        return
    if len(arguments) > MOST_ARGUMENTS:
        yield f"At most {MOST_ARGUMENTS} parameters; there are {len(arguments)}."
    seen: set[str] = set()
    for number, argument in enumerate(arguments, 1):
        if not isinstance(argument, dict) or set(argument) != {"key", "value"}:
            yield f"Parameter {number} needs a key and a value."
            continue
        key, value = argument["key"], argument["value"]
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            yield f"Parameter {number}: a key has letters, digits and underscores, and does not begin with a digit."
        elif key in seen:
            yield f"Parameter {number}: the key {key} is there twice."
        else:
            seen.add(key)
        if not isinstance(value, str):
            yield f"Parameter {number}: the value must be text; put it into quotes."
        elif "\0" in value:
            yield f"Parameter {number}: a value cannot hold the character NUL."
        elif len(value.encode(errors="surrogatepass")) > LONGEST_ARGUMENT:
            yield f"Parameter {number}: a value has at most {LONGEST_ARGUMENT // 1024} KiB."
