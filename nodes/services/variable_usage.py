"""Where variables are used, which keeps them from being deleted unawares."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from flows.models import Variable
from flows.variables.references import references_in
from flows.variables.values import VariableError, remove_variable
from nodes.models import Connection, Node

#: field of a node or a connection that may name variables -> what it is called on its page
FIELDS_OF_NODES = {
    "arguments": "parameters",
    "include": "include",
    "exclude": "exclude",
    "streams": "tables",
    "options": "settings",
}
FIELDS_OF_CONNECTIONS = {"dataset": "schema", "streams": "tables", "config": "settings"}


@dataclass(frozen=True)
class Place:
    """A field that names a variable: "node Load of the flow Night, parameters", and the page it is on."""

    said: str
    url: str
    project_id: int
    environment_id: int | None  # a connection is for all environments of its project
    names: frozenset[str]


def places_of(rows: Iterable[Variable]) -> dict[int, list[Place]]:
    """Id of a variable -> where `{{ NAME }}` stands in fields of nodes and connections that it holds for."""
    by_variable: dict[int, list[Place]] = defaultdict(list)
    rows = list(rows)
    places = _places({row.project_id for row in rows}) if rows else []
    for row in rows:
        for place in places:
            here = row.environment_id is None or place.environment_id in (None, row.environment_id)
            if row.name in place.names and place.project_id == row.project_id and here:
                by_variable[row.pk].append(place)
    return by_variable


def delete_variable(row: Variable, *, anyway: bool = False) -> None:
    """Forget a variable. Raises VariableError, naming the places, where it is used and not to go `anyway`."""
    places = places_of([row])[row.pk]
    if places and not anyway:
        raise VariableError(f"{row.name} is used by {'; '.join(place.said for place in places)}.")
    remove_variable(row)


def _places(projects: set[int]) -> list[Place]:
    nodes = Node.objects.filter(flow__environment__project__in=projects).select_related("flow__environment")
    places = []
    for node in nodes.order_by("flow__name", "position", "pk"):
        environment = node.flow.environment
        url = reverse("nodes:node", args=[node.flow_id, node.pk])
        for field, called in FIELDS_OF_NODES.items():
            if names := _names_in(getattr(node, field)):
                description = f"node {node.name} of the flow {node.flow.name}, {called}"
                places.append(Place(description, url, environment.project_id, environment.pk, names))
    for loads in Connection.objects.filter(project__in=projects):
        url = reverse("nodes:connection", args=[loads.pk])
        for field, called in FIELDS_OF_CONNECTIONS.items():
            if names := _names_in(getattr(loads, field)):
                places.append(Place(f"connection {loads.name}, {called}", url, loads.project_id, None, names))
    return places


def _names_in(value: Any) -> frozenset[str]:
    return frozenset(reference.name for reference in references_in(value) if reference.kind == "variable")
