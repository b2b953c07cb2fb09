"""Logging in: who fails often waits, nobody keeps others out, and the site goes on meanwhile."""

import re
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings as own
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from flows.logins import hashing, throttle
from flows.logins.models import LogIn
from flows.logins.throttle import OF_ACCOUNT, OF_ADDRESS, Rule, address_of
from runs.operations.retention import prune
from tests.helpers.pages import Person
from tests.helpers.waiting import patience, until

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def fast(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def clock_that_stands(monkeypatch):
    """However slow the machine, no wait passes by itself; `later` makes them pass."""
    instant = timezone.now()
    monkeypatch.setattr(throttle, "timezone", SimpleNamespace(now=lambda: instant))


@pytest.fixture
def ada():
    return get_user_model().objects.create_user("ada", password=PASSWORD, is_staff=True)


def log_in(name="ada", password="wrong", client=None, address="192.0.2.1", **headers):
    sent = {"username": name, "password": password, "next": "/"}
    return (client or Client()).post("/admin/login/", sent, REMOTE_ADDR=address, **headers)


def later(seconds):
    for row in LogIn.objects.all():
        LogIn.objects.filter(pk=row.pk).update(at=row.at - timedelta(seconds=seconds))


def test_after_many_failed_logins_a_person_waits_and_sees_how_long(ada):
    assert [log_in().status_code for _ in range(5)] == [200] * 5
    answer = log_in()
    assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= 2
    assert "Too many failed logins. Try again in" in answer.content.decode()
    assert log_in(password=PASSWORD).status_code == 429  # nobody learns whether it was right
    later(3)
    assert log_in().status_code == 200
    assert 2 < int(log_in()["Retry-After"]) <= 4
    later(5)
    assert log_in(password=PASSWORD).status_code == 302


def test_waits_grow_to_a_minute_and_no_further():
    now = timezone.now()
    waits = [OF_ACCOUNT.seconds_to_wait([now] * failures, now) for failures in range(12)]
    assert waits == [0] * 5 + [2, 4, 8, 16, 32, 60, 60]
    assert OF_ADDRESS.seconds_to_wait([now] * 60, now) == 15
    assert Rule(1, 60).seconds_to_wait([now - timedelta(hours=1)], now) == 0


def test_a_success_ends_the_count_of_its_account(ada):
    for _ in range(4):
        log_in()
    assert log_in(password=PASSWORD).status_code == 302
    assert [log_in().status_code for _ in range(5)] == [200] * 5


def test_an_unknown_name_waits_as_long_and_gets_the_same_message(ada):
    unknown, known = [], []
    for _ in range(6):
        unknown.append(log_in("nobody", address="198.51.100.1"))
        known.append(log_in("ada", address="198.51.100.2"))
    assert [answer.status_code for answer in unknown] == [answer.status_code for answer in known]
    told = [
        re.sub(
            r'name="csrfmiddlewaretoken" value="[^"]*"|value="(nobody|ada)"|CSRFToken": "[^"]*"',
            "",
            answer.content.decode(),
        )
        for answer in (unknown[0], known[0])
    ]
    assert told[0] == told[1]
    assert "nobody" not in str(list(LogIn.objects.values())) and LogIn.objects.filter(name="ada").count() == 5


def test_failed_logins_of_others_never_lock_a_person_out_of_their_known_browser(ada):
    browser = Client()
    assert log_in(password=PASSWORD, client=browser).status_code == 302
    browser.post("/admin/logout/")
    for _ in range(40):
        log_in(address="203.0.113.9")  # from elsewhere, in ada's name
        log_in()  # from behind the same proxy
    assert log_in(password=PASSWORD).status_code == 429
    assert log_in(password=PASSWORD, client=browser).status_code == 302


def test_the_cookie_of_a_browser_is_good_for_its_account_alone_and_throttled_too(ada):
    get_user_model().objects.create_user("bob", password=PASSWORD)
    browser = Client()
    log_in(password=PASSWORD, client=browser)
    browser.post("/admin/logout/")
    assert [log_in("bob", client=browser).status_code for _ in range(6)] == [200] * 5 + [429]
    assert [log_in(client=browser).status_code for _ in range(6)] == [200] * 5 + [429]
    forged = Client()
    forged.cookies[throttle.COOKIE] = browser.cookies[throttle.COOKIE].value[:-2] + "xx"
    for _ in range(6):
        answer = log_in(client=forged, address="203.0.113.7")
    assert answer.status_code == 429


def test_one_address_that_tries_many_names_waits_a_little(ada):
    codes = [log_in(f"name{number}").status_code for number in range(25)]
    assert codes == [200] * 20 + [429] * 5
    assert log_in("somebody", address="192.0.2.2").status_code == 200
    assert int(log_in("other")["Retry-After"]) <= OF_ADDRESS.longest
    later(OF_ADDRESS.longest)
    assert log_in(password=PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("given", "forwarded", "behind", "address"),
    [
        ("192.0.2.1", "1.2.3.4", False, "192.0.2.1"),
        ("127.0.0.1", "6.6.6.6, 192.0.2.7", True, "192.0.2.7"),
        ("127.0.0.1", "", True, "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", False, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "", False, "192.0.2.1"),
        ("127.0.0.1", "what; ever", True, ""),
    ],
)
def test_where_a_try_comes_from(rf, settings, given, forwarded, behind, address):
    settings.BEHIND_PROXY = behind
    more = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    assert address_of(rf.get("/", REMOTE_ADDR=given, **more)) == address


def test_a_refused_login_costs_no_hash(ada, monkeypatch):
    for _ in range(5):
        log_in()
    monkeypatch.setattr("django.contrib.auth.base_user.AbstractBaseUser.check_password", None)
    monkeypatch.setattr("django.contrib.auth.base_user.AbstractBaseUser.set_password", None)
    assert log_in().status_code == 429


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_logins_at_once_a_few_are_hashed_and_the_site_still_answers(ada, settings, monkeypatch):
    settings.PASSWORD_HASHERS = ["flows.logins.hashing.TurnHasher"]
    at_once, most, lock, go_on = 0, 0, threading.Lock(), threading.Event()
    real = hashing.PBKDF2PasswordHasher.encode

    def slow(self, password, salt, iterations=None):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        go_on.wait(patience(60))  # the first are checked for as long as it takes the others to be refused
        try:
            return real(self, password, salt, 1000)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(hashing.PBKDF2PasswordHasher, "encode", slow)
    codes = []

    def attempt(number):
        from django.db import connections

        codes.append(log_in(f"name{number}").status_code)
        connections.close_all()

    threads = [threading.Thread(target=attempt, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(codes) >= 16 - throttle.PARALLEL, what=lambda: f"refusals: {codes}")
        assert Client().get("/healthz").status_code == 200
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert most == hashing.AT_ONCE and codes.count(200) <= throttle.PARALLEL
    assert codes.count(200) + codes.count(429) == 16 and hashing._count == 0


def test_administrators_see_who_tried_and_others_do_not(ada):
    for _ in range(7):
        log_in()
    log_in("a password typed into the wrong field")
    page = Person("root", "everything").open("/admin/flows/login/")
    assert page.status == 200 and "192.0.2.1" in page.html and "ada" in page.html
    assert "unknown name" in page.html and "wrong field" not in page.html
    assert LogIn.objects.filter(refused__gt=0).exists()
    assert Person("vera", "flows.view_flow").open("/admin/flows/login/").status == 403


def test_the_record_is_forgotten_after_a_while(ada):
    log_in()
    LogIn.objects.update(at=timezone.now() - throttle.KEPT - timedelta(days=1))
    log_in()
    prune(timezone.now())
    assert LogIn.objects.count() == 1


def test_every_login_form_is_throttled_and_commands_are_not(ada, rf):
    for _ in range(5):
        assert authenticate(rf.post("/elsewhere/"), username="ada", password="wrong") is None
    assert authenticate(rf.post("/elsewhere/"), username="ada", password=PASSWORD) is None
    assert authenticate(None, username="ada", password=PASSWORD) == ada
    assert own.AUTHENTICATION_BACKENDS == ["flows.logins.backend.ThrottledBackend"]


def test_hashes_from_before_are_still_good(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    old = make_password(PASSWORD)
    settings.PASSWORD_HASHERS = ["flows.logins.hashing.TurnHasher"]
    user = get_user_model().objects.create(username="old", password=old)
    assert user.check_password(PASSWORD)
    assert call_command("check") is None
