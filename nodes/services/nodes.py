"""What people do to the nodes and links of a flow: save, delete, duplicate, move, link."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from flows.access import require
from flows.models import Flow
from nodes import graph, kinds
from nodes.editing import Base, edit
from nodes.expansion import FlowError, FlowPlan, expand, plan_flow
from nodes.models import Link, Node
from nodes.tasks import Problem

MOST_NODES = 500
# Of the cards of the canvas, in its pixels; frontend/graph draws them of this size.
CARD, GAP = (224, 100), (76, 32)
GRID_X = CARD[0] + GAP[0]


def check_node(node: Node, after: Sequence[Node] | None = None) -> FlowPlan:
    """The flow as it will be with this node; `after` are the nodes it will run after.

    Raises ValidationError, by field, for a node that cannot be saved.
    """
    try:
        kind = kinds.get(node.kind)
    except kinds.UnknownKind as error:
        raise ValidationError({"kind": str(error)}) from error
    if problems := kind.check(node):
        raise ValidationError(_by_field(problems))
    revision = node.flow.environment.current_revision
    if revision is None:
        raise ValidationError(
            f"Environment {node.flow.environment} has no parsed revision yet. Sync it first; "
            + (node.flow.environment.sync_error or "it was never synced.")
        )
    expanded = expand(node, revision)
    if expanded.errors:
        raise ValidationError(_by_field(expanded.errors))
    links = None
    if after is not None:
        others = node.flow.links.exclude(down_id=node.pk) if node.pk else node.flow.links.all()
        links = [*others.values_list("up_id", "down_id"), *((up.pk, node.pk or 0) for up in after)]
    try:
        return plan_flow(node.flow, revision, instead=node, links=links, tolerant=True, known={node.pk or 0: expanded})
    except FlowError as error:
        raise ValidationError(
            {"runs_after" if after else next(iter(kind.main), NON_FIELD_ERRORS): error.problems}
        ) from error


def _by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    by_field: dict[str, list[str]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem.message)
    return by_field


def save_node(
    node: Node, *, after: Sequence[Node] | None = None, base: Base | None = None, plan: FlowPlan | None = None
) -> Node:
    """Save a node and make its tasks; `after`, if given, are the nodes it runs after from now on.

    In: `plan`, what `check_node` made of this very node, where a form has just asked. Raises ValidationError (see
    check_node) and EditConflict.
    """
    require("nodes.change_node" if node.pk else "nodes.add_node")
    plan = plan or check_node(node, after)
    # The keys of a new node's tasks hold its number, which it gets now: the flow is planned again then.
    with edit(node.flow, base=base, reason="saved", plan=plan if node.pk else None):
        if node.pk is None:
            _place(node)
        node.save()
        if after is not None:
            Link.objects.filter(down=node).exclude(up__in=after).delete()
            there = set(Link.objects.filter(down=node).values_list("up_id", flat=True))
            Link.objects.bulk_create(Link(flow=node.flow, up=up, down=node) for up in after if up.pk not in there)
    return node


def _place(node: Node) -> None:
    """Last in order, and on the canvas right of what is there, unless it was given a place."""
    others = list(node.flow.nodes.all())
    if len(others) >= MOST_NODES:
        raise ValidationError(f"A flow can have at most {MOST_NODES} nodes.")
    node.position = node.position or max((other.position for other in others), default=0) + 1
    if others and not (node.x or node.y):
        node.x = max(other.x for other in others) + GRID_X
        node.y = min((other.y for other in others if other.x == node.x - GRID_X), default=0)


def delete_node(node: Node, *, base: Base | None = None) -> None:
    """Delete a node with its links and tasks; what it built may now belong to another node. Raises EditConflict."""
    require("nodes.delete_node")
    with edit(node.flow, base=base, reason="another node was deleted"):
        node.delete()


def duplicate_node(node: Node, x: float, y: float) -> Node:
    """A second node with the same settings under a free name, without links."""
    require("nodes.add_node")
    with edit(node.flow, said=f"duplicated the node {node.name}"):
        name = free_name(node.name, node.flow.nodes.values_list("name", flat=True))
        copy = Node.objects.get(pk=node.pk)
        copy.pk, copy.name, copy.x, copy.y, copy.position = None, name, x, y, 0
        copy._state.adding = True
        _place(copy)
        copy.save()
    return copy


def move_nodes(flow: Flow, places: dict[int, tuple[float, float]]) -> None:
    """Put nodes to other places of the canvas: id -> (x, y)."""
    require("nodes.change_node")
    with edit(flow, reason=""):
        for pk, (x, y) in places.items():
            flow.nodes.filter(pk=pk).update(x=x, y=y)


def arrange(flow: Flow) -> None:
    """Lay the nodes of a flow out from left to right, by links and by the order that refs imply."""
    require("nodes.change_node")
    edges = set(flow.links.values_list("up_id", "down_id"))
    if (revision := flow.environment.current_revision) is not None:
        with suppress(FlowError, FileNotFoundError):
            edges |= set(implied_order(plan_flow(flow, revision, tolerant=True)))
    move_nodes(flow, graph.positions(flow.nodes.values_list("pk", flat=True), edges, *CARD, GAP))


def implied_order(plan: FlowPlan) -> dict[tuple[int, int], list[tuple[str, str]]]:
    """The order between nodes that refs imply: (node, node) -> the (upstream, downstream) identifiers that make it."""
    rows = {row.key: row for row in plan.order.rows}
    reasons: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for up, down in sorted(plan.order.implied):
        a, b = rows[up], rows[down]
        if a.node_id != b.node_id:
            reasons.setdefault((a.node_id, b.node_id), []).append((a.spec.identifier, b.spec.identifier))
    return reasons


def check_link(up: Node, down: Node) -> None:
    """Raise ValidationError when the nodes are of two flows, are the same, or would wait for each other."""
    if up.flow_id != down.flow_id:
        raise ValidationError("Both nodes of a link must belong to the same flow.")
    if up.pk == down.pk:
        raise ValidationError("A node cannot run after itself.")
    revision = up.flow.environment.current_revision
    links = {*up.flow.links.values_list("up_id", "down_id"), (up.pk, down.pk)}
    if cycle := graph.find_cycle(links):
        names = dict(up.flow.nodes.values_list("pk", "name"))
        raise ValidationError(f"This would create a cycle: {' -> '.join(names[pk] for pk in cycle)}")
    if revision is not None:
        try:
            plan_flow(up.flow, revision, links=links, tolerant=True)
        except FlowError as error:
            raise ValidationError(error.problems) from error


def link(up: Node, down: Node) -> Link:
    """Draw an arrow: nothing of `down` starts before all of `up` succeeded. Raises ValidationError (check_link)."""
    require("nodes.add_link")
    check_link(up, down)
    with edit(up.flow, reason="linked"):
        created, _ = Link.objects.get_or_create(flow=up.flow, up=up, down=down)
    return created


def unlink(arrow: Link) -> None:
    """Take an arrow away."""
    require("nodes.delete_link")
    with edit(arrow.flow, reason="unlinked"):
        arrow.delete()


def free_name(name: str, taken: Iterable[str]) -> str:
    """A name like this one that nobody has yet: "Daily copy", "Daily copy 2"."""
    names = set(taken)
    stem = name[:180]
    return next(
        candidate
        for n in range(1, len(names) + 3)
        if (candidate := f"{stem} copy" + (f" {n}" if n > 1 else "")) not in names
    )
