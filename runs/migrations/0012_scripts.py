"""Scripts: the warehouse that they wait for, the user that they run as, runs that only test one."""

from importlib import import_module

from django.db import migrations, models

_triggers = import_module("runs.migrations.0002_transition_triggers")


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0011_first_failure"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="uid",
            field=models.PositiveIntegerField(blank=True, help_text="The operating system user it runs as", null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="warehouse_pool",
            field=models.CharField(
                blank=True,
                help_text="The pool of a warehouse that only one process can open at a time",
                max_length=500,
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("manual", "manually"),
                    ("command", "from the command line"),
                    ("rerun", "as a rerun"),
                    ("schedule", "by schedule"),
                    ("flow", "after another flow"),
                    ("once", "as planned"),
                    ("api", "through the API"),
                    ("test", "as a script test"),
                ],
                max_length=20,
            ),
        ),
        migrations.RunPython(_triggers.install, migrations.RunPython.noop),  # SQLite rebuilt the table
    ]
