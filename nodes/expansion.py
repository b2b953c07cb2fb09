"""From nodes to tasks: how a flow is expanded and ordered on a revision, and its Task rows are written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from flows.models import Environment, Flow, Revision
from nodes import kinds, ordering
from nodes.dbt.manifest import Manifest
from nodes.dbt.stored_manifests import manifest_of
from nodes.kinds.transformation import TESTS
from nodes.models import Connection, Expansion, Node, Task
from nodes.tasks import Expanded, TaskSpec


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
    version: int = 0  # of the flow when it was planned
    warnings: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What is wrong with nodes that a tolerant plan left out."""
        return [f"{self.nodes[pk].name}: {p.message}" for pk, result in self.expanded.items() for p in result.errors]


def expand(node: Node, revision: Revision, results: Mapping[str, str] | None = None) -> Expanded:
    """What a node does on a revision, by the same path for preview, save and run; see Kind.expand."""
    return kinds.of(node.kind).expand(node, revision, results)


def plan_flow(
    flow: Flow,
    revision: Revision,
    *,
    instead: Node | None = None,
    links: Iterable[tuple[int, int]] | None = None,
    results: Mapping[str, str] | None = None,
    tolerant: bool = False,
    known: Mapping[int, Expanded] | None = None,
) -> FlowPlan:
    """Expand and order all nodes of a flow on a revision.

    In: `instead`, a node as it would be after a save (it replaces the row of the same pk or, unsaved, is added); the
    flow's `links` as (up, down), if not those that it has; `results` of an earlier run for `result:`; `tolerant`:
    nodes with errors are left out of the order, so that each can be mended by itself; `known`, nodes that were
    expanded on this revision already. Raises FlowError for selectors that are wrong or give nothing, and for circles.
    """
    nodes = {node.pk: node for node in flow.nodes.select_related("connection")}
    if instead is not None:
        nodes[instead.pk or 0] = instead
    manifest = manifest_of(revision)
    known = known or {}
    expanded = {pk: known[pk] if pk in known else expand(node, revision, results) for pk, node in nodes.items()}
    plan = FlowPlan(revision, manifest, nodes, expanded, ordering.Order(), flow.version)
    if plan.problems and not tolerant:
        raise FlowError(plan.problems)
    sound = {pk: result for pk, result in expanded.items() if not result.errors}
    steps = [
        ordering.ExpandedNode(pk, node.name, node.position, sound[pk].specs, node.command != Node.Command.TEST)
        for pk, node in nodes.items()
        if pk in sound
    ]
    arrows = set(flow.links.values_list("up_id", "down_id")) if links is None else set(links)
    arrows |= _read_outputs(nodes)
    try:
        plan.order = ordering.order(steps, arrows, manifest, hooks=revision.resources.get("hooks", ()))
    except ordering.CycleError as error:
        raise FlowError([str(error)]) from error
    plan.warnings = [f"{nodes[pk].name}: {w.message}" for pk, result in expanded.items() for w in result.warnings]
    return plan


def _read_outputs(nodes: Mapping[int, Node]) -> set[tuple[int, int]]:
    """An arrow from each node that writes an output to those that read it."""
    writers = {node.name: pk for pk, node in nodes.items() if kinds.of(node.kind).writes_output}
    read = {pk: kinds.of(node.kind).reads(node) for pk, node in nodes.items()}
    return {(writers[name], pk) for pk, names in read.items() for name in names if writers.get(name, pk) != pk}


def refresh_flow(
    flow: Flow, *, reason: str, revision: Revision | None = None, plan: FlowPlan | None = None
) -> list[str]:
    """Make the Task rows of a flow anew and record what came and went; the problems of what cannot be planned.

    In: `plan`, what the flow is now, where the caller has it. A node that cannot be expanded on this revision keeps the
    tasks it had, so that nothing is lost.
    """
    revision = revision or flow.environment.current_revision
    if revision is None:
        return [f"{flow.environment} has no parsed revision"]
    try:
        plan = plan or plan_flow(flow, revision, tolerant=True)
    except FlowError as error:
        return error.problems
    except FileNotFoundError as error:
        return [f"Revision {revision} is no longer on disk ({error.filename}); sync {flow.environment} again"]
    write_tasks(plan, reason=reason)
    return plan.problems


def refresh_environment(environment: Environment, revision: Revision) -> None:
    """A new revision arrived: expand every flow of the environment again."""
    for flow in environment.flows.all():
        refresh_flow(flow, reason="new revision", revision=revision)


def refresh_connection(connection: Connection) -> None:
    """The tables or the schema of a connection changed: expand every flow again that loads it."""
    for flow in Flow.objects.filter(nodes__connection=connection).distinct():
        refresh_flow(flow, reason="connection changed")


def write_tasks(plan: FlowPlan, *, reason: str) -> dict[str, dict[str, list[str]]]:
    """Write the Task rows of a plan; node name -> {"came", "went"} where a node's resources changed."""
    changes: dict[str, dict[str, list[str]]] = {}
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    names = {row.key: row.spec.identifier for row in plan.order.rows}
    for a, b in sorted(plan.order.edges):
        up.setdefault(b, []).append(names[a])
        down.setdefault(a, []).append(names[b])
    placed = {(row.node_id, row.key): row for row in plan.order.rows}
    place = {row.key: number for number, row in enumerate(plan.order.rows)}
    with transaction.atomic():
        for pk, node in plan.nodes.items():
            if plan.expanded[pk].errors:
                continue
            rows = [
                Task(
                    node=node,
                    unique_id=spec.key,
                    identifier=spec.identifier,
                    resource_type=spec.resource_type,
                    tags=list(spec.tags),
                    path=spec.path,
                    materialized=spec.materialized,
                    depends_on=_beside(plan.manifest, plan.manifest.parents, spec, up.get(spec.key, [])),
                    needed_by=_beside(plan.manifest, plan.manifest.children, spec, down.get(spec.key, [])),
                    tests=list(spec.tests + spec.unit_tests),
                    makes={part.unique_id: part.identifier for part in spec.parts},
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


def _beside(
    manifest: Manifest, related: Mapping[str, Collection[str]], spec: TaskSpec, in_flow: list[str]
) -> list[str]:
    """What a task depends on, or is needed by: its refs, whether or not the flow has them, and the flow's own order."""
    direct: list[str] = []
    if spec.builds:
        rows = (manifest.resources[other] for other in related.get(spec.unique_id, ()) if other in manifest.resources)
        direct = sorted(row.identifier for row in rows if row.resource_type not in TESTS)
    return list(dict.fromkeys([*direct, *in_flow]))


def _shown(plan: FlowPlan, pk: int, placed: dict[tuple[int, str], ordering.Row]) -> list[TaskSpec]:
    """What the node's table shows: its rows, what others build, what is not run; not the tests that a row shows."""
    own = [
        row.spec
        for (step, key), row in placed.items()
        if step == pk and row.spec.resource_type not in (ordering.GATE, ordering.HOOK)
    ]
    keys = {spec.key for spec in own}
    others = [spec for spec in plan.expanded[pk].specs if spec.key not in keys and spec.resource_type not in TESTS]
    return own + others


_COLUMNS = (
    *("position", "unique_id", "runs", "identifier", "resource_type", "tags", "path", "materialized"),
    *("depends_on", "needed_by", "tests", "makes", "built_by"),
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
