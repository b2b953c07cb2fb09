"""The admin site is configured as an app so that `admin.site` is dex's own."""

from django.contrib.admin.apps import AdminConfig


class DexAdminConfig(AdminConfig):
    """django.contrib.admin with dex's site."""

    default_site = "dexsite.admin.DexAdminSite"
