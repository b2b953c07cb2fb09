"""The kinds of nodes that there are, by their names."""

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from django.core.exceptions import FieldDoesNotExist

from flows import retry_policy
from nodes.kinds.base import Kind
from nodes.models import Node
from nodes.tasks import AttemptOutcome, Context, Expanded, Problem

#: What files, forms and the specs of task runs have of every node.
RESERVED = (
    *("id", "name", "type", "runs_after", "at", "version", "options"),
    *("unique_id", "builds", "tests", "unit_tests", "step", "makes", "microbatch"),
)
_kinds: dict[str, Kind] = {}


class UnknownKind(LookupError):
    """There is no kind of this name; the message names those that there are, and `hint` the one that was meant."""

    def __init__(self, name: object) -> None:
        close = get_close_matches(str(name)[:60], _kinds, n=1)
        self.hint = f" Did you mean {close[0]}?" if close else ""
        super().__init__(f"Unknown type of node {str(name)[:60]}; use one of {', '.join(_kinds)}.{self.hint}")


class _Unknown(Kind):
    """Stands for the kind of a stored node that is registered no more, so that its flow can still be shown."""

    icon = "circle-alert"
    template = "nodes/kinds/unknown.html"

    def __init__(self, name: str) -> None:
        self.name, self.label, self.says = name, f"Unknown ({name})", str(UnknownKind(name))

    def detail(self, settings: Any) -> str:
        """Says that nothing is known of it."""
        return self.says

    def check(self, node: Node) -> list[Problem]:
        """A node of an unknown kind cannot be saved."""
        return [Problem("kind", self.says)]

    def execute(self, context: Context) -> AttemptOutcome:
        """It cannot be executed, however often it is tried."""
        return AttemptOutcome("failed", self.says, retryable=False)

    def expand(self, node: Node, revision: Any, results: Any = None) -> Expanded:
        """A node of an unknown kind has no tasks."""
        return Expanded(errors=tuple(self.check(node)))


def register(kind: Kind) -> Kind:
    """Make a kind known to forms, files, the planner and the engine. Raises ValueError for one that cannot be."""
    if not kind.name or not kind.label:
        raise ValueError(f"{type(kind).__name__} needs a name and a label")
    if kind.name in _kinds:
        raise ValueError(f"There are two kinds of node named {kind.name}")
    for option in kind.options:
        if option.name in RESERVED or _is_column(option.name):
            raise ValueError(f"{kind.name}: the option {option.name} is named as a setting of every node")
    _kinds[kind.name] = kind
    for registered in sorted(_kinds.values(), key=lambda each: (each.order, each.label)):
        _kinds[registered.name] = _kinds.pop(registered.name)
    if kind.plural:
        retry_policy.add_kind(kind.name, kind.plural)
    return kind


def unregister(name: str) -> None:
    """Forget a kind, as when an add-on is removed; its nodes stay and are shown as unknown."""
    del _kinds[name]
    retry_policy.remove_kind(name)


def get(name: object) -> Kind:
    """The kind of this name. Raises UnknownKind, which names those that there are."""
    if not isinstance(name, str) or name not in _kinds:
        raise UnknownKind(name)
    return _kinds[name]


def of(name: str) -> Kind:
    """The kind of a stored node; one that says so where it is not registered any more."""
    return _kinds.get(name) or _Unknown(name)


def all_kinds() -> list[Kind]:
    """Every kind, in the order of menus."""
    return list(_kinds.values())


def discover() -> None:
    """Import every module of nodes.kinds: each registers its kind."""
    package = import_module("nodes.kinds")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"nodes.kinds.{module.name}")


def _is_column(name: str) -> bool:
    try:
        Node._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True
