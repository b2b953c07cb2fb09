"""The groups viewer, operator, editor and admin, with what they may."""

from django.db import migrations

from flows.roles import seed_roles
from flows.access import ROLES


def seed(apps, schema_editor):
    seed_roles(apps)


def remove(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("flows", "0002_schedule_and_version"),
        ("nodes", "0002_kinds_connections_changes"),
        ("runs", "0003_log_permissions"),
    ]

    operations = [migrations.RunPython(seed, remove)]
