"""The admin site is configured as an app so that `admin.site` is dex's own."""

from importlib import import_module

from django.contrib.admin.apps import AdminConfig


class DexAdminConfig(AdminConfig):
    """django.contrib.admin with dex's site."""

    default_site = "dexsite.admin.DexAdminSite"

    def ready(self) -> None:
        """Called by Django once all apps are loaded."""
        super().ready()
        import_module("dexsite.users.admin")  # instead of the pages that django.contrib.auth has registered by now
