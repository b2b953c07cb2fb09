"""Addresses of webhooks are encrypted; of those that are there, too. Back: they stand in the clear again."""

from urllib.parse import urlsplit

from django.db import migrations, models

from flows.variables.encryption import seal, unseal

URLS = ("slack", "webhook")


def _is_anything_sealed(apps):
    variable, project = apps.get_model("flows", "Variable"), apps.get_model("flows", "Project")
    connection, channel = apps.get_model("nodes", "Connection"), apps.get_model("runs", "Channel")
    return (
        variable.objects.exclude(token="").exists()
        or project.objects.exclude(token="", private_key="", push_secret="").exists()
        or connection.objects.exclude(sealed="").exists()
        or channel.objects.exclude(sealed="").exists()
    )


def shown(url):
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


def encrypt(apps, schema_editor):
    for row in apps.get_model("runs", "Channel").objects.filter(kind__in=URLS, sealed=""):
        address = row.target.strip()
        row.sealed = seal({"channel": row.pk}, address, needed=lambda: _is_anything_sealed(apps))
        row.target = shown(address)
        row.save(update_fields=["sealed", "target"])


def decrypt(apps, schema_editor):
    for row in apps.get_model("runs", "Channel").objects.exclude(sealed=""):
        row.target, row.sealed = unseal({"channel": row.pk}, row.sealed), ""
        row.save(update_fields=["sealed", "target"])


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0010_git_and_warehouse"),
        ("nodes", "0008_one_task"),
        ("runs", "0012_scripts"),
    ]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="sealed",
            field=models.TextField(blank=True, default="", editable=False, help_text="The address of a webhook, encrypted"),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="channel",
            name="target",
            field=models.TextField(help_text="Email addresses, or the visible part of a URL", max_length=2000),
        ),
        migrations.RunPython(encrypt, decrypt),
    ]
