"""What people do to nodes: save and delete them, link them; and how a flow is expanded and ordered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import transaction

from flows.models import Environment, Flow, Revision
from nodes import ordering
from nodes.kinds import transformation
from nodes.kinds.base import Expanded, Problem, TaskSpec
from nodes.manifest import Manifest
from nodes.manifests import manifest_of
from nodes.models import Expansion, Link, Node, Task
from nodes.selectors.state import Comparison

LONGEST_LIST = 100
LONGEST_VALUE = 2000


class FlowError(Exception):
    """A flow cannot be expanded or ordered; `problems` says why, node by node."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass
class FlowPlan:
    """A flow expanded and ordered on one revision."""

    revision: Revision
    manifest: Manifest
    nodes: dict[int, Node]
    expanded: dict[int, Expanded]
    order: ordering.Order
    warnings: list[str] = field(default_factory=list)


def expand(node: Node, revision: Revision, results: Mapping[str, str] | None = None) -> Expanded:
    """What a node selects on a revision, by the same path for preview, save and run.

    `state:` compares with the revision before; `result:` looks into `results` (unique_id -> dbt's status of an
    earlier run), and finds nothing without them. Raises FileNotFoundError when the revision's files are gone.
    """
    previous = None
    if any(value.lstrip("@+0123456789").startswith("state:") for value in [*node.include, *node.exclude]):
        previous = _comparison(revision)
    return transformation.expand(node, manifest_of(revision), Path(revision.project_dir), previous, results or {})


def _comparison(revision: Revision) -> Comparison | None:
    earlier = Revision.objects.filter(environment=revision.environment_id, pk__lt=revision.pk, variables={})
    for candidate in earlier.order_by("-pk")[:5]:
        if candidate.exists_on_disk:
            return Comparison(Path(revision.manifest_path).read_bytes(), Path(candidate.manifest_path).read_bytes())
    return None


def plan_flow(
    flow: Flow,
    revision: Revision,
    *,
    instead: Node | None = None,
    links: Iterable[tuple[int, int]] = (),
    results: Mapping[str, str] | None = None,
) -> FlowPlan:
    """Expand and order all nodes of a flow on a revision.

    In: `instead`, a node as it would be after a save (it replaces the row of the same pk or, unsaved, is added);
    then what is wrong with other nodes does not matter, so that each can be mended by itself); further `links` as
    (up, down); `results` of an earlier run for `result:`. Raises FlowError for selectors that are wrong or give
    nothing, and for circles.
    """
    nodes = {node.pk: node for node in flow.nodes.all()}
    if instead is not None:
        nodes[instead.pk or 0] = instead
    manifest = manifest_of(revision)
    expanded = {pk: expand(node, revision, results) for pk, node in nodes.items()}
    if instead is not None:
        own = instead.pk or 0
        expanded = {pk: result for pk, result in expanded.items() if pk == own or not result.errors}
    problems = [f"{nodes[pk].name}: {problem.message}" for pk, result in expanded.items() for problem in result.errors]
    if problems:
        raise FlowError(problems)
    steps = [
        ordering.Step(pk, node.name, node.position, expanded[pk].specs, node.command != Node.Command.TEST)
        for pk, node in nodes.items()
        if pk in expanded
    ]
    arrows = {*flow.links.values_list("up_id", "down_id"), *links}
    try:
        order = ordering.order(steps, arrows, manifest, hooks=revision.resources.get("hooks", ()))
    except ordering.CycleError as error:
        raise FlowError([str(error)]) from error
    warnings = [f"{nodes[pk].name}: {w.message}" for pk, result in expanded.items() for w in result.warnings]
    return FlowPlan(revision, manifest, nodes, expanded, order, warnings)


def check_node(node: Node) -> None:
    """Raise ValidationError, by field, for a node that cannot be saved."""
    errors: dict[str, list[str]] = {}
    for name in ("include", "exclude"):
        values = getattr(node, name)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            errors[name] = ["This must be a list of selectors."]
        elif len(values) > LONGEST_LIST or any(len(value) > LONGEST_VALUE for value in values):
            errors[name] = [f"At most {LONGEST_LIST} selectors of at most {LONGEST_VALUE} characters each."]
    if errors:
        raise ValidationError(errors)
    revision = node.flow.environment.current_revision
    if revision is None:
        raise ValidationError(
            f"Environment {node.flow.environment} has no parsed revision yet. Sync it first; "
            + (node.flow.environment.sync_error or "it was never synced.")
        )
    problems = expand(node, revision).errors
    if problems:
        raise ValidationError(_by_field(problems))
    try:
        plan_flow(node.flow, revision, instead=node)
    except FlowError as error:
        raise ValidationError({"include": error.problems}) from error


def _by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    by_field: dict[str, list[str]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem.message)
    return by_field


def save_node(node: Node) -> Node:
    """Save a node and make its tasks. Raises ValidationError (see check_node)."""
    check_node(node)
    with transaction.atomic():
        if node.pk is None and not node.position:
            last = node.flow.nodes.order_by("-position").first()
            node.position = last.position + 1 if last else 1
        node.save()
        refresh_flow(node.flow, reason="saved")
    return node


def delete_node(node: Node) -> None:
    """Delete a node with its links and tasks; what it built may now belong to another node."""
    with transaction.atomic():
        flow = node.flow
        node.delete()
        refresh_flow(flow, reason="another node was deleted")


