from django.apps import AppConfig


class FlowsConfig(AppConfig):
    """Where, what and when: projects, environments, revisions, flows."""

    name = "flows"

    def ready(self) -> None:
        """Registers the system checks."""
        from flows import checks  # noqa: F401 - importing registers them
