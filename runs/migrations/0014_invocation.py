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
                default=dict, help_text="What the run is to dbt: its id, what is selected, and the command of each node"
            ),
        ),
    ]
