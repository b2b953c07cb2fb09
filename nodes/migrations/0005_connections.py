"""Connections with a connector, how each table is loaded, and questions to sources."""
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('flows', '0010_git_and_warehouse'),
        ('nodes', '0004_network_and_warehouse'),
    ]

    operations = [
        migrations.AddField(
            model_name='connection',
            name='config',
            field=models.JSONField(blank=True, default=dict, help_text='Settings; can contain {{ NAME }}, never a secret'),
        ),
        migrations.AddField(
            model_name='connection',
            name='connector',
            field=models.CharField(blank=True, help_text='A key of nodes.connections.connectors.catalogue', max_length=50),
        ),
        migrations.AddField(
            model_name='connection',
            name='offered',
            field=models.JSONField(blank=True, default=list, editable=False, help_text='The tables of the source when last read'),
        ),
        migrations.AddField(
            model_name='connection',
            name='parallel',
            field=models.PositiveSmallIntegerField(default=2, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(32)], verbose_name='tables at the same time'),
        ),
        migrations.AddField(
            model_name='connection',
            name='sealed',
            field=models.TextField(blank=True, editable=False, help_text='Its secret settings, encrypted and bound to the row'),
        ),
        migrations.AddField(
            model_name='connection',
            name='settings',
            field=models.JSONField(blank=True, default=dict, help_text='Table -> how it is loaded; see StreamSettings'),
        ),
        migrations.AlterField(
            model_name='connection',
            name='streams',
            field=models.JSONField(blank=True, default=list, help_text='Names of the tables that it loads', verbose_name='tables'),
        ),
        migrations.CreateModel(
            name='Probe',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(choices=[('test', 'Test'), ('discover', 'Tables')], max_length=10)),
                ('asked_by', models.CharField(max_length=200)),
                ('asked_at', models.DateTimeField(auto_now_add=True)),
                ('taken_at', models.DateTimeField(blank=True, null=True)),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('ok', models.BooleanField(default=False)),
                ('kind', models.CharField(blank=True, help_text='Type of problem: name, port, auth, permission ...', max_length=20)),
                ('said', models.CharField(blank=True, max_length=2000)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='probes', to='nodes.connection')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='flows.environment')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
    ]
