"""A dbt runtime may be one on which sessions cannot run."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0014_warehouse_check"),
    ]

    operations = [
        migrations.AddField(
            "runtimelock",
            "no_session",
            models.TextField(blank=True, default="", help_text="Why dbt sessions cannot run on it"),
            preserve_default=False,
        ),
    ]
