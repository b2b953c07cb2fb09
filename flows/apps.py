"""The app of Django."""

from django.apps import AppConfig


class FlowsConfig(AppConfig):
    """Where, what and when: projects, environments, revisions, flows."""

    name = "flows"

    def ready(self) -> None:
        """Registers the system checks, and tells what starts processes how this installation is configured."""
        from django.conf import settings

        from flows.infra import process
        from flows.projects import checks  # noqa: F401 - importing registers the checks

        process.configure(home=settings.DEX_HOME, bubblewrap=settings.BUBBLEWRAP)
