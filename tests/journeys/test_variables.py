"""Variables in a browser: a secret is made, is on no page, and is not lost to a click."""

from playwright.sync_api import expect

from flows.models import Variable
from flows.variables.values import decrypt
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.journeys.rows import everything, some_variables

CANARY = "S3CR3T-9f1c62e0/4b+canary"


def test_an_administrator_makes_a_secret_and_deletes_what_is_used_knowingly(window, seen):
    rows = everything()
    page = window.open(rows.admin)
    page.goto("/variables/")
    expect(page.get_by_role("heading", name="No variables yet")).to_be_visible()
    seen(page, "variables-none", gallery=False)
    page.get_by_role("link", name="Create a variable").click()
    page.get_by_label("Name").fill("api_key")
    page.get_by_label("Scope").select_option(label="shop / main")
    page.get_by_label("Value").fill(CANARY)
    page.get_by_label("Mark as secret").check()
    page.get_by_role("button", name="Create variable").click()
    expect(page.get_by_label("Value")).to_have_value("")
    expect(page.get_by_text("Enter the secret again")).to_be_visible()
    assert CANARY not in page.content()
    seen(page, "variable-wrong", gallery=False)
    page.get_by_label("Name").fill("TOKEN")
    page.get_by_label("Value").fill(CANARY)
    page.get_by_role("button", name="Create variable").click()
    expect(page.get_by_text("TOKEN was saved.")).to_be_visible()
    assert decrypt(Variable.objects.get()) == CANARY and CANARY not in page.content()

    some_variables(rows.environment)
    used = f"/variables/{Variable.objects.get(name='REGION', environment=None).pk}/"
    for name, address in (("variables", "/variables/"), ("variable", used), ("variable-new", "/variables/new/")):
        page.goto(address)
        for suffix in ("", "-dark", "-phone"):
            look_like(page, suffix)
            seen(page, f"{name}{suffix}", gallery=False)
            assert axe(page, rules=CONTRAST if suffix == "-dark" else None) == []
            assert sideways(page) <= 0
        look_like(page, "")

    page.goto(used)
    expect(page.get_by_role("link", name="connection CRM, schema")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("It was not deleted.")).to_be_visible()
    page.get_by_label("Delete it even though it is used").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("REGION was deleted.")).to_be_visible()
