"""The Transformation kind: selectors on a manifest give the resources that dbt would build, run or test."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from nodes.kinds.base import Expanded, Problem, TaskSpec
from nodes.manifest import Manifest
from nodes.models import Node
from nodes.selectors import Selection, SelectorError, select
from nodes.selectors.state import Comparison

# What `dbt build` executes besides tests (dbt/task/build.py); exposures and saved queries do no work.
BUILT = ("seed", "model", "snapshot", "function")
RUN = ("model",)
TESTS = ("test", "unit_test")


def select_of(
    node: Node,
    manifest: Manifest,
    project_dir: Path | None,
    previous: Comparison | None = None,
    results: Mapping[str, str] | None = None,
) -> Selection:
    """The selection of a node: what its chips mean on this manifest, tests included."""
    return select(
        manifest,
        node.include,
        node.exclude,
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
    return Expanded(specs=specs, warnings=tuple(warnings), errors=tuple(errors))


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
