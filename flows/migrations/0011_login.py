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
                    models.CharField(editable=False, help_text="Digest of the name that was entered", max_length=32),
                ),
                (
                    "name",
                    models.CharField(blank=True, help_text="Empty for an unknown name", max_length=150),
                ),
                (
                    "address",
                    models.CharField(blank=True, help_text="Client address; for IPv6 the network", max_length=45),
                ),
                (
                    "device",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The browser, if this account used it before",
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
                        help_text="Number of later attempts that were refused without a check",
                        verbose_name="refused after it",
                    ),
                ),
            ],
            options={
                "verbose_name": "login",
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
