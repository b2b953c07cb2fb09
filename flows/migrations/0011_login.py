"""Who tried to log in, and leave for admins to look at it."""

import django.utils.timezone
from django.db import migrations, models

from flows.roles import seed_roles


def seed(apps, schema_editor):
    seed_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0010_git_and_warehouse"),
        ("runs", "0012_scripts"),  # roles are about the rows of every app
    ]

    operations = [
        migrations.CreateModel(
            name="LogIn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                (
                    "account",
                    models.CharField(editable=False, help_text="Digest of the name that was typed", max_length=32),
                ),
                (
                    "name",
                    models.CharField(blank=True, help_text="Empty for a name that nobody has", max_length=150),
                ),
                (
                    "address",
                    models.CharField(blank=True, help_text="Where from; of IPv6 the network", max_length=45),
                ),
                (
                    "device",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The browser, where this account logged in with it before",
                        max_length=32,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[("trying", "Being checked"), ("failed", "Failed"), ("succeeded", "Succeeded")],
                        default="trying",
                        max_length=10,
                    ),
                ),
                (
                    "refused",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="How many tries after this one came too early to be looked at",
                        verbose_name="refused after it",
                    ),
                ),
            ],
            options={
                "verbose_name": "log-in",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["account", "-id"], name="log_ins_of_account"),
                    models.Index(fields=["address", "-id"], name="log_ins_of_address"),
                ],
            },
        ),
        migrations.AlterField(
            model_name="token",
            name="expires_at",
            field=models.DateTimeField(
                blank=True, help_text="Never later than its greatest age; see ends_at", null=True
            ),
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
