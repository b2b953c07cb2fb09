"""The canvas of a flow as data: the picture that the browser draws, and the operations that it sends back."""

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Count, Max
from django.urls import reverse

from flows.access import acting
from flows.infra import ids
from flows.models import Flow
from nodes import kinds, services
from nodes.catalogue import model_url
from nodes.document import document_of
from nodes.editing import Base, edit
from nodes.expansion import FlowError, plan_flow
from nodes.models import Link, Node, Task

MOST_OPERATIONS = 500
MOST_MODELS = 200  # that a card lists
FARTHEST = 1e6  # pixels from the middle of the canvas
_KEPT = 32
_known: OrderedDict[str, dict[str, Any]] = OrderedDict()


class OperationError(ValueError):
    """Something was sent that no canvas sends."""


def picture(flow: Flow) -> dict[str, Any]:
    """Everything the canvas draws: nodes with their tasks and problems, links, and the order that refs imply."""
    key = _state(flow)
    drawn = _known.get(key)
    if drawn is None:
        drawn = _known[key] = _picture(flow)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    offered = [
        {
            "kind": kind.name,
            "label": kind.label,
            "icon": kind.icon,
            "says": kind.says,
            "url": reverse("nodes:new", args=[flow.pk, kind.name]),
        }
        for kind in kinds.all_kinds()
    ]
    return {**drawn, "may_edit": acting().may("flows.change_flow"), "kinds": offered}


def _state(flow: Flow) -> str:
    """Everything that the picture is made from, as a text: to plan a large flow again takes seconds."""
    tasks = Task.objects.filter(node__flow=flow).aggregate(Max("id"), Count("id"))
    return json.dumps([flow.pk, flow.version, flow.environment.current_revision_id, document_of(flow), tasks])


def _picture(flow: Flow) -> dict[str, Any]:
    problems, implied = _plan(flow)
    listed: dict[int, list[tuple[str, str, str]]] = {}
    counts: dict[int, int] = {}
    rows = Task.objects.filter(node__flow=flow, runs=True).order_by("node_id", "position")
    for node_id, unique_id, identifier, resource_type in rows.values_list(
        "node_id", "unique_id", "identifier", "resource_type"
    ):
        counts[node_id] = counts.get(node_id, 0) + 1
        if len(models := listed.setdefault(node_id, [])) < MOST_MODELS:
            models.append((unique_id, identifier, resource_type))
    nodes = [
        {
            "id": node.pk,
            "name": node.name,
            "kind": node.kind,
            "kind_label": kinds.of(node.kind).label,
            "kind_icon": kinds.of(node.kind).icon,
            "tasks": counts.get(node.pk, 0),
            "x": node.x,
            "y": node.y,
            "problem": problems.get(node.pk, ""),
            "detail": kinds.of(node.kind).detail(kinds.of(node.kind).settings(node)),
            "url": reverse("nodes:node", args=[flow.pk, node.pk]),
            "models": [
                {"id": unique_id, "name": identifier, "type": kind, "url": model_url(unique_id, flow.environment_id)}
                for unique_id, identifier, kind in listed.get(node.pk, ())
            ],
            "more_models": counts.get(node.pk, 0) - len(listed.get(node.pk, ())),
        }
        for node in flow.nodes.select_related("connection").order_by("position", "id")
    ]
    return {
        "flow": {"id": flow.pk, "name": flow.name},
        "version": flow.version,
        "nodes": nodes,
        "links": [{"up": up, "down": down} for up, down in flow.links.order_by("id").values_list("up_id", "down_id")],
        "implied": implied,
    }


def _plan(flow: Flow) -> tuple[dict[int, str], list[dict[str, Any]]]:
    revision = flow.environment.current_revision
    if revision is None:
        return {}, []
    try:
        plan = plan_flow(flow, revision, tolerant=True)
    except (FlowError, FileNotFoundError):
        return {}, []
    problems = {pk: result.errors[0].message for pk, result in plan.expanded.items() if result.errors}
    implied = []
    for (up, down), pairs in sorted(services.implied_order(plan).items()):
        a, b = pairs[0]
        more = f", and {len(pairs) - 1} more" if len(pairs) > 1 else ""
        implied.append({"up": up, "down": down, "count": len(pairs), "reason": f"{b} <- {a}{more}"})
    return problems, implied


