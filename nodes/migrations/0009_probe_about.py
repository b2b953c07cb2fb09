"""Answers of sources know which settings they are about."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0008_one_task"),
    ]

    operations = [
        migrations.AddField(
            model_name="probe",
            name="about",
            field=models.CharField(
                blank=True, editable=False, help_text="A keyed digest of the settings that were used", max_length=64
            ),
        ),
    ]
