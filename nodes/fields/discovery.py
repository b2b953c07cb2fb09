"""Kinds that are added by a file: whatever class a module of a package defines."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

Kind = TypeVar("Kind")


def discover(package: ModuleType, kind: type[Kind], key: str, many: str) -> dict[str, Kind]:
    """An instance of each subclass of `kind` that a module of the package defines, by its attribute `key`.

    In: `many`, what several of them are called. Raises ValueError where two have the same key.
    """
    instances: dict[str, Kind] = {}
    for module in iter_modules(package.__path__):
        name = f"{package.__name__}.{module.name}"
        for value in vars(import_module(name)).values():
            if isinstance(value, type) and issubclass(value, kind) and value.__module__ == name:
                named = getattr(value, key)
                if named in instances:
                    raise ValueError(f"two {many} have the {key} {named}: see {name}")
                instances[named] = value()
    return instances