def perform(flow: Flow, version: int, operations: Sequence[Mapping[str, Any]], *, mine_wins: bool = False) -> str:
    """Do what the canvas sent, as one edit; what was done in words.

    In: the version that the person saw; `mine_wins`, that they know what others changed meanwhile. Raises
    OperationError, EditConflict (somebody changed the same thing) and ValidationError (a circle, a node that is gone).
    """
    if not isinstance(operations, list) or not operations or len(operations) > MOST_OPERATIONS:
        raise OperationError(f"operations must be a list of 1 to {MOST_OPERATIONS} operations.")
    done = [_read(flow, operation) for operation in operations]
    base = None if mine_wins else _base(version, operations)
    only_places = all(operation["op"] in ("move", "arrange") for operation in operations)
    with edit(flow, base=base, reason="" if only_places else "edited"):
        before = document_of(flow)
        for act in done:
            act()
        flow.refresh_from_db()
        changed = document_of(flow) != before
    latest = flow.changes.filter(version=flow.version).first()
    return latest.said if changed and latest else ""


def _base(version: int, operations: Sequence[Mapping[str, Any]]) -> Base:
    names = {operation["op"] for operation in operations}
    nodes = {operation[end] for operation in operations for end in ("node", "up", "down") if end in operation}
    aspects = {"existence"}
    if "move" in names:
        aspects |= {"place"}
    if "delete" in names:
        aspects |= {"settings", "link"}
    return Base(version, nodes, aspects, everything="restore" in names)


def _read(flow: Flow, operation: Any) -> Callable[[], object]:
    """What an operation will do. Everything in it is looked at before anything is done."""
    if not isinstance(operation, dict):
        raise OperationError("Each operation must be an object with op.")
    match operation.get("op"):
        case "move":
            pk, place = _id(operation, "node"), _place(operation)
            return lambda: services.move_nodes(flow, {_node(flow, pk).pk: place})
        case "link":
            up, down = _id(operation, "up"), _id(operation, "down")
            return lambda: services.link(_node(flow, up), _node(flow, down))
        case "unlink":
            up, down = _id(operation, "up"), _id(operation, "down")
            return lambda: _unlink(flow, up, down)
        case "delete":
            pk = _id(operation, "node")
            return lambda: services.delete_node(_node(flow, pk))
        case "duplicate":
            pk, (x, y) = _id(operation, "node"), _place(operation)
            return lambda: services.duplicate_node(_node(flow, pk), x, y)
        case "arrange":
            return lambda: services.arrange(flow)
        case "restore":
            to = _id(operation, "version")
            return lambda: services.restore_flow(flow, to)
    raise OperationError("op must be one of move, link, unlink, delete, duplicate, arrange, restore.")


def _unlink(flow: Flow, up: int, down: int) -> None:
    for arrow in Link.objects.filter(flow=flow, up=up, down=down):
        services.unlink(arrow)


def _node(flow: Flow, pk: int) -> Node:
    node = flow.nodes.select_related("flow").filter(pk=pk).first()
    if node is None:
        raise ValidationError("This node no longer exists; someone deleted it.")
    return node


def _id(operation: Mapping[str, Any], name: str) -> int:
    value = operation.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= ids.LARGEST:
        raise OperationError(f"{name} must be a whole number.")
    return value


def _place(operation: Mapping[str, Any]) -> tuple[float, float]:
    positions = []
    for name in ("x", "y"):
        value = operation.get(name)
        usual = isinstance(value, int | float) and not isinstance(value, bool)
        if not usual or not math.isfinite(value) or abs(value) > FARTHEST:  # type: ignore[arg-type]
            raise OperationError(f"{name} must be a number of pixels.")
        positions.append(float(value))  # type: ignore[arg-type]
    return positions[0], positions[1]
