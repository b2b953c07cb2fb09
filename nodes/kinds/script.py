"""The Custom Script kind: one task, a Python package of the project with its parameters."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.models import Environment, Revision
from flows.variables.references import ReferenceProblem, fill, references_in
from flows.variables.values import VariableError, environment_of, secret_names, variable_names
from nodes.dbt.profiles import ProfileError
from nodes.dbt.warehouse import profile_of, variables_of
from nodes.kinds.base import Kind
from nodes.kinds.registry import all_kinds, register
from nodes.models import Node
from nodes.scripts import FOLDER, packages_of
from nodes.scripts.running import Given, run_package
from nodes.tasks import AttemptOutcome, Context, Expanded, Problem, TaskSpec

MOST_ARGUMENTS = 256
LONGEST_ARGUMENT = 32 * 1024  # bytes; one argument of a Linux process may have 128 KiB
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Script(Kind):
    """Runs a Python package of the project, with parameters."""

    name = "script"
    label = "Custom Script"
    plural = "Scripts"
    icon = "square-terminal"
    says = "Runs a Python package of the project."
    order = 30
    columns = ("package", "arguments", "uses_warehouse", "network")
    main = ("package", "arguments")
    template = "nodes/kinds/script.html"
    form = "nodes.forms.node.ScriptForm"
    writes_output = True

    def detail(self, settings: Mapping[str, Any]) -> str:
        """The package."""
        return str(settings["package"])

    def summary(self, settings: Mapping[str, Any]) -> str:
        """That it runs the package."""
        return f"runs {settings['package']}"

    def expand(self, node: Node, revision: Revision, results: Mapping[str, str] | None = None) -> Expanded:
        """One task; errors when the package is not in the project, or a parameter cannot be passed."""
        errors = list(problems_of(node, revision.project_dir))
        key = f"script.{node.pk or 0}"
        path = f"{FOLDER}/{node.package}/__main__.py"
        spec = TaskSpec(key=key, unique_id=key, identifier=node.package or node.name, resource_type="script", path=path)
        return Expanded(specs=(spec,), errors=tuple(errors))

    def run_spec(self, node: Node, spec: TaskSpec | None = None) -> dict[str, Any]:
        """The package, and how it is run."""
        return {
            "package": node.package,
            "arguments": node.arguments,
            "network": node.network,
            "uses_warehouse": node.uses_warehouse,
        }

    def reads(self, node: Node) -> list[str]:
        """The nodes whose output the parameters name."""
        return [reference.name for reference in references_in(node.arguments) if reference.kind == "output"]

    def opens_warehouse(self, node: Node) -> bool:
        """Where the node says so."""
        return node.uses_warehouse

    def execute(self, context: Context) -> AttemptOutcome:
        """Run the package with its parameters filled in. Raises Stopped when the worker ends."""
        spec, revision = context.spec, context.revision
        if revision is None or not revision.exists_on_disk:
            return AttemptOutcome("failed", "The revision of this run is no longer on disk.", retryable=False)
        try:
            values = environment_of(revision.environment)
            secrets = secret_names(revision.environment)
            arguments = [
                (entry["key"], fill(entry["value"], values, context.parameters, context.outputs, secrets=secrets))
                for entry in spec["arguments"]
            ]
            profile = profile_of(revision) if spec["uses_warehouse"] else None
        except (ReferenceProblem, VariableError, ProfileError) as error:
            return AttemptOutcome("failed", str(error), retryable=False)
        if wrong := list(argument_problems([{"key": key, "value": value} for key, value in arguments])):
            return AttemptOutcome("failed", wrong[0], retryable=False)
        given = Given(
            arguments=arguments,
            variables=values,
            warehouse=variables_of(profile) if profile else {},
            database=Path(profile.database) if profile and profile.database else None,
            network=spec["network"],
        )
        return run_package(context, Path(revision.project_dir), spec["package"], given)


SCRIPT = Script()
register(SCRIPT)


def problems_of(node: Node, project_dir: Path | str) -> Iterator[Problem]:
    """What keeps a script node from running on the project in this folder, each beside its field."""
    names = [package.name for package in packages_of(Path(project_dir))]
    if not node.package:
        yield Problem("package", "Choose the package to run.")
    elif node.package not in names:
        there = f"There are {', '.join(names)}." if names else f"It has no package with a __main__.py below {FOLDER}/."
        yield Problem("package", f"The project has no script package {node.package}. {there}", node.package)
    yield from (Problem("arguments", message) for message in argument_problems(node.arguments))
    yield from (Problem("arguments", message) for message in _reference_problems(node))


def _reference_problems(node: Node) -> Iterator[str]:
    """What parameters name that is not there: said when they are typed, not at night."""
    references = references_in(node.arguments)
    if not references:
        return
    environment: Environment = node.flow.environment
    names, secrets = dict.fromkeys(variable_names(environment), ""), secret_names(environment)
    declared = dict.fromkeys((entry["name"] for entry in node.flow.parameters), "")
    writers = [kind.name for kind in all_kinds() if kind.writes_output]
    scripts = set(node.flow.nodes.filter(kind__in=writers).exclude(pk=node.pk).values_list("name", flat=True))
    for reference in references:
        if reference.kind == "output":
            if reference.name not in scripts:
                yield f"This flow has no other Custom Script named {reference.name}."
            continue
        name = reference.name if reference.kind == "variable" else f"params.{reference.name}"
        try:
            fill(f"{{{{ {name} }}}}", names, declared, secrets=secrets)
        except ReferenceProblem as error:
            yield str(error)


def argument_problems(arguments: object) -> Iterator[str]:
    """What is wrong with the parameters of a script, one sentence each."""
    if not isinstance(arguments, list):
        yield "Parameters are a list of keys with values."
        return
    if len(arguments) > MOST_ARGUMENTS:
        yield f"At most {MOST_ARGUMENTS} parameters are allowed; there are {len(arguments)}."
    seen: set[str] = set()
    for number, argument in enumerate(arguments, 1):
        if not isinstance(argument, dict) or set(argument) != {"key", "value"}:
            yield f"Parameter {number} needs a key and a value."
            continue
        key, value = argument["key"], argument["value"]
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            yield (
                f"Parameter {number}: a key can have letters, digits and underscores, and must not start with a digit."
            )
        elif key in seen:
            yield f"Parameter {number}: the key {key} is used twice."
        else:
            seen.add(key)
        if not isinstance(value, str):
            yield f"Parameter {number}: the value must be text; put it into quotes."
        elif "\0" in value:
            yield f"Parameter {number}: a value cannot contain the NUL character."
        elif len(value.encode(errors="surrogatepass")) > LONGEST_ARGUMENT:
            yield f"Parameter {number}: a value can have at most {LONGEST_ARGUMENT // 1024} KiB."
