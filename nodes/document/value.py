"""The two forms of a flow: the whole one with ids and every field, and the exported one without defaults."""

from typing import Any

from flows.models import Flow
from nodes import kinds
from nodes.models import Node

FORMAT = 1
Document = dict[str, Any]

SCHEDULE_FIELDS = ("cron", "time_zone", "paused", "missed", "overlap", "spread")
AFTER = "after"  # of the schedule: the names of the flows that it starts after
FLOW_FIELDS = (
    *("description", "tags", "retries", "retry_delay", "retry_on", "retry_patterns", "timeout"),
    *("by_kind", "allow_empty", "parameters"),
)


def document_of(flow: Flow) -> Document:
    """The whole form of a flow as the database has it now. Three queries."""
    nodes = list(flow.nodes.select_related("connection").order_by("position", "id"))
    names = {node.pk: node.name for node in nodes}
    after: dict[int, list[str]] = {}
    for up, down in flow.links.values_list("up_id", "down_id"):
        after.setdefault(down, []).append(names[up])
    return {
        "name": flow.name,
        "environment": str(flow.environment),
        **{name: getattr(flow, name) for name in FLOW_FIELDS},
        "schedule": {
            **{name: getattr(flow, name) for name in SCHEDULE_FIELDS},
            AFTER: list(flow.follows.values_list("up__name", flat=True).order_by("up__name")),
        },
        "nodes": [_node(node, sorted(after.get(node.pk, ()))) for node in nodes],
    }


def _node(node: Node, after: list[str]) -> Document:
    document: Document = {"id": node.pk, "name": node.name, "type": node.kind, **kinds.of(node.kind).settings(node)}
    return {**document, "runs_after": after, "at": [node.x, node.y]}


def exported(document: Document) -> Document:
    """The exported form of a whole form."""
    fields = {name: document[name] for name in ("name", "description", "environment", *FLOW_FIELDS[1:])}
    exported_document: Document = {"dex": FORMAT} | _without_defaults(
        fields, flow_defaults(), keep=("name", "environment")
    )
    if schedule := _without_defaults(document["schedule"], flow_defaults()):
        exported_document["schedule"] = schedule
    exported_document["nodes"] = [_exported_node(node) for node in document["nodes"]]
    return exported_document


def _exported_node(node: Document) -> Document:
    defaults = {**kinds.of(node["type"]).defaults, "runs_after": []}
    kept = {name: value for name, value in node.items() if name != "id"}
    kept["at"] = [round(value) for value in node["at"]]
    return _without_defaults(kept, defaults, keep=("name", "type"))


def _without_defaults(fields: Document, defaults: Document, keep: tuple[str, ...] = ()) -> Document:
    return {name: value for name, value in fields.items() if name in keep or value != defaults.get(name, ...)}


def flow_defaults() -> Document:
    """What each setting of a flow is when nobody sets it."""
    fields: dict[str, Any] = {name: Flow._meta.get_field(name) for name in (*FLOW_FIELDS, *SCHEDULE_FIELDS)}
    return {name: field.get_default() for name, field in fields.items()} | {AFTER: []}


def completed(document: Document) -> Document:
    """A document that was written before a setting existed, with the default of that setting."""
    defaults = flow_defaults()
    whole = {**{name: defaults[name] for name in FLOW_FIELDS}, **document}
    whole["schedule"] = {name: document["schedule"].get(name, defaults[name]) for name in (*SCHEDULE_FIELDS, AFTER)}
    whole["nodes"] = [{**kinds.of(node["type"]).defaults, **node} for node in document["nodes"]]
    return whole
