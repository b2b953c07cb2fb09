"""The app of Django."""

from django.apps import AppConfig


class FlowsConfig(AppConfig):
    """Where, what and when: projects, environments, revisions, flows."""

    name = "flows"

    def ready(self) -> None:
        """Registers `<id:...>` for addresses and the system checks, and configures what starts processes."""
        from django.conf import settings
        from django.urls import register_converter

        from flows.infra import ids, process
        from flows.projects import checks  # noqa: F401 - importing registers the checks

        register_converter(ids.IdConverter, "id")
        process.configure(home=settings.DEX_HOME, bubblewrap=settings.BUBBLEWRAP)
