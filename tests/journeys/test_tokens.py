"""Somebody makes a token, copies it, lets a program use it, and revokes it."""

from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.contrib.auth import get_user_model

from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.journeys.rows import LONG


def asked(address, secret):
    with urlopen(Request(address, headers={"Authorization": f"Bearer {secret}"})) as answer:
        return answer.status


def test_a_token_is_copied_used_and_revoked(window, live_server, seen):
    page = window.open(get_user_model().objects.create_superuser("ada"))
    page.goto("/")
    page.get_by_label("Account of ada").click()
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Name").fill("nightly loader")
    page.get_by_label("Expires").select_option("In a year")
    page.get_by_role("button", name="Create token").click()
    page.get_by_role("button", name="Copy the token").click()
    page.get_by_role("button", name="Copied").wait_for()
    secret = page.evaluate("navigator.clipboard.readText()")
    assert page.locator("#secret").text_content() == secret
    page.get_by_role("button", name="Copy the command").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('curl ')")
    assert page.evaluate("navigator.clipboard.readText()").endswith(
        f'"Authorization: Bearer {secret}" {live_server.url}/api/flows'
    )
    problems = []
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        seen(page, f"token-made{suffix}", gallery=False)
        problems += axe(page, rules=CONTRAST if suffix == "-dark" else None)
        assert sideways(page) <= 0
    assert problems == []
    look_like(page, "")
    assert asked(f"{live_server.url}/api/flows", secret) == 200

    page.get_by_label("Name").fill(LONG[:100])
    page.get_by_role("button", name="Create token").click()
    page.get_by_role("link", name="Home").click()
    page.goto("/tokens/")
    assert secret not in page.content()
    for suffix in ("", "-dark", "-phone"):
        look_like(page, suffix)
        seen(page, f"tokens-two{suffix}", gallery=False)
        assert sideways(page) <= 0
    look_like(page, "")
    page.get_by_role("button", name="Revoke nightly loader of ada").click()
    page.get_by_text("The token nightly loader was revoked").wait_for()
    with pytest.raises(HTTPError, match="401"):
        asked(f"{live_server.url}/api/flows", secret)
