from django.apps import AppConfig


class FlowsConfig(AppConfig):
    """Where, what and when: projects, environments, revisions, flows."""

    name = "flows"
