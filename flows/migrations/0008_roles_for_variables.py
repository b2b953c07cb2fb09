"""Leave to look at variables for editors, and to keep them for admins."""

from django.db import migrations

from flows.roles import seed_roles


def seed(apps, schema_editor):
    seed_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0007_variable"),
        ("runs", "0010_failing_rows"),  # roles are about the rows of every app
    ]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
