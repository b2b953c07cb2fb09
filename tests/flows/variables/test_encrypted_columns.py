"""Encrypted columns: a new one is known to everything that has to know all of them, because it is declared."""

import io
import json

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from django.db import connection, models

from flows.access import acting_as
from flows.models import Project
from flows.projects import credentials
from flows.variables.encryption import Unreadable, keys_path
from flows.variables.sealed import SealedField, keep, sealed_columns, value_of
from flows.variables.values import save_variable
from nodes.connections.services import save_connection, secrets_of
from nodes.models import Connection
from runs.alerts.models import Channel
from runs.alerts.services import save_channel
from runs.alerts.targets import address_of
from tests.helpers.pages import Person

pytestmark = pytest.mark.django_db
CANARY = "S3CR3T-9f1c62e0/4b+canary"


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    settings.DEX_HOME = tmp_path / "home"
    return settings.DEX_HOME


@pytest.fixture
def shop():
    return Project.objects.create(name="shop", path="/shop")


@pytest.fixture
def another_column():
    """A table that did not exist when this was written, with a column that is encrypted."""

    class Vault(models.Model):
        label = models.CharField(max_length=20)
        code = SealedField()

        class Meta:
            app_label = "flows"

        def __str__(self):
            return self.label

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE flows_vault (id integer PRIMARY KEY, label varchar(20), code text NOT NULL)")
    yield Vault
    del apps.all_models["flows"]["vault"]
    apps.clear_cache()


def database(shop, name="warehouse"):
    row = Connection(project=shop, name=name, dataset="raw", connector="sql_database")
    typed = {"system": "postgresql", "host": "db.example.org", "database": "shop", "user": "ada", "password": CANARY}
    return save_connection(row, typed)


def other_first_key():
    fresh = Fernet.generate_key().decode()
    keys_path().write_text(f"{fresh}\n{keys_path().read_text()}")
    return fresh


def rotated(*arguments):
    out = io.StringIO()
    call_command("rotate_secrets", *arguments, stdout=out)
    return json.loads(out.getvalue())


def complaints():
    return [m for m in run_checks(tags=[Tags.database], databases=["default"]) if m.id in ("flows.E002", "flows.W001")]


def test_every_encrypted_value_survives_a_change_of_keys(shop):
    variable = save_variable(shop, None, "TOKEN", CANARY, secret=True)
    for field in credentials.FIELDS:
        credentials.keep(shop, field, f"{CANARY}-{field}")
    source = database(shop)
    channel = save_channel(Channel(name="ops", kind="slack", events=[]), "https://hooks.slack.com/services/T/B/x")
    fresh = other_first_key()
    assert rotated("--dry-run") == {"dry_run": True, "secrets": 6, "rotated": 6, "unreadable": 0}
    assert rotated() == {"dry_run": False, "secrets": 6, "rotated": 6, "unreadable": 0}
    keys_path().write_text(fresh)
    for row in (variable, shop, source, channel):
        row.refresh_from_db()
    assert value_of(variable, "token") == CANARY and secrets_of(source)["password"] == CANARY
    assert [credentials.value_of(shop, field) for field in credentials.FIELDS] == [
        f"{CANARY}-{field}" for field in credentials.FIELDS
    ]
    assert address_of(channel) == "https://hooks.slack.com/services/T/B/x"
    assert Person("ada", "everything").open(f"/connections/{source.pk}/").status == 200
    assert complaints() == []


