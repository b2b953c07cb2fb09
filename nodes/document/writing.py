"""Makes the rows of a flow what a document says."""

from django.core.exceptions import ValidationError

from flows.models import Environment, Flow
from flows.scheduling.follows import follow
from flows.scheduling.unattended import refusal, refusal_of_planned
from nodes import kinds
from nodes.document.value import AFTER, FLOW_FIELDS, SCHEDULE_FIELDS, Document, completed
from nodes.models import Connection, Link, Node


def environment_named(name: str) -> Environment:
    """The environment that a document names. Raises ValidationError with the names that there are."""
    environments = {str(environment): environment for environment in Environment.objects.select_related("project")}
    if name not in environments:
        there = f"There are {', '.join(environments)}." if environments else "There is none yet."
        raise ValidationError({"environment": f"Unknown environment {name[:200]}. {there}"})
    return environments[name]


def flows_named(names: list[str]) -> list[Flow]:
    """The flows that a document names. Raises ValidationError with those that there are not."""
    flows = {flow.name: flow for flow in Flow.objects.filter(name__in=names)}
    if missing := [name for name in names if name not in flows]:
        raise ValidationError({"after": f"There is no flow {', '.join(missing)[:200]} to start after."})
    return list(flows.values())


def write(flow: Flow, document: Document) -> None:
    """Make the rows of a flow what a document says: its settings, nodes and links. Belongs into a transaction.

    Nodes are known again by their id, then by their name; those that the document does not have are deleted.
    Raises ValidationError for what the rows themselves refuse. What the nodes select is not looked at.
    """
    document = completed(document)
    for name in ("name", *FLOW_FIELDS):
        setattr(flow, name, document[name])
    for name in SCHEDULE_FIELDS:
        setattr(flow, name, document["schedule"][name])
    flow.environment = environment_named(document["environment"])
    flow.full_clean(exclude=["version"])
    after = flows_named(document["schedule"][AFTER])
    message = refusal(flow.parameters, cron=flow.cron, follows=bool(after)) or refusal_of_planned(flow, flow.parameters)
    if message:
        raise ValidationError({"parameters": message})
    save_settings(flow)
    follow(flow, after)
    there = {node.pk: node for node in flow.nodes.all()}
    by_name = {node.name: node for node in there.values()}
    wanted: list[tuple[Node, Document]] = []
    for entry in document["nodes"]:
        node = there.get(entry.get("id", 0)) or by_name.get(entry["name"])
        if node is not None and any(node is other for other, _ in wanted):
            node = None
        wanted.append((node or Node(flow=flow), entry))
    kept = {node.pk for node, _ in wanted}
    flow.nodes.exclude(pk__in=kept).delete()
    flow.links.all().delete()
    for number, (node, _) in enumerate(wanted):
        if node.pk:  # two nodes may have swapped their names, which are unique at every moment
            Node.objects.filter(pk=node.pk).update(name=f"renamed {number} of {node.pk}")
    named = {}
    for position, (node, entry) in enumerate(wanted, 1):
        _write_node(flow, node, entry, position)
        named[node.name] = node
    Link.objects.bulk_create(
        Link(flow=flow, up=named[up], down=named[entry["name"]]) for _, entry in wanted for up in entry["runs_after"]
    )


def _write_node(flow: Flow, node: Node, entry: Document, position: int) -> None:
    node.name, node.kind, node.position, node.flow = entry["name"], entry["type"], position, flow
    try:
        kind = kinds.get(entry["type"])
    except kinds.UnknownKind as error:
        raise ValidationError([f"node {node.name}: type: {error}"]) from error
    settings = {name: entry[name] for name in kind.fields if name in entry}
    if settings.get("connection") is not None:
        settings["connection"] = _connection(flow, entry)
    kind.set(node, settings)
    if entry.get("at") is not None:
        node.x, node.y = entry["at"]
    try:
        node.full_clean(exclude=["flow"])
    except ValidationError as error:
        problems = [f"node {node.name}: {name}: {' '.join(messages)}" for name, messages in error.message_dict.items()]
        raise ValidationError(problems) from error
    node.save()


def _connection(flow: Flow, entry: Document) -> Connection:
    connections = {connection.name: connection for connection in flow.environment.project.connections.all()}
    if entry["connection"] not in connections:
        there = f"There are {', '.join(connections)}." if connections else "There is none yet."
        raise ValidationError([f"node {entry['name']}: there is no connection {entry['connection'][:60]}. {there}"])
    return connections[entry["connection"]]


def save_settings(flow: Flow) -> None:
    """Save a flow without what others write: its version (nodes.editing) and its cursor (runs.scheduling.ticking)."""
    kept = ("id", "version", "decided_until", "created_at")
    names = [field.name for field in Flow._meta.concrete_fields if field.name not in kept]
    flow.save(update_fields=names if flow.pk else None)
