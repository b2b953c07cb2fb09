"""What a script may reach."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0003_retry_on"),
    ]

    operations = [
        migrations.AddField(
            model_name="node",
            name="network",
            field=models.BooleanField(default=True, verbose_name="may use the network"),
        ),
        migrations.AddField(
            model_name="node",
            name="uses_warehouse",
            field=models.BooleanField(
                default=True,
                help_text="The script gets DEX_WAREHOUSE_*. While it runs, a DuckDB file is its own: models wait meanwhile",
            ),
        ),
    ]