def test_a_column_that_is_added_is_known_to_rotation_dry_run_start_and_guard(another_column):
    row = another_column.objects.create(label="safe")
    keep(row, "code", CANARY)
    row.save()
    assert (another_column, "code") in [(model, field.name) for model, field in sealed_columns()]
    fresh = other_first_key()
    assert rotated("--dry-run") == {"dry_run": True, "secrets": 1, "rotated": 1, "unreadable": 0}
    assert rotated()["rotated"] == 1
    keys_path().write_text(fresh)
    row.refresh_from_db()
    assert value_of(row, "code") == CANARY and complaints() == []
    keys_path().write_text(Fernet.generate_key().decode())
    (found,) = complaints()
    assert found.id == "flows.W001" and "code of vault safe" in found.msg
    with pytest.raises(CommandError, match="1 secrets cannot be read"):
        rotated()
    keys_path().unlink()
    assert [message.id for message in complaints()] == ["flows.E002"]
    with pytest.raises(Unreadable, match=r"Restore .* from a backup"):
        save_variable(Project.objects.create(name="new", path="/new"), None, "TOKEN", CANARY, secret=True)
    assert not keys_path().exists()


@pytest.mark.parametrize("first", ["variable", "credentials", "connection", "channel"])
def test_lost_keys_are_replaced_by_nobody_whatever_is_encrypted(shop, first):
    makers = {
        "variable": lambda: save_variable(shop, None, "TOKEN", CANARY, secret=True),
        "credentials": lambda: credentials.keep(shop, "token", CANARY),
        "connection": lambda: database(shop),
        "channel": lambda: save_channel(Channel(name="ops", kind="slack", events=[]), "https://hooks.slack.com/x"),
    }
    makers.pop(first)()
    keys_path().unlink()
    for name, make in makers.items():
        with pytest.raises(Unreadable, match=r"Restore .* from a backup"):
            make()
        assert not keys_path().exists(), name


@pytest.mark.parametrize("keys", [None, "no key", Fernet.generate_key().decode()], ids=["gone", "broken", "another"])
def test_an_unreadable_secret_is_reported_beside_the_field_where_it_can_be_typed_again(shop, keys):
    variable = save_variable(shop, None, "TOKEN", CANARY, secret=True)
    credentials.keep(shop, "token", CANARY)
    credentials.keep(shop, "push_secret", CANARY)
    source = database(shop)
    channel = save_channel(Channel(name="ops", kind="slack", events=[]), "https://hooks.slack.com/services/T/B/x")
    if keys is None:
        keys_path().unlink()
    else:
        keys_path().write_text(keys)
    ada = Person("ada", "everything")
    for path in (
        *(f"/variables/{variable.pk}/", f"/connections/{source.pk}/", f"/alerts/{channel.pk}/"),
        *(f"/admin/flows/project/{shop.pk}/change/", f"/projects/{shop.pk}/pushes/"),
    ):
        page = ada.open(path)
        assert page.status == 200 and "cannot be decrypted with the keys of this installation" in page.html, path
        assert CANARY not in page.html


def test_secrets_of_a_connection_are_typed_again_after_the_key_was_lost(shop):
    source = database(shop)
    keys_path().write_text(Fernet.generate_key().decode())
    ada = Person("ada", "everything")
    page = ada.open(f"/connections/{source.pk}/")
    saved = ada.post(page, page.form("connection"), {"c_password": f"{CANARY}-2"})
    assert saved.status == 200, saved.html
    source.refresh_from_db()
    assert secrets_of(source)["password"] == f"{CANARY}-2" and complaints() == []


def test_a_variable_that_cannot_be_read_is_not_saved_without_its_value(shop):
    variable = save_variable(shop, None, "TOKEN", CANARY, secret=True)
    keys_path().write_text(Fernet.generate_key().decode())
    ada = Person("ada", "everything")
    page = ada.open(f"/variables/{variable.pk}/")
    saved = ada.post(page, page.form("variable"), {"value": ""})
    assert saved.status == 422 and "Enter the value" in saved.html


def test_people_without_permission_for_secrets_cannot_rotate_them(shop):
    from django.core.exceptions import PermissionDenied

    with acting_as(Person("vera", "flows.view_variable").user), pytest.raises(PermissionDenied):
        call_command("rotate_secrets", stdout=io.StringIO())
