"""The Transformation kind: selectors on a manifest give the resources that dbt would build, run or test."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.variables.references import ReferenceProblem, fill
from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors import Selection, Selector, SelectorError, select
from nodes.dbt.selectors.state import Comparison
from nodes.models import Node
from nodes.tasks import Expanded, Problem, TaskSpec

# What `dbt build` executes besides tests (dbt/task/build.py); exposures and saved queries do no work.
BUILT = ("seed", "model", "snapshot", "function")
RUN = ("model",)
TESTS = ("test", "unit_test")
# What stands in dbt's selected_resources, by command; `dbt build` leaves its unit tests out.
SELECTED: dict[Node.Command, tuple[str, ...]] = {
    Node.Command.BUILD: (*BUILT, "test", "exposure", "saved_query"),
    Node.Command.RUN: RUN,
    Node.Command.TEST: TESTS,
}


def select_of(
    node: Node,
    manifest: Manifest,
    project_dir: Path | None,
    previous: Comparison | None = None,
    results: Mapping[str, str] | None = None,
    values: tuple[list[str], list[str]] | None = None,
) -> Selection:
    """The selection of a node: what its chips mean on this manifest, tests included; `values`, the chips filled in."""
    include, exclude = values or (node.include, node.exclude)
    return select(
        manifest,
        include,
        exclude,
        project_dir=project_dir,
        resource_types=[*BUILT, *TESTS],
        indirect_selection=node.indirect_selection,
        previous=previous,
        results=results,
    )


def expand(node: Node, chosen: Selection) -> Expanded:
    """What `node` will do with what it selects (`select_of`).

    Out: one spec a built resource in the order of the manifest's refs, with no tests placed yet, and one a
    selected test; specs that the command does not run have `runs=False`. Errors name the value they are about.
    """
    errors = [
        Problem("exclude" if error.value in node.exclude else "include", _said(error), error.value)
        for error in chosen.errors
    ]
    warnings = [Problem("include", str(warning)) for warning in chosen.warnings]
    specs = tuple(_specs(node, chosen.manifest, chosen.ids))
    if not errors and not node.allow_empty and not any(spec.runs for spec in specs):
        errors.append(
            Problem(
                "include",
                f"{node.get_command_display()} finds nothing to do with this selection. Change Include or Exclude, "
                "or tick Allow empty.",
            )
        )
    return Expanded(
        specs=specs,
        warnings=tuple(warnings),
        errors=tuple(errors),
        selected=chosen.of_types(SELECTED[Node.Command(node.command)]),
        command=_command(node, chosen),
    )


def _command(node: Node, chosen: Selection) -> dict[str, Any]:
    """The command of dbt that does the same, in dbt's spelling."""

    def spelled(selectors: Sequence[Selector] | None) -> list[str]:
        terms = [term for selector in selectors or () for term in selector.terms]
        return list(dict.fromkeys(",".join(atom.text for atom in term) for term in terms))

    return {
        "which": str(node.command),
        "select": spelled(chosen.include),
        "exclude": spelled(chosen.exclude),
        "indirect_selection": str(node.indirect_selection),
        "full_refresh": node.full_refresh,
    }


def filled(node: Node, variables: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Include and exclude with `{{ NAME }}` replaced; one that names what is not there stays as it is."""

    def one(value: str) -> str:
        try:
            return fill(value, variables, {})
        except ReferenceProblem:
            return value

    return [one(value) for value in node.include], [one(value) for value in node.exclude]


def reference_problems(node: Node, variables: Mapping[str, str]) -> list[Problem]:
    """What chips name in braces that is not there, beside the chip."""
    found = []
    for field in ("include", "exclude"):
        for value in getattr(node, field):
            try:
                fill(value, variables, {}) if isinstance(value, str) else None
            except ReferenceProblem as error:
                found.append(Problem(field, str(error), value))
    return found


def _said(error: SelectorError) -> str:
    return str(error)


def _specs(node: Node, manifest: Manifest, ids: Iterable[str]) -> Iterable[TaskSpec]:
    runs = {
        Node.Command.BUILD: {*BUILT, *TESTS},
        Node.Command.RUN: set(RUN),
        Node.Command.TEST: set(TESTS),
    }[Node.Command(node.command)]
    for unique_id in sorted(ids):
        resource = manifest.resources[unique_id]
        if resource.resource_type == "model" and resource.materialized == "ephemeral":
            continue  # dbt never executes them; they carry order, which contraction keeps
        yield TaskSpec(
            key=unique_id,
            unique_id=unique_id,
            identifier=resource.identifier,
            resource_type=resource.resource_type,
            tags=tuple(resource.tags),
            path=resource.path,
            materialized=resource.materialized or "",
            runs=resource.resource_type in runs,
        )
