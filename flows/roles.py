"""Gives the groups of flows.access.ROLES their permissions."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db.models import Q

from flows.access import ROLES, role_permissions

_APPS = ("auth", "flows", "nodes", "runs")


def seed_roles(apps: Any = installed) -> None:
    """Make the groups viewer, operator, editor and admin, and give them what they may.

    Safe to repeat; what an administrator gave a group beyond it stays. In: the registry of apps, in a migration the
    historical one.
    """
    for label in _APPS:  # Django makes permissions after the last migration, which is too late for one
        config = apps.get_app_config(label)
        config.models_module = getattr(config, "models_module", None) or True  # a historical app has none
        create_permissions(config, apps=apps, verbosity=0)
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        permissions = Q(pk__in=())
        for name in role_permissions(role):
            label, codename = name.split(".")
            permissions |= Q(content_type__app_label=label, codename=codename)
        group.permissions.add(*Permission.objects.filter(permissions))
