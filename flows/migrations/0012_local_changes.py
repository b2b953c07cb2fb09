"""Revisions of folders that may hold something else than their commit."""

from django.db import migrations, models


def unknown_for_folders(apps, schema_editor):
    """A folder that is taken as it is may have held anything; a branch's revision is its commit."""
    revisions = apps.get_model("flows", "Revision").objects
    folders = revisions.filter(environment__branch="", environment__project__url="").exclude(commit="")
    revisions.filter(pk__in=list(folders.values_list("pk", flat=True))).update(local_changes=None)


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0011_login"),
    ]

    operations = [
        migrations.AddField(
            model_name="revision",
            name="local_changes",
            field=models.BooleanField(
                default=False,
                help_text="Whether the folder differed from its commit; empty if unknown",
                null=True,
            ),
        ),
        migrations.RunPython(unknown_for_folders, migrations.RunPython.noop),
    ]
