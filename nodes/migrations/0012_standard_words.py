"""Connection checks, virtualenvs and their columns get the standard words."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0011_kinds_of_nodes_are_registered"),
    ]

    operations = [
        migrations.RenameModel("Probe", "ConnectionCheck"),
        migrations.AlterField(
            "connectioncheck",
            "connection",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="checks", to="nodes.connection"
            ),
        ),
        migrations.RenameField("connectioncheck", "asked_by", "requested_by"),
        migrations.RenameField("connectioncheck", "asked_at", "requested_at"),
        migrations.RenameField("connectioncheck", "said", "message"),
        migrations.RenameField("connectioncheck", "about", "settings_digest"),
        migrations.RenameModel("ScriptEnvironment", "Virtualenv"),
        migrations.RenameField("virtualenv", "asked_by", "requested_by"),
        migrations.RenameField("virtualenv", "asked_at", "requested_at"),
        migrations.AlterField(
            "virtualenv",
            "requested_at",
            models.DateTimeField(blank=True, help_text="When a renewal was requested last", null=True),
        ),
    ]
