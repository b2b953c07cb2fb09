"""Tokens: made by people for themselves, shown once, good until they expire, are revoked or lose their user."""

import hashlib
import re
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.access import acting_as
from flows.logins.tokens import TokenError, holder_of, issue, revoke
from flows.models import Token
from tests.helpers.pages import Person

pytestmark = pytest.mark.django_db
LOOKS = "flows.view_flow"


def someone(name="ada", role="viewer"):
    person = Person(name, staff=False)
    person.user.groups.add(Group.objects.get(name=role))
    return person


def made_by(user, name="script", expires_at=None):
    with acting_as(user):
        return issue(name, expires_at)


def make(person, **fields):
    page = person.open("/tokens/")
    return person.post(page, page.form("new-token"), {"name": "nightly loader", **fields})


def secret_on(page):
    return re.findall(r'<code id="secret">([^<]*)</code>', page.html)


def test_a_new_token_is_shown_once_and_opens_the_api():
    ada = someone()
    page = make(ada, days="In 30 days")
    (secret,) = secret_on(page)
    assert re.fullmatch(r"dex_[A-Za-z0-9_-]{43}", secret) and "no-store" in page.response["Cache-Control"]
    assert f'curl -H "Authorization: Bearer {secret}" http://testserver/api/flows' in page.html.replace("&quot;", '"')
    token = Token.objects.get()
    assert (token.user, token.hint) == (ada.user, secret[:8])
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert ada.client.get("/api/flows", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    again = ada.open("/tokens/")
    assert secret not in again.html and secret[:8] in again.html and "nightly loader" in again.html


def test_the_database_never_holds_the_secret():
    with CaptureQueriesContext(connection) as asked:
        (secret,) = secret_on(make(someone()))
        holder_of(secret)
    assert not [query["sql"] for query in asked if secret[8:] in query["sql"]]
    assert Token.objects.get().digest == hashlib.sha256(secret.encode()).hexdigest()


def test_ninety_days_is_what_nobody_chose_and_a_year_is_the_most():
    ada = someone()
    make(ada)
    make(ada, name="a year", days="In a year")
    ninety = Token.objects.get(name="nightly loader").expires_at - timezone.now()
    assert timedelta(days=89) < ninety <= timedelta(days=90)
    year = Token.objects.get(name="a year").expires_at - timezone.now()
    assert timedelta(days=364) < year <= timedelta(days=365)
    assert "Never" not in ada.open("/tokens/").html.replace('<span class="muted">Never</span>', "")


def test_no_token_lives_longer_than_the_installation_lets_it(settings):
    ada = someone()
    token, secret = made_by(ada.user, expires_at=timezone.now() + timedelta(days=4000))
    assert token.expires_at <= timezone.now() + timedelta(days=365)
    Token.objects.filter(pk=token.pk).update(expires_at=None)  # from before there was a greatest age
    assert holder_of(secret) == ada.user
    Token.objects.filter(pk=token.pk).update(created_at=timezone.now() - timedelta(days=366))
    assert holder_of(secret) is None and "Expired" in ada.open("/tokens/").html
    settings.TOKEN_MAX_DAYS = 400
    assert holder_of(secret) == ada.user
    settings.TOKEN_MAX_DAYS = 7
    page = ada.open("/tokens/")
    assert list(page.form("new-token").choices["days"]) == ["In 7 days"]


NEW = "correct horse battery"


def own_change(person, **fields):
    person.user.set_password("an old password 1")
    person.user.save()
    person.client.force_login(person.user)
    _, secret = made_by(person.user)
    page = person.open("/admin/password_change/")
    assert "API tokens are revoked when the password changes" in page.html
    typed = {"old_password": "an old password 1", "new_password1": NEW, "new_password2": NEW}
    return secret, person.post(page, page.form("password-form"), {**typed, **fields})


def test_tokens_end_when_their_users_password_changes():
    ada = someone()
    secret, page = own_change(ada)
    assert page.messages == ["1 API token revoked."] and holder_of(secret) is None
    ada.user.refresh_from_db()
    assert ada.user.check_password(NEW)


def test_tokens_are_kept_where_the_option_says_so():
    secret, page = own_change(someone(), keep_tokens="on")
    assert page.messages == ["1 API token kept."] and holder_of(secret) is not None


def test_a_password_that_an_administrator_or_a_command_sets_ends_tokens_too():
    bob, admin = someone("bob"), Person("root", "everything")
    _, secret = made_by(bob.user)
    page = admin.open(f"/admin/auth/user/{bob.user.pk}/password/")
    page = admin.post(page, page.form("user_form"), {"password1": NEW, "password2": NEW, "set-password": "1"})
    assert page.status == 200 and holder_of(secret) is None
    _, secret = made_by(bob.user, name="another")
    bob.user.refresh_from_db()
    bob.user.set_password("yet another password")  # what `manage.py changepassword` does
    bob.user.save()
    assert holder_of(secret) is None


def test_a_better_hash_of_the_same_password_ends_nothing(settings):
    ada = someone()
    ada.user.set_password(NEW)
    ada.user.save()
    _, secret = made_by(ada.user)
    ada.user.password = make_password(NEW, hasher="pbkdf2_sha1")
    ada.user.save()
    before = ada.user.password
    assert ada.user.check_password(NEW) and ada.user.password != before
    assert holder_of(secret) == ada.user


def test_a_user_deactivated_in_the_admin_has_no_token_when_activated_again():
    bob, admin = someone("bob"), Person("root", "everything")
    _, secret = made_by(bob.user)
    page = admin.open(f"/admin/auth/user/{bob.user.pk}/change/")
    page = admin.post(page, page.form("user_form"), {"is_active": []})
    assert any("1 API token of bob revoked." in said for said in page.messages)
    type(bob.user).objects.filter(pk=bob.user.pk).update(is_active=True)
    assert holder_of(secret) is None


def test_a_reload_of_the_answer_makes_no_second_token():
    ada = someone()
    make(ada)
    page = make(ada)
    assert page.status == 422 and "You have a token named nightly loader." in page.html and secret_on(page) == []
    assert Token.objects.count() == 1


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x" * 101}, {"name": "nul\0"}, {"days": "7"}, {"days": "x"}])
def test_what_is_wrong_is_said_beside_the_field(wrong):
    page = make(someone(), **wrong)
    assert page.status == 422 and 'class="errorlist"' in page.html and not Token.objects.exists()


def test_a_revoked_token_opens_nothing_and_its_name_is_free_again():
    ada = someone()
    (secret,) = secret_on(make(ada))
    page = ada.open("/tokens/")
    (form,) = [form for form in page.forms if form.action.endswith("/revoke/")]
    page = ada.post(page, form, {})
    assert page.messages == ["The token nightly loader was revoked."]
    assert holder_of(secret) is None
    assert ada.post(page, form, {}).messages == ["The token nightly loader was already revoked."]
    assert secret_on(make(ada)) != []


@pytest.mark.parametrize("moment", [timedelta(0), timedelta(days=-400)])
def test_a_token_ends_at_its_time(moment):
    ada = someone()
    token, secret = made_by(ada.user, expires_at=timezone.now() + timedelta(hours=1))
    assert holder_of(secret) == ada.user
    Token.objects.filter(pk=token.pk).update(expires_at=timezone.now() + moment)
    assert holder_of(secret) is None
    assert "Expired" in ada.open("/tokens/").html


def test_a_user_who_is_switched_off_acts_by_no_token():
    ada = someone()
    _, secret = made_by(ada.user)
    ada.user.is_active = False
    ada.user.save()
    assert holder_of(secret) is None


@pytest.mark.parametrize("guess", ["", "dex_", "dex_" + "a" * 43, "x" * 100_000, "dex_" + "ä" * 43, "dex_\0", "\ud800"])
def test_a_guess_is_nobody(guess):
    made_by(someone().user)
    assert holder_of(guess) is None


def test_the_digest_is_not_a_secret():
    token, secret = made_by(someone().user)
    assert holder_of(token.digest) is None and holder_of(secret.lower()) is None and holder_of(secret[:-1]) is None


def test_the_last_use_is_noted_once_a_minute():
    token, secret = made_by(someone().user)
    holder_of(secret)
    token.refresh_from_db()
    assert timezone.now() - token.last_used_at < timedelta(seconds=10)
    with CaptureQueriesContext(connection) as asked:
        holder_of(secret)
    assert len(asked) == 1
    hour_ago = timezone.now() - timedelta(hours=1)
    Token.objects.update(last_used_at=hour_ago)
    holder_of(secret)
    assert Token.objects.get().last_used_at > hour_ago


def test_people_see_and_revoke_their_own_tokens_and_administrators_everybodys():
    ada, ben, chief = someone("ada"), someone("ben", "editor"), someone("chief", "admin")
    adas, _ = made_by(ada.user, "the loader of ada")
    assert "the loader of ada" in ada.open("/tokens/").html
    assert "the loader of ada" not in ben.open("/tokens/").html and "the loader of ada" in chief.open("/tokens/").html
    with acting_as(ben.user), pytest.raises(PermissionDenied, match=r"auth\.view_user"):
        revoke(adas)
    page = ben.open("/tokens/")
    address = f"/tokens/{adas.pk}/revoke/"
    csrf = page.form("new-token").fields["csrfmiddlewaretoken"][0]
    assert ben.client.post(address, {"csrfmiddlewaretoken": csrf}).status_code == 404
    assert Token.objects.get().revoked_at is None
    with acting_as(chief.user):
        assert revoke(adas) and not revoke(adas)


def test_a_person_without_a_role_sees_that_and_cannot_create_a_token():
    nobody = Person("nobody", staff=False)
    page = nobody.open("/tokens/")
    assert (
        "Your account has no role yet" in page.html and [form.id for form in page.forms if form.id == "new-token"] == []
    )
    with acting_as(nobody.user), pytest.raises(PermissionDenied, match=r"flows\.view_flow"):
        issue("script", None)


def test_the_system_has_no_token():
    with pytest.raises(PermissionDenied, match="system is not a user"):
        issue("script", None)


def test_two_tokens_of_one_name_are_one_too_many():
    ada = someone()
    made_by(ada.user)
    with pytest.raises(TokenError, match="You have a token named script"):
        made_by(ada.user)
    made_by(someone("ben").user)


@pytest.mark.parametrize("path", [f"/tokens/{2**63}/revoke/", f"/tokens/{'9' * 60}/revoke/", "/tokens/0/revoke/"])
def test_a_token_that_cannot_be_is_not_found(path):
    ada = someone()
    csrf = ada.open("/tokens/").form("new-token").fields["csrfmiddlewaretoken"][0]
    assert ada.client.post(path, {"csrfmiddlewaretoken": csrf}).status_code == 404


def test_the_page_of_many_tokens_costs_no_more_queries():
    chief = someone("chief", "admin")
    made_by(chief.user)
    chief.open("/tokens/")
    with CaptureQueriesContext(connection) as few:
        chief.open("/tokens/")
    for number in range(60):
        made_by(someone(f"user {number}").user)
    with CaptureQueriesContext(connection) as many:
        assert "Page 1 of 2" in chief.open("/tokens/").html
    assert len(few) == len(many)
