"""Variables and secrets: what an environment has of its own wins; a secret is used and never shown."""

import io
import json
import logging
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from flows.access import acting_as
from flows.models import Environment, Project, Variable
from flows.variables import sealed
from flows.variables.encryption import Unreadable, keys_path
from flows.variables.names import problem_with
from flows.variables.sealed import rotate
from flows.variables.values import (
    VariableError,
    decrypt,
    environment_of,
    plain_values,
    save_variable,
    secrets_in,
)
from nodes.models import Connection, Node
from nodes.services.variable_usage import delete_variable, places_of
from tests.helpers.pages import Person, sample_flow

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
def places(shop):
    return [Environment.objects.create(project=shop, name=name) for name in ("development", "production")]


def someone(role, name="ada"):
    person = Person(name, staff=False)
    person.user.groups.add(Group.objects.get(name=role))
    return person


def keep(project, name, value, environment=None, *, secret=False, **more):
    return save_variable(project, environment, name, value, secret=secret, **more)


def make(person, scope, **fields):
    page = person.open("/variables/new/")
    return person.post(page, page.form("variable"), {"scope": scope, **fields})


# --- which value holds -----------------------------------------------------------------------------------------------
def test_a_value_of_the_environment_wins_over_that_of_the_project(shop, places):
    development, production = places
    keep(shop, "REGION", "eu")
    keep(shop, "SIZE", "s")
    keep(shop, "REGION", "us", production)
    other = Project.objects.create(name="other", path="/other")
    keep(other, "REGION", "moon")
    assert environment_of(development) == {"REGION": "eu", "SIZE": "s"}
    assert environment_of(production) == {"REGION": "us", "SIZE": "s"}


def test_a_secret_of_an_environment_hides_a_plain_value_of_its_project(shop, places):
    keep(shop, "TOKEN", "plain for all")
    keep(shop, "TOKEN", CANARY, places[1], secret=True)
    assert environment_of(places[1]) == {"TOKEN": CANARY}
    assert (plain_values(places[0]), plain_values(places[1])) == ({"TOKEN": "plain for all"}, {})


def test_every_secret_that_could_be_used_is_masked_also_a_hidden_one(shop, places):
    keep(shop, "TOKEN", "of-the-project-1", secret=True)
    keep(shop, "TOKEN", "of-production-1", places[1], secret=True)
    assert sorted(secrets_in(places[1])) == ["of-production-1", "of-the-project-1"]
    assert secrets_in(places[0]) == ["of-the-project-1"]


def test_a_name_is_unique_in_its_scope(shop, places):
    for environment in (None, places[0]):
        keep(shop, "REGION", "eu", environment)
        with pytest.raises(VariableError, match="has a REGION already") as refused:
            keep(shop, "REGION", "us", environment)
        assert refused.value.field == "name"
    assert Variable.objects.count() == 2


def test_a_variable_belongs_to_an_environment_of_its_project(places):
    other = Project.objects.create(name="other", path="/other")
    with pytest.raises(VariableError, match="is not an environment of other"):
        keep(other, "REGION", "eu", places[0])


@pytest.mark.parametrize("name", ["A", "_A", "REGION", "API_KEY_2", "PATHS", "GITHUB_TOKEN", "A" * 100])
def test_names_that_can_be_used(name):
    assert problem_with(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "a", "Region", "2A", "A-B", "A B", "A=B", "A\n", "Ä", "A" * 101),
        *("PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "GIT_SSH_COMMAND", "DEX_HOME", "DBT_PROFILES_DIR"),
        *("HTTPS_PROXY", "NO_PROXY", "IFS", "PIP_INDEX_URL"),
    ],
)
def test_names_that_are_refused(name, shop):
    assert problem_with(name)
    with pytest.raises(VariableError):
        keep(shop, name, "value")


