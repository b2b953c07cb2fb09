"""All connectors: whatever a module of `sources/` defines. Safe to import in the web process."""

from importlib import import_module
from pkgutil import iter_modules

from nodes.connections.connectors import sources
from nodes.connections.connectors.base import GROUPS, Connector


def _discover() -> dict[str, Connector]:
    connectors: dict[str, Connector] = {}
    for module in iter_modules(sources.__path__):
        name = f"{sources.__name__}.{module.name}"
        for value in vars(import_module(name)).values():
            if isinstance(value, type) and issubclass(value, Connector) and value.__module__ == name:
                if value.key in connectors:
                    raise ValueError(f"two connectors have the key {value.key}: see {name}")
                connectors[value.key] = value()
    order = sorted(connectors.values(), key=lambda each: (GROUPS.index(each.group), each.title))
    return {each.key: each for each in order}


CATALOGUE: dict[str, Connector] = _discover()
