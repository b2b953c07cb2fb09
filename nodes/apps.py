"""The app of Django."""

from django.apps import AppConfig


class NodesConfig(AppConfig):
    """What a flow consists of: nodes, links, tasks."""

    name = "nodes"

    def ready(self) -> None:
        """Registers the kinds of nodes."""
        from nodes.kinds.registry import discover

        discover()
