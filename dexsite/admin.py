"""The admin site."""

from django.contrib.admin import AdminSite


class DexAdminSite(AdminSite):
    """django.contrib.admin under dex's name."""

    site_header = "dex"
    site_title = "dex"
    index_title = "Flows, environments and access"
