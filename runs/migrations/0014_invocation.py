"""What a run is to dbt, the same for all of its sessions."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0013_channel_sealed"),
    ]

    operations = [
        migrations.AddField(
            model_name="lane",
            name="invocation",
            field=models.JSONField(
                default=dict, help_text="The run as dbt sees it: its id, selection, and the command of each node"
            ),
        ),
    ]
