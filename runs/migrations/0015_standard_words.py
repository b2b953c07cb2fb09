"""Names of columns and tables become the field's standard words."""

import django.db.models.deletion
from django.db import migrations, models

from runs.states import ACTIVE


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0014_invocation"),
    ]

    operations = [
        migrations.RemoveIndex("taskrun", "task_runs_active"),
        migrations.RenameField("run", "rung_at", "dispatched_at"),
        migrations.RenameField("taskrun", "rung_at", "dispatched_at"),
        migrations.RenameField("lane", "rung_at", "dispatched_at"),
        migrations.AddIndex(
            "taskrun",
            models.Index(
                fields=["state", "dispatched_at"],
                name="task_runs_active",
                condition=models.Q(state__in=sorted(ACTIVE)),
            ),
        ),
        migrations.RenameModel("Pulse", "Heartbeat"),
        migrations.RenameModel("Handled", "Acknowledgement"),
        migrations.AlterField(
            "acknowledgement",
            "run",
            models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="acknowledgement", to="runs.run"
            ),
        ),
        migrations.RenameModel("Fingerprint", "FailureGroup"),
        migrations.RemoveIndex("failure", "failures_of_fingerprint"),
        migrations.RenameField("failure", "fingerprint", "group"),
        migrations.AddIndex("failure", models.Index(fields=["group", "-at"], name="failures_of_group")),
        migrations.RenameIndex("failuregroup", new_name="failure_groups_by_time", old_name="fingerprints_by_time"),
    ]
