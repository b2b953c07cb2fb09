"""Changed columns that somebody has accepted."""
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('nodes', '0006_load'),
    ]

    operations = [
        migrations.AddField(
            model_name='connection',
            name='accepted',
            field=models.JSONField(blank=True, default=list, editable=False, help_text='Tables whose changed columns the next load accepts'),
        ),
    ]
