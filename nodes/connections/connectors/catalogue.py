"""All connectors: whatever a module of `sources/` defines. Safe to import in the web process."""

from nodes.connections.connectors import sources
from nodes.connections.connectors.base import GROUPS, Connector
from nodes.fields.discovery import discover


def _discover() -> dict[str, Connector]:
    connectors = discover(sources, Connector, "key", "connectors")  # type: ignore[type-abstract]  # subclasses are made
    order = sorted(connectors.values(), key=lambda each: (GROUPS.index(each.group), each.title))
    return {each.key: each for each in order}


CATALOGUE: dict[str, Connector] = _discover()
