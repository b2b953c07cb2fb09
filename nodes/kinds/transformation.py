"""The Transformation kind: selectors on a manifest give the resources that dbt would build, run or test."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.models import Revision
from flows.variables.references import ReferenceProblem, fill, references_in
from flows.variables.values import plain_values
from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors import Selection, Selector, SelectorError, select
from nodes.dbt.selectors.state import Comparison
from nodes.dbt.stored_manifests import manifest_of
from nodes.kinds.base import Kind
from nodes.kinds.registry import register
from nodes.models import Node
from nodes.tasks import Expanded, Problem, TaskSpec

# What `dbt build` executes besides tests (dbt/task/build.py); exposures and saved queries do no work.
BUILT = ("seed", "model", "snapshot", "function")
RUN = ("model",)
LONGEST_LIST = 100
LONGEST_VALUE = 2000
TESTS = ("test", "unit_test")
# What stands in dbt's selected_resources, by command; `dbt build` leaves its unit tests out.
SELECTED: dict[Node.Command, tuple[str, ...]] = {
    Node.Command.BUILD: (*BUILT, "test", "exposure", "saved_query"),
    Node.Command.RUN: RUN,
    Node.Command.TEST: TESTS,
}


class Transformation(Kind):
    """Builds, runs or tests the dbt resources that its selectors choose."""

    name = "transformation"
    label = "Transformation"
    icon = "boxes"
    says = "Runs the dbt models that your selectors choose."
    order = 20
    columns = ("include", "exclude", "command", "indirect_selection", "full_refresh", "allow_empty", "threads")
    main = ("include", "exclude", "command")
    more = "retries, time-outs, tests, threads"
    template = "nodes/kinds/transformation.html"
    form = "nodes.forms.node.TransformationForm"
    runs_dbt = True

    def detail(self, settings: Mapping[str, Any]) -> str:
        """The selectors: "tag:mart, without tag:revenue"."""
        without = f", without {', '.join(settings['exclude'])}" if settings["exclude"] else ""
        return self.summary(settings) + without

    def summary(self, settings: Mapping[str, Any]) -> str:
        """What it includes."""
        return ", ".join(settings["include"]) or "all models"

    def check(self, node: Node) -> list[Problem]:
        """Selectors that are no lists of texts, or more of them than anybody reads."""
        problems = []
        for name in ("include", "exclude"):
            values = getattr(node, name)
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                problems.append(Problem(name, "This must be a list of selectors."))
            elif len(values) > LONGEST_LIST or any(len(value) > LONGEST_VALUE for value in values):
                message = f"At most {LONGEST_LIST} selectors are allowed, each with at most {LONGEST_VALUE} characters."
                problems.append(Problem(name, message))
        return problems

    def expand(self, node: Node, revision: Revision, results: Mapping[str, str] | None = None) -> Expanded:
        """What its selectors choose; `state:` compares with the revision before, `result:` looks into `results`.

        Without `results`, `result:` finds nothing.
        """
        return expand_on(node, revision, results)


register(Transformation())


def expand_on(
    node: Node,
    revision: Revision,
    results: Mapping[str, str] | None = None,
    selection: Selection | None = None,
) -> Expanded:
    """See Transformation.expand. A `selection` that was made for the node saves making it again."""
    if problems := reference_problems(node, _values(node, revision)):
        return Expanded(errors=tuple(problems))
    return expand(node, selection or selection_of(node, revision, results))


def selection_of(node: Node, revision: Revision, results: Mapping[str, str] | None = None) -> Selection:
    """What the values of a Transformation select on a revision; see `expand_on`."""
    previous = None
    values = [value for value in [*node.include, *node.exclude] if isinstance(value, str)]
    if any(value.lstrip("@+0123456789").startswith("state:") for value in values):
        previous = _comparison(revision)
    filled_in = filled(node, _values(node, revision))
    return select_of(node, manifest_of(revision), Path(revision.project_dir), previous, results or {}, filled_in)


def _values(node: Node, revision: Revision) -> dict[str, str]:
    """The variables that selectors may name; asked for only where one does. Secrets have no business there."""
    return plain_values(revision.environment) if references_in([*node.include, *node.exclude]) else {}


def _comparison(revision: Revision) -> Comparison | None:
    earlier = Revision.objects.filter(environment=revision.environment_id, pk__lt=revision.pk, variables={})
    for candidate in earlier.order_by("-pk")[:5]:
        if candidate.exists_on_disk:
            return Comparison(Path(revision.manifest_path).read_bytes(), Path(candidate.manifest_path).read_bytes())
    return None


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
        named_types=(*SELECTED[Node.Command(node.command)], "unit_test"),
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
                f"{node.get_command_display()} has nothing to do for this selection. Change Include or Exclude, "
                "or select Allow empty.",
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
    problems = []
    for field in ("include", "exclude"):
        for value in getattr(node, field):
            try:
                fill(value, variables, {}) if isinstance(value, str) else None
            except ReferenceProblem as error:
                problems.append(Problem(field, str(error), value))
    return problems


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
