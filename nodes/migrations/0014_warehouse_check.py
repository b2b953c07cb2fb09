"""Tests of the warehouses of environments."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0013_sync_requested_at"),
        ("nodes", "0013_dbt_runtimes"),
    ]

    operations = [
        migrations.CreateModel(
            name="WarehouseCheck",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("requested_by", models.CharField(max_length=200)),
                ("requested_at", models.DateTimeField(auto_now_add=True)),
                ("taken_at", models.DateTimeField(blank=True, null=True)),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                ("ok", models.BooleanField(default=False)),
                (
                    "kind",
                    models.CharField(
                        blank=True, help_text="Type of problem: name, port, auth, permission ...", max_length=20
                    ),
                ),
                ("message", models.CharField(blank=True, max_length=2000)),
                (
                    "settings_digest",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="A keyed digest of the settings that were used",
                        max_length=64,
                    ),
                ),
                ("details", models.CharField(blank=True, help_text="What the adapter said", max_length=2000)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="warehouse_checks",
                        to="flows.environment",
                    ),
                ),
            ],
            options={"ordering": ["-id"], "abstract": False},
        ),
    ]
