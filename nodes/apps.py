"""The app of Django."""

from django.apps import AppConfig


class NodesConfig(AppConfig):
    """What a flow consists of: nodes, links, tasks."""

    name = "nodes"
