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
                help_text="Empty fields use the values above. Settings of a node take precedence. Tests of a single model count as part of that model.",
                verbose_name="different values for some types of task",
            ),
        )
    ]
