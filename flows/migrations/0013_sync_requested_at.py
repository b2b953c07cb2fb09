"""A sync is requested."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0012_local_changes"),
    ]

    operations = [
        migrations.RenameField("environment", "sync_asked_at", "sync_requested_at"),
    ]
