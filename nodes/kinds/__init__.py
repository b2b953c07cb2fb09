"""The kinds of nodes, one file each, and the registry that holds them.

Each file has a subclass of Kind (base.py) and registers it; nothing else names a kind. Not here: forms and pages.
"""

from nodes.kinds.registry import UnknownKind, all_kinds, get, of

__all__ = ["UnknownKind", "all_kinds", "get", "of"]
