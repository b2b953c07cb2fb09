"""What people do to flows and their nodes. Pages, API and commands call these; each checks permissions."""

from nodes.services.nodes import (
    arrange,
    check_link,
    check_node,
    delete_node,
    duplicate_node,
    implied_order,
    link,
    move_nodes,
    save_node,
    unlink,
)
from nodes.services.whole import (
    check_import,
    delete_flow,
    duplicate_flow,
    import_flow,
    pause_flow,
    preview_import,
    restore_flow,
    save_flow,
)

__all__ = [
    "arrange",
    "check_import",
    "check_link",
    "check_node",
    "delete_flow",
    "delete_node",
    "duplicate_flow",
    "duplicate_node",
    "implied_order",
    "import_flow",
    "link",
    "move_nodes",
    "pause_flow",
    "preview_import",
    "restore_flow",
    "save_flow",
    "save_node",
    "unlink",
]
