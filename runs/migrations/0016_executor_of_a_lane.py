"""A run remembers how dbt is run for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0015_standard_words"),
    ]

    operations = [
        migrations.AddField(
            "lane",
            "executor",
            models.CharField(
                choices=[("session", "dbt session"), ("command", "dbt commands")], default="session", max_length=10
            ),
        ),
    ]