# --- secrets at rest -------------------------------------------------------------------------------------------------
def test_the_database_holds_no_secret_and_refuses_one_in_plain_text(shop):
    row = keep(shop, "TOKEN", CANARY, secret=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM flows_variable")
        assert CANARY not in str(cursor.fetchall())
    with pytest.raises(IntegrityError), transaction.atomic():
        Variable.objects.filter(pk=row.pk).update(value=CANARY)
    out = io.StringIO()
    call_command("dumpdata", "flows", stdout=out)
    assert CANARY not in out.getvalue() and "TOKEN" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_no_byte_of_a_secret_is_in_the_files_of_the_database(shop):
    if connection.vendor != "sqlite":
        pytest.skip("the files of a server are not ours")
    keep(shop, "TOKEN", "an-earlier-" + CANARY, secret=True)
    keep(shop, "TOKEN", CANARY, secret=True, row=Variable.objects.get())
    keep(shop, "REGION", "visible-marker")
    file = Path(connection.settings_dict["NAME"])
    written = b"".join(path.read_bytes() for path in file.parent.glob(file.name + "*"))
    assert b"visible-marker" in written and CANARY.encode() not in written


def test_the_keys_are_for_their_owner_alone(shop, home):
    keep(shop, "TOKEN", CANARY, secret=True)
    assert keys_path() == home / "keys" / "variables"
    assert stat.S_IMODE(keys_path().stat().st_mode) == 0o600


def test_tokens_cannot_be_swapped_between_rows(shop, places):
    rows = [keep(shop, "TOKEN", f"{CANARY}-{number}", place, secret=True) for number, place in enumerate(places)]
    first, second = rows
    Variable.objects.filter(pk=second.pk).update(token=first.token)
    second.refresh_from_db()
    with pytest.raises(Unreadable, match="cannot be decrypted with the keys of this installation"):
        decrypt(second)
    second.delete()
    for change in ({"name": "OTHER"}, {"environment": places[1]}, {"environment": None}):
        Variable.objects.filter(pk=first.pk).update(**change)
        with pytest.raises(Unreadable):
            decrypt(Variable.objects.get(pk=first.pk))
        Variable.objects.filter(pk=first.pk).update(name="TOKEN", environment=places[0])
    assert decrypt(Variable.objects.get(pk=first.pk)) == f"{CANARY}-0"


@pytest.mark.parametrize(
    "keys",
    [None, "", "no key", "\n\n", b"\xff\xfe", Fernet.generate_key()],
    ids=["none", "empty", "no key", "blank", "binary", "another"],
)
def test_without_its_key_a_secret_is_shown_as_unreadable_and_every_page_opens(keys, shop, places, caplog):
    row = keep(shop, "TOKEN", CANARY, secret=True)
    if keys is None:
        keys_path().unlink()
    else:
        keys_path().write_bytes(keys if isinstance(keys, bytes) else keys.encode())
    with pytest.raises(
        VariableError, match="TOKEN: this secret cannot be decrypted with the keys of this installation"
    ):
        environment_of(places[0])
    with caplog.at_level(logging.WARNING, "dex.variables"):
        assert secrets_in(places[0]) == []
    assert "TOKEN of shop" in caplog.text
    ada = someone("admin")
    assert ada.open("/variables/").status == 200
    page = ada.open(f"/variables/{row.pk}/")
    assert page.status == 200 and "cannot be decrypted with the keys of this installation" in page.html
    page = ada.post(page, page.form("variable"), {"value": "another-value-1"})
    assert page.status in (200, 422) and CANARY not in page.html


def test_lost_keys_are_not_replaced_by_fresh_ones_while_secrets_need_them(shop):
    keep(shop, "TOKEN", CANARY, secret=True)
    keys_path().unlink()
    with pytest.raises(Unreadable, match=r"Restore .* from a backup"):
        keep(shop, "OTHER", CANARY, secret=True)
    assert not keys_path().exists() and not Variable.objects.filter(name="OTHER").exists()


@pytest.mark.parametrize("value", ["", "12345", " abcde ", "password", "Postgres", "qwerty123", "MASKED", "[MASKED]"])
def test_a_value_that_cannot_be_masked_or_is_easily_guessed_is_refused_as_a_secret(value, shop):
    with pytest.raises(VariableError) as refused:
        keep(shop, "TOKEN", value, secret=True)
    assert value == "" or str(refused.value)[0].isupper()
    assert not Variable.objects.exists()


def test_equal_values_have_equal_fingerprints_and_others_not(shop, places):
    rows = [
        keep(shop, name, value, secret=True) for name, value in (("A", CANARY), ("B", CANARY), ("C", "other-value"))
    ]
    a, b, c = (row.fingerprint for row in rows)
    assert a == b != c and len(a) == 8
    assert a not in CANARY and Fernet(keys_path().read_text()).decrypt(rows[0].token)


# --- other keys ------------------------------------------------------------------------------------------------------
def new_first_key():
    fresh = Fernet.generate_key().decode()
    keys_path().write_text(f"{fresh}\n{keys_path().read_text()}")
    return fresh


def test_secrets_are_encrypted_anew_and_the_old_key_is_needed_no_more(shop):
    rows = [keep(shop, f"TOKEN_{number}", f"{CANARY}-{number}", secret=True) for number in range(5)]
    keep(shop, "REGION", "eu")
    fresh = new_first_key()
    before = list(Variable.objects.values_list("token", flat=True))
    assert rotate(dry_run=True) == {"secrets": 5, "rotated": 5, "unreadable": 0}
    assert list(Variable.objects.values_list("token", flat=True)) == before
    out = io.StringIO()
    call_command("rotate_secrets", stdout=out)
    assert json.loads(out.getvalue()) == {"dry_run": False, "secrets": 5, "rotated": 5, "unreadable": 0}
    assert rotate() == {"secrets": 5, "rotated": 0, "unreadable": 0}
    keys_path().write_text(fresh)
    again = Variable.objects.filter(is_secret=True).order_by("pk")
    assert [decrypt(row) for row in again] == [f"{CANARY}-{number}" for number in range(5)]
    assert [row.fingerprint for row in again] == [row.fingerprint for row in rows] and again[0].rotated_at


def test_a_rotation_that_was_killed_half_way_is_finished_by_the_next(shop, monkeypatch):
    monkeypatch.setattr(sealed, "BATCH", 2)
    for number in range(7):
        keep(shop, f"TOKEN_{number}", f"{CANARY}-{number}", secret=True)
    fresh = new_first_key()
    real, calls = sealed.seal, []

    def dies_at_the_fourth(binding, value, **more):
        calls.append(binding)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(binding, value, **more)

    monkeypatch.setattr(sealed, "seal", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    assert [decrypt(row)[-1] for row in Variable.objects.order_by("pk")] == list("0123456")
    monkeypatch.setattr(sealed, "seal", real)
    assert rotate() == {"secrets": 7, "rotated": 4, "unreadable": 0}
    keys_path().write_text(fresh)
    assert [decrypt(row)[-1] for row in Variable.objects.order_by("pk")] == list("0123456")


def test_a_rotation_says_what_it_could_not_read_and_goes_on(shop):
    lost = keep(shop, "A_LOST_ONE", CANARY, secret=True)
    keep(shop, "TOKEN", CANARY, secret=True)
    Variable.objects.filter(pk=lost.pk).update(token=Fernet(Fernet.generate_key()).encrypt(b"{}").decode())
    new_first_key()
    with pytest.raises(CommandError, match="1 secrets cannot be read"):
        call_command("rotate_secrets", stdout=io.StringIO())
    assert decrypt(Variable.objects.get(name="TOKEN")) == CANARY and Variable.objects.get(name="TOKEN").rotated_at


# --- the pages -------------------------------------------------------------------------------------------------------
def test_an_administrator_makes_a_secret_which_no_page_shows_again(shop, places, caplog):
    ada = someone("admin")
    with caplog.at_level(logging.DEBUG):
        page = make(ada, f"e{places[0].pk}", name="TOKEN", value=f"{CANARY}\r\nline two", is_secret="on")
    assert page.messages == ["TOKEN was saved. It takes effect with the next run."]
    row = Variable.objects.get()
    assert decrypt(row) == f"{CANARY}\nline two" and (row.updated_by, row.environment) == ("ada", places[0])
    assert row.fingerprint in page.html and "by ada" in page.html
    root = Person("root", "everything")
    addresses = ["/variables/", f"/variables/{row.pk}/", "/variables/new/", "/search/?q=TOKEN", "/search/?q=S3CR3T"]
    addresses += [
        "/admin/",
        "/admin/flows/",
        f"/admin/flows/environment/{places[0].pk}/history/",
        "/admin/flows/project/",
    ]
    for address in (*addresses, f"/admin/flows/project/{shop.pk}/delete/"):
        assert CANARY not in root.open(address).html, address
    assert CANARY not in caplog.text
    assert CANARY not in repr(row) + str(vars(row))


def test_a_mistake_beside_a_secret_does_not_send_it_back(shop):
    page = make(someone("admin"), f"p{shop.pk}", name="lower case", value=CANARY, is_secret="on")
    assert page.status == 422 and CANARY not in page.html and "Enter the secret again" in page.html
    page = make(someone("admin", "eve"), f"p{shop.pk}", name="TOKEN", value="a\0" + CANARY, is_secret="on")
    assert page.status == 422 and CANARY not in page.html


def test_a_secret_keeps_its_value_when_none_is_typed_and_takes_another(shop):
    row, ada = keep(shop, "TOKEN", CANARY, secret=True), someone("admin")
    page = ada.open(f"/variables/{row.pk}/")
    ada.post(page, page.form("variable"), {})
    row.refresh_from_db()
    assert decrypt(row) == CANARY and row.updated_by == "system"
    ada.post(page, page.form("variable"), {"value": "another-value"})
    row.refresh_from_db()
    assert decrypt(row) == "another-value" and row.updated_by == "ada"


def test_a_secret_becomes_a_plain_variable_only_with_a_new_value(shop):
    row, ada = keep(shop, "TOKEN", CANARY, secret=True), someone("admin")
    page = ada.open(f"/variables/{row.pk}/")
    page = ada.post(page, page.form("variable"), {"is_secret": []})
    assert page.status == 422 and "Enter the value" in page.html and CANARY not in page.html
    page = ada.post(page, page.form("variable"), {"is_secret": [], "value": "eu"})
    row.refresh_from_db()
    assert (row.is_secret, row.value, row.token, row.fingerprint) == (False, "eu", "", "")


def test_a_plain_variable_becomes_a_secret(shop):
    row, ada = keep(shop, "TOKEN", "readable"), someone("admin")
    page = ada.open(f"/variables/{row.pk}/")
    page = ada.post(page, page.form("variable"), {"is_secret": "on", "value": CANARY})
    row.refresh_from_db()
    assert row.is_secret and row.value == "" and CANARY not in page.html and "readable" not in page.html


def test_editors_see_variables_and_change_none(shop):
    row, hidden = keep(shop, "REGION", "eu-west"), keep(shop, "TOKEN", CANARY, secret=True)
    ed = someone("editor", "ed")
    page = ed.open("/variables/")
    assert "eu-west" in page.html and hidden.fingerprint in page.html and "New variable" not in page.html
    page = ed.open(f"/variables/{row.pk}/")
    assert "eu-west" in page.html and not [form for form in page.forms if form.id in ("variable", "delete")]
    with acting_as(ed.user):
        for write in (
            lambda: keep(shop, "MORE", "x"),
            lambda: keep(shop, "REGION", "x", row=row),
            lambda: delete_variable(row),
            rotate,
        ):
            with pytest.raises(PermissionDenied):
                write()
    assert someone("operator", "op").client.get("/variables/").status_code == 403


# --- where it is used ------------------------------------------------------------------------------------------------
def test_a_variable_that_is_used_is_deleted_only_by_somebody_who_saw_where():
    flow = sample_flow("Night")
    project, environment = flow.environment.project, flow.environment
    arguments = [{"key": "day", "value": "{{REGION}}-{{ SIZE }}-{{ params.day }}"}]
    node = Node.objects.create(flow=flow, name="Load", kind="script", package="load", arguments=arguments)
    Connection.objects.create(project=project, name="crm", dataset="raw_{{ REGION }}", streams=["a"])
    other = Environment.objects.create(project=project, name="other")
    rows = [keep(project, "REGION", "eu"), keep(project, "SIZE", "s", other), keep(project, "SIZE", "s", environment)]
    found = places_of(rows)
    assert [place.said for place in found[rows[0].pk]] == [
        "node Load of the flow Night, parameters",
        "connection crm, schema",
    ]
    assert [len(found[row.pk]) for row in rows] == [2, 0, 1]
    ada = someone("admin")
    page = ada.open(f"/variables/{rows[0].pk}/")
    assert f"/flows/{flow.pk}/nodes/{node.pk}/" in page.links
    refused = ada.post(page, page.form("delete"), {})
    assert "It was not deleted" in refused.messages[0] and "node Load of the flow Night" in refused.messages[0]
    page = ada.post(page, page.form("delete"), {"anyway": "on"})
    assert page.messages == ["REGION was deleted."] and not Variable.objects.filter(name="REGION").exists()
