"""Environments choose how dbt is run."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0014_dbt_runtime_of_a_revision"),
    ]

    operations = [
        migrations.AddField(
            "environment",
            "executor",
            models.CharField(
                choices=[("session", "dbt session"), ("command", "dbt commands")],
                default="session",
                help_text="A session is faster and cancels single models; commands need nothing but dbt's command line",
                max_length=10,
            ),
        ),
    ]