def check_link(up: Node, down: Node) -> None:
    """Raise ValidationError when the nodes are of two flows, are the same, or would wait for each other."""
    if up.flow_id != down.flow_id:
        raise ValidationError("Both nodes of a link belong to the same flow.")
    if up.pk == down.pk:
        raise ValidationError("A node cannot run after itself.")
    revision = up.flow.environment.current_revision
    if revision is not None:
        try:
            plan_flow(up.flow, revision, links=[(up.pk, down.pk)])
        except FlowError as error:
            raise ValidationError(error.problems) from error


def link(up: Node, down: Node) -> Link:
    """Draw an arrow: nothing of `down` starts before all of `up` succeeded. Raises ValidationError (check_link)."""
    check_link(up, down)
    with transaction.atomic():
        made, _ = Link.objects.get_or_create(flow=up.flow, up=up, down=down)
        refresh_flow(up.flow, reason="linked")
    return made


def unlink(arrow: Link) -> None:
    """Take an arrow away."""
    with transaction.atomic():
        flow = arrow.flow
        arrow.delete()
        refresh_flow(flow, reason="unlinked")


def refresh_flow(flow: Flow, *, reason: str, revision: Revision | None = None) -> list[str]:
    """Make the Task rows of a flow anew and record what came and went; the problems, if it cannot be planned.

    A flow that cannot be planned on this revision keeps the tasks it had, so that nothing is lost.
    """
    revision = revision or flow.environment.current_revision
    if revision is None:
        return [f"{flow.environment} has no parsed revision"]
    try:
        plan = plan_flow(flow, revision)
    except FlowError as error:
        return error.problems
    except FileNotFoundError as error:
        return [f"Revision {revision} is gone from the disk ({error.filename}); sync {flow.environment} again"]
    write_tasks(plan, reason=reason)
    return []


def refresh_environment(environment: Environment, revision: Revision) -> None:
    """A new revision arrived: expand every flow of the environment again."""
    for flow in environment.flows.all():
        refresh_flow(flow, reason="new revision", revision=revision)


def write_tasks(plan: FlowPlan, *, reason: str) -> dict[str, dict[str, list[str]]]:
    """Write the Task rows of a plan; node name -> {"came", "went"} where a node's resources changed."""
    changes: dict[str, dict[str, list[str]]] = {}
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    names = {row.key: row.spec.identifier for row in plan.order.rows}
    for a, b in sorted(plan.order.edges):
        up.setdefault(b, []).append(names[a])
        down.setdefault(a, []).append(names[b])
    placed = {(row.step, row.key): row for row in plan.order.rows}
    place = {row.key: number for number, row in enumerate(plan.order.rows)}
    with transaction.atomic():
        for pk, node in plan.nodes.items():
            rows = [
                Task(
                    node=node,
                    unique_id=spec.key,
                    identifier=spec.identifier,
                    resource_type=spec.resource_type,
                    tags=list(spec.tags),
                    path=spec.path,
                    materialized=spec.materialized,
                    depends_on=up.get(spec.key, []),
                    needed_by=down.get(spec.key, []),
                    tests=list(spec.tests + spec.unit_tests),
                    runs=spec.runs,
                    built_by=plan.nodes[plan.order.built_by[pk, spec.key]].name
                    if (pk, spec.key) in plan.order.built_by
                    else "",
                    position=place.get(spec.key, len(place)),
                )
                for spec in _shown(plan, pk, placed)
            ]
            changed = _replace(node, rows, plan.revision, reason)
            if changed:
                changes[node.name] = changed
    return changes


def _shown(plan: FlowPlan, pk: int, placed: dict[tuple[int, str], ordering.Row]) -> list[TaskSpec]:
    """What the node's table shows: its rows, what others build, what is not run; not the tests that a row shows."""
    own = [
        row.spec
        for (step, key), row in placed.items()
        if step == pk and row.spec.resource_type not in (ordering.GATE, ordering.HOOK)
    ]
    keys = {spec.key for spec in own}
    others = [
        spec
        for spec in plan.expanded[pk].specs
        if spec.key not in keys and spec.resource_type not in transformation.TESTS
    ]
    return own + others


_COLUMNS = (
    *("position", "unique_id", "runs", "identifier", "resource_type", "tags", "path", "materialized"),
    *("depends_on", "needed_by", "tests", "built_by"),
)


def _replace(node: Node, rows: list[Task], revision: Revision, reason: str) -> dict[str, list[str]]:
    there = list(node.tasks.order_by("position", "unique_id").values_list(*_COLUMNS))
    wanted = sorted((tuple(getattr(row, name) for name in _COLUMNS) for row in rows), key=lambda row: row[:2])
    if there == wanted and node.expansions.exists():
        return {}  # as nearly always: nothing to write
    before = {row[1] for row in there if row[2]}
    after = {row.unique_id for row in rows if row.runs}
    node.tasks.all().delete()
    Task.objects.bulk_create(rows, batch_size=500)
    came, went = sorted(after - before), sorted(before - after)
    latest = node.expansions.first()
    if came or went or latest is None:
        Expansion.objects.create(
            node=node,
            revision=revision,
            since=latest.revision if latest else None,
            came=came,
            went=went,
            reason=reason,
        )
    return {"came": came, "went": went} if (came or went) and latest is not None else {}
