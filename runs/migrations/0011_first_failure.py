"""People may be told of the first failure of a flow alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0010_failing_rows")]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="event",
            field=models.CharField(
                choices=[
                    ("start", "A run starts"),
                    ("success", "A run succeeds"),
                    ("failure", "A run fails"),
                    ("recovered", "A run succeeds after a failure"),
                    ("first", "A flow starts to fail (first failure in a row)"),
                    ("repeated", "A flow fails several times in a row"),
                    ("late", "A run does not start at its due time"),
                    ("slow", "A run takes longer than usual"),
                    ("test", "A test message"),
                ],
                max_length=20,
            ),
        )
    ]
