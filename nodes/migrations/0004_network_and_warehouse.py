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
            field=models.BooleanField(default=True, verbose_name="allow network access"),
        ),
        migrations.AddField(
            model_name="node",
            name="uses_warehouse",
            field=models.BooleanField(
                default=True,
                help_text="The script gets DEX_WAREHOUSE_* variables. While it runs, it has exclusive access to a DuckDB file, and models wait",
            ),
        ),
    ]
