"""Retries and limits of time that differ for some kinds of tasks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("flows", "0008_roles_for_variables")]

    operations = [
        migrations.AddField(
            model_name="flow",
            name="by_kind",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="What is left empty is as above; a node's own settings come first. Tests of one model belong to it.",
                verbose_name="otherwise for some kinds of tasks",
            ),
        )
    ]
