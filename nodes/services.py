"""What people do to flows: settings, nodes, links, restore and import. Every door calls these; each asks for leave."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from django.core.exceptions import ValidationError
from django.db import transaction

from flows import scheduling
from flows.access import require
from flows.models import Flow
from nodes import graph
from nodes.document import Document, differences, document_of, save_settings, write
from nodes.editing import Base, edit, record
from nodes.expansion import FlowError, FlowPlan, expand, plan_flow, refresh_flow
from nodes.kinds.base import Problem
from nodes.models import Change, Link, Node

LONGEST_LIST = 100
LONGEST_VALUE = 2000
MOST_NODES = 500
GRID_X, GRID_Y = 300, 130  # between the cards of the canvas, in its pixels


# --- flows -------------------------------------------------------------------------------------------------


def save_flow(flow: Flow, *, base: Base | None = None) -> Flow:
    """Save the settings of a flow, a new one too. Raises EditConflict."""
    require("flows.change_flow" if flow.pk else "flows.add_flow")
    if flow.pk is None:
        with transaction.atomic():
            flow.version = 1
            flow.save()
            record(flow, None)
        return flow
    with edit(flow, base=base):
        save_settings(flow)
    return flow


def pause_flow(flow: Flow, paused: bool) -> None:
    """Let the schedule of a flow start nothing for a while, or again."""
    require("flows.pause_flow")
    with edit(flow, said="paused the schedule" if paused else "resumed the schedule", reason=""):
        Flow.objects.filter(pk=flow.pk).update(paused=paused)
    flow.paused = paused


def delete_flow(flow: Flow) -> None:
    """Delete a flow with its nodes. Its runs and its history stay, under its name."""
    require("flows.delete_flow")
    with transaction.atomic():
        flow.version += 1
        Flow.objects.filter(pk=flow.pk).update(version=flow.version)
        Change.objects.create(
            flow=flow,
            flow_name=flow.name,
            version=flow.version,
            actor=require().name,
            said="Deleted the flow",
            details=["deleted the flow"],
            document=document_of(flow),
        )
        scheduling.forget(flow.pk)
        flow.delete()


def duplicate_flow(flow: Flow) -> Flow:
    """A new flow with the same settings, nodes and links under a free name; its schedule is paused."""
    require("flows.add_flow")
    document = document_of(flow)
    taken = set(Flow.objects.values_list("name", flat=True))
    document["name"] = _free_name(flow.name, taken)
    document["schedule"] = {**document["schedule"], "paused": True}
    document["nodes"] = [{name: value for name, value in node.items() if name != "id"} for node in document["nodes"]]
    return _make(document, f"made the flow as a copy of {flow.name}")


def _free_name(name: str, taken: Iterable[str]) -> str:
    known = set(taken)
    stem = name[:180]
    return next(
        made for n in range(1, len(known) + 3) if (made := f"{stem} copy" + (f" {n}" if n > 1 else "")) not in known
    )


def _make(document: Document, said: str) -> Flow:
    with transaction.atomic():
        flow = Flow(version=1)
        write(flow, document)
        refresh_flow(flow, reason="made")
        record(flow, None, said)
    return flow


def restore_flow(flow: Flow, version: int, *, base: Base | None = None) -> None:
    """Make a flow what it was at a version: settings, nodes, links and places. Raises EditConflict, ValidationError."""
    require("flows.change_flow")
    change = flow.changes.filter(version=version).first()
    if change is None:
        raise ValidationError(f"There is no version {version} of this flow.")
    with edit(flow, said=f"restored version {version}", base=base):
        write(Flow.objects.get(pk=flow.pk), change.document)
    flow.refresh_from_db()


def preview_import(document: Document) -> tuple[Flow | None, list[str]]:
    """What an import would change: the flow of that name, if there is one, and one line for each difference."""
    flow = Flow.objects.select_related("environment__project").filter(name=document["name"]).first()
    before = document_of(flow) if flow else None
    return flow, [difference.text for difference in differences(before, document)]


def check_import(document: Document) -> list[str]:
    """What stands in the way of an import: it is done, and taken back."""
    try:
        with transaction.atomic():
            import_flow(document)
            transaction.set_rollback(True)
    except ValidationError as error:
        return error.messages
    return []


def import_flow(document: Document) -> Flow:
    """Make the flow of a document, or make the flow of that name like it. Raises ValidationError, and then nothing
    was written: for what the rows refuse, for selectors that are wrong or give nothing, and for circles.
    """
    flow = Flow.objects.filter(name=document["name"]).first()
    require("flows.change_flow" if flow else "flows.add_flow")
    with transaction.atomic():
        if flow is None:
            flow = _make(document, "made the flow by import")
        else:
            with edit(flow, said="imported the flow"):
                write(flow, document)
        _check_all(flow)
        if any(node.get("at") is None for node in document["nodes"]):
            with edit(flow, reason=""):
                arrange(flow)
    return flow


def _check_all(flow: Flow) -> None:
    revision = flow.environment.current_revision
    if revision is None:
        return
    try:
        plan_flow(flow, revision)
    except FlowError as error:
        raise ValidationError(error.problems) from error


# --- nodes -------------------------------------------------------------------------------------------------


def check_node(node: Node, after: Sequence[Node] | None = None) -> None:
    """Raise ValidationError, by field, for a node that cannot be saved; `after` are the nodes it will run after."""
    if node.kind == Node.Kind.TRANSFORMATION:
        _check_lists(node)
    revision = node.flow.environment.current_revision
    if revision is None:
        raise ValidationError(
            f"Environment {node.flow.environment} has no parsed revision yet. Sync it first; "
            + (node.flow.environment.sync_error or "it was never synced.")
        )
    problems = expand(node, revision).errors
    if problems:
        raise ValidationError(_by_field(problems))
    links = None
    if after is not None:
        others = node.flow.links.exclude(down_id=node.pk) if node.pk else node.flow.links.all()
        links = [*others.values_list("up_id", "down_id"), *((up.pk, node.pk or 0) for up in after)]
    try:
        plan_flow(node.flow, revision, instead=node, links=links, tolerant=True)
    except FlowError as error:
        raise ValidationError({"runs_after" if after else _main_field(node): error.problems}) from error


def _main_field(node: Node) -> str:
    return {Node.Kind.CONNECTION: "connection", Node.Kind.SCRIPT: "package"}.get(Node.Kind(node.kind), "include")


def _check_lists(node: Node) -> None:
    errors: dict[str, list[str]] = {}
    for name in ("include", "exclude"):
        values = getattr(node, name)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            errors[name] = ["This must be a list of selectors."]
        elif len(values) > LONGEST_LIST or any(len(value) > LONGEST_VALUE for value in values):
            errors[name] = [f"At most {LONGEST_LIST} selectors of at most {LONGEST_VALUE} characters each."]
    if errors:
        raise ValidationError(errors)


def _by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    by_field: dict[str, list[str]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem.message)
    return by_field


def save_node(node: Node, *, after: Sequence[Node] | None = None, base: Base | None = None) -> Node:
    """Save a node and make its tasks; `after`, if given, are the nodes it runs after from now on.

    Raises ValidationError (see check_node) and EditConflict.
    """
    require("nodes.change_node" if node.pk else "nodes.add_node")
    check_node(node, after)
    with edit(node.flow, base=base, reason="saved"):
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
        raise ValidationError(f"A flow has at most {MOST_NODES} nodes.")
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
        name = _free_name(node.name, node.flow.nodes.values_list("name", flat=True))
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
    places = graph.layout(flow.nodes.values_list("pk", flat=True), edges)
    move_nodes(flow, {pk: (x * GRID_X, y * GRID_Y) for pk, (x, y) in places.items()})


def implied_order(plan: FlowPlan) -> dict[tuple[int, int], list[tuple[str, str]]]:
    """The order between nodes that refs imply: (node, node) -> the (upstream, downstream) identifiers that make it."""
    rows = {row.key: row for row in plan.order.rows}
    made: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for up, down in sorted(plan.order.implied):
        a, b = rows[up], rows[down]
        if a.step != b.step:
            made.setdefault((a.step, b.step), []).append((a.spec.identifier, b.spec.identifier))
    return made


# --- links -------------------------------------------------------------------------------------------------


def check_link(up: Node, down: Node) -> None:
    """Raise ValidationError when the nodes are of two flows, are the same, or would wait for each other."""
    if up.flow_id != down.flow_id:
        raise ValidationError("Both nodes of a link belong to the same flow.")
    if up.pk == down.pk:
        raise ValidationError("A node cannot run after itself.")
    revision = up.flow.environment.current_revision
    links = {*up.flow.links.values_list("up_id", "down_id"), (up.pk, down.pk)}
    if cycle := graph.find_cycle(links):
        names = dict(up.flow.nodes.values_list("pk", "name"))
        raise ValidationError(f"These would wait for each other: {' -> '.join(names[pk] for pk in cycle)}")
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
        made, _ = Link.objects.get_or_create(flow=up.flow, up=up, down=down)
    return made


def unlink(arrow: Link) -> None:
    """Take an arrow away."""
    require("nodes.delete_link")
    with edit(arrow.flow, reason="unlinked"):
        arrow.delete()
