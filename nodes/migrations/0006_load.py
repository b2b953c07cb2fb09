"""When tables of connections were last loaded."""
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('flows', '0010_git_and_warehouse'),
        ('nodes', '0005_connections'),
    ]

    operations = [
        migrations.CreateModel(
            name='Load',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('table', models.CharField(max_length=200)),
                ('at', models.DateTimeField()),
                ('rows', models.BigIntegerField(blank=True, null=True)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='loads', to='nodes.connection')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='flows.environment')),
            ],
            options={
                'ordering': ['connection', 'table'],
                'constraints': [models.UniqueConstraint(fields=('connection', 'environment', 'table'), name='one_load_per_table_and_environment')],
            },
        ),
    ]
