"""The list of runs in a real browser: it follows what moves without losing what somebody is doing on it."""

from playwright.sync_api import expect

from runs.engine.executor import execute_task_run
from tests.helpers.waiting import patience
from tests.journeys.rows import everything


def test_the_list_follows_a_run_and_keeps_what_was_chosen_and_typed(window):
    rows = everything()
    page = window.open(rows.admin)
    page.goto("/runs/")
    going = page.locator("tr", has_text=f"#{rows.running.pk}")
    expect(going).to_contain_text("3 / 5")
    box = page.get_by_label(f"Select run {rows.failed.pk}")
    box.check()
    note = page.get_by_label("Note for acknowledged failures")
    note.fill("The source was loaded again")
    for pk in rows.running.task_runs.filter(state="queued").values_list("pk", flat=True):
        execute_task_run(pk)
    expect(going).to_contain_text("4 / 5", timeout=patience(15_000))
    expect(box).to_be_checked()
    expect(note).to_have_value("The source was loaded again")
    expect(page.locator("[data-chosen]")).to_have_text("1 selected")
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.get_by_text("1 run is acknowledged.")).to_be_visible()
    page.get_by_label("Failed, not acknowledged").check()
    expect(page.get_by_role("heading", name="No matches")).to_be_visible()
    page.goto(f"/runs/{rows.failed.pk}/")
    expect(page.get_by_text("The source was loaded again")).to_be_visible()
