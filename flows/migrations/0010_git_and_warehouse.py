"""Projects from Git, warehouses from fields."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0009_by_kind"),
    ]

    operations = [
        migrations.AddField(
            model_name="environment",
            name="branch",
            field=models.CharField(
                blank=True, help_text="Branch of the repository. Leave empty to use a folder as it is", max_length=200
            ),
        ),
        migrations.AddField(
            model_name="environment",
            name="sync_asked_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When the sync was requested", null=True),
        ),
        migrations.AddField(
            model_name="environment",
            name="sync_every",
            field=models.PositiveIntegerField(
                default=0,
                help_text="0: sync only at the start of a run, manually, and when the repository reports a push",
                validators=[django.core.validators.MaxValueValidator(10080)],
                verbose_name="minutes between syncs",
            ),
        ),
        migrations.AddField(
            model_name="environment",
            name="sync_notes",
            field=models.JSONField(
                blank=True, default=list, editable=False, help_text="Parts of a commit that are left out"
            ),
        ),
        migrations.AddField(
            model_name="environment",
            name="warehouse",
            field=models.JSONField(
                blank=True,
                default=dict,
                editable=False,
                help_text="Fields of a dbt target. Empty: use profiles.yml of the project",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="known_hosts",
            field=models.TextField(
                blank=True, help_text="For SSH: the line of the host as printed by ssh-keyscan", max_length=20000
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="private_key",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name="project",
            name="push_secret",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name="project",
            name="subfolder",
            field=models.CharField(
                blank=True, help_text="The folder with dbt_project.yml, if it is not at the top: transform/shop", max_length=500
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="token",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name="project",
            name="url",
            field=models.CharField(
                blank=True,
                help_text="https://host/team/shop.git or ssh://git@host/team/shop.git",
                max_length=1000,
                verbose_name="repository",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="username",
            field=models.CharField(
                blank=True, help_text="For HTTPS. Most hosts accept any name", max_length=200, verbose_name="user"
            ),
        ),
        migrations.AddField(
            model_name="revision",
            name="author",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="revision",
            name="subject",
            field=models.CharField(blank=True, help_text="The first line of the commit's message", max_length=200),
        ),
        migrations.AlterField(
            model_name="project",
            name="path",
            field=models.CharField(
                blank=True,
                help_text="Or the absolute path of a folder on this machine",
                max_length=1000,
                verbose_name="folder",
            ),
        ),
    ]
