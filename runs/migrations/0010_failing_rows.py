"""Leave to look at rows that fail tests, given to the operators; and to the admins what the pages since then ask for."""

from django.db import migrations

from flows.roles import seed_roles


def seed(apps, schema_editor):
    seed_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0009_failures_and_messages"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="attempt",
            options={
                "ordering": ["task_run", "fence"],
                "permissions": [
                    ("view_log", "Can read logs"),
                    ("download_log", "Can download whole logs"),
                    ("view_failing_rows", "Can view rows that fail tests"),
                ],
            },
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
