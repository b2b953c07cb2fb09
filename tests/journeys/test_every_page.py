"""Every page: no axe violation, nothing that the Content-Security-Policy blocks, nothing wider than a phone.

A new page gets a line in PAGES; `python -m pytest tests/journeys -k every_page` then looks at it three times.
"""

from collections.abc import Callable

from playwright.sync_api import expect

from flows.models import Variable
from runs.models import Run
from tests.journeys.conftest import CONTRAST, axe, look_like, sideways
from tests.journeys.rows import Rows, everything, scheduled_flows, some_variables

ADMIN = "/admin/"


def log_of(run: Run) -> str:
    """The address of the first log of a run."""
    task = run.task_runs.filter(tries__isnull=False).first()
    return f"/runs/{run.pk}/tasks/{task.pk}/log/{task.tries.first().fence}/"


#: (name, address); who looks may everything.
PAGES: list[tuple[str, Callable[[Rows], str]]] = [
    ("home", lambda rows: "/"),
    ("flows", lambda rows: "/flows/"),
    ("calendar", lambda rows: "/calendar/"),
    ("calendar-week", lambda rows: "/calendar/?days=7"),
    ("calendar-none-found", lambda rows: "/calendar/?q=nowhere"),
    ("flow-new", lambda rows: "/flows/new/"),
    ("flow-settings", lambda rows: f"/flows/{rows.flow.pk}/settings/"),
    ("flow-delete", lambda rows: f"/flows/{rows.flow.pk}/delete/"),
    ("flow-history", lambda rows: f"/flows/{rows.flow.pk}/history/"),
    ("flow-import", lambda rows: "/flows/import/"),
    ("flow-version", lambda rows: f"/flows/{rows.flow.pk}/history/{rows.flow.changes.first().version}/"),
    ("flow-due", lambda rows: f"/flows/{rows.flow.pk}/due/"),
    ("flow-run", lambda rows: f"/flows/{rows.flow.pk}/run/"),
    ("editor", lambda rows: f"/flows/{rows.flow.pk}/"),
    ("node-new-script", lambda rows: f"/flows/{rows.flow.pk}/nodes/new/script/"),
    ("node-new-connection", lambda rows: f"/flows/{rows.flow.pk}/nodes/new/connection/"),
    ("connections", lambda rows: "/connections/"),
    ("connection-new", lambda rows: "/connections/new/"),
    ("connection-settings", lambda rows: "/connections/new/rest_api/"),
    ("audit", lambda rows: f"{ADMIN}nodes/change/"),
    ("audit-row", lambda rows: f"{ADMIN}nodes/change/{rows.flow.changes.first().pk}/change/"),
    ("node-new", lambda rows: f"/flows/{rows.flow.pk}/nodes/new/transformation/"),
    ("node", lambda rows: f"/flows/{rows.flow.pk}/nodes/{rows.node.pk}/"),
    ("models", lambda rows: "/models/"),
    ("model", lambda rows: "/models/model.shop.mart_orders/"),
    ("admin", lambda rows: ADMIN),
    ("admin-of-an-app", lambda rows: f"{ADMIN}flows/"),
    ("not-found", lambda rows: "/nothing/here/"),
    ("status", lambda rows: "/status/"),
    ("pushes", lambda rows: f"/projects/{rows.environment.project_id}/pushes/"),
    ("dbt-runtime", lambda rows: f"/projects/{rows.environment.project_id}/dbt/"),
    ("failures", lambda rows: "/failures/"),
    ("failure", lambda rows: f"/failures/{rows.failed.task_runs.get(state='failed').failure.group_id}/"),
    ("alerts", lambda rows: "/alerts/"),
    ("alert-new", lambda rows: "/alerts/new/"),
    ("alert", lambda rows: f"/alerts/{rows.channel.pk}/"),
    ("tokens", lambda rows: "/tokens/"),
    ("variables", lambda rows: "/variables/"),
    ("variable-new", lambda rows: "/variables/new/"),
    ("variable", lambda rows: f"/variables/{Variable.objects.get(name='REGION', environment=None).pk}/"),
    ("secret", lambda rows: f"/variables/{Variable.objects.get(name='API_KEY').pk}/"),
    ("password", lambda rows: f"{ADMIN}password_change/"),
    ("password-done", lambda rows: f"{ADMIN}password_change/done/"),
    ("password-of-another", lambda rows: f"{ADMIN}auth/user/{rows.viewer.pk}/password/"),
    ("projects", lambda rows: f"{ADMIN}flows/project/"),
    ("project-new", lambda rows: f"{ADMIN}flows/project/add/"),
    ("project", lambda rows: f"{ADMIN}flows/project/{rows.environment.project_id}/change/"),
    ("project-delete-refused", lambda rows: f"{ADMIN}flows/project/{rows.environment.project_id}/delete/"),
    ("environments", lambda rows: f"{ADMIN}flows/environment/"),
    ("environments-none-found", lambda rows: f"{ADMIN}flows/environment/?q=nowhere"),
    ("environment-new", lambda rows: f"{ADMIN}flows/environment/add/"),
    ("environment", lambda rows: f"{ADMIN}flows/environment/{rows.environment.pk}/change/"),
    ("environment-broken", lambda rows: f"{ADMIN}flows/environment/{rows.broken.pk}/change/"),
    ("environment-delete", lambda rows: f"{ADMIN}flows/environment/{rows.broken.pk}/delete/"),
    ("environment-history", lambda rows: f"{ADMIN}flows/environment/{rows.broken.pk}/history/"),
    ("revisions", lambda rows: f"{ADMIN}flows/revision/"),
    ("revision", lambda rows: f"{ADMIN}flows/revision/{rows.environment.current_revision_id}/change/"),
    ("flows-plain", lambda rows: f"{ADMIN}flows/flow/"),
    ("flow-plain", lambda rows: f"{ADMIN}flows/flow/{rows.flow.pk}/change/"),
    ("nodes-plain", lambda rows: f"{ADMIN}nodes/node/"),
    ("node-plain", lambda rows: f"{ADMIN}nodes/node/{rows.node.pk}/change/"),
    ("links-plain", lambda rows: f"{ADMIN}nodes/link/"),
    ("link-plain", lambda rows: f"{ADMIN}nodes/link/{rows.link.pk}/change/"),
    ("runs", lambda rows: "/runs/"),
    ("runs-failed", lambda rows: "/runs/?state=failed"),
    ("runs-none-found", lambda rows: "/runs/?q=nowhere"),
    ("runs-plain", lambda rows: f"{ADMIN}runs/run/"),
    ("runs-filtered", lambda rows: f"{ADMIN}runs/run/?state__exact=failed"),
    ("run", lambda rows: f"/runs/{rows.failed.pk}/"),
    ("run-going-on", lambda rows: f"/runs/{rows.running.pk}/"),
    ("run-graph", lambda rows: f"/runs/{rows.failed.pk}/?tab=graph"),
    ("run-timeline", lambda rows: f"/runs/{rows.failed.pk}/?tab=timeline"),
    ("run-logs", lambda rows: f"/runs/{rows.failed.pk}/?tab=log"),
    ("run-rerun", lambda rows: f"/runs/{rows.failed.pk}/rerun/"),
    ("run-compare", lambda rows: f"/runs/{rows.failed.pk}/compare/{rows.running.pk}/"),
    ("log", lambda rows: log_of(rows.failed)),
    ("flow-plan", lambda rows: f"/flows/{rows.flow.pk}/plan/"),
    ("run-plain", lambda rows: f"{ADMIN}runs/run/{rows.failed.pk}/change/"),
    ("tasks", lambda rows: f"{ADMIN}runs/taskrun/"),
    ("task", lambda rows: f"{ADMIN}runs/taskrun/{rows.failed.task_runs.first().pk}/change/"),
    ("pools", lambda rows: f"{ADMIN}runs/pool/"),
    ("pool-new", lambda rows: f"{ADMIN}runs/pool/add/"),
    ("users", lambda rows: f"{ADMIN}auth/user/"),
    ("user-new", lambda rows: f"{ADMIN}auth/user/add/"),
    ("user", lambda rows: f"{ADMIN}auth/user/{rows.viewer.pk}/change/"),
    ("user-delete", lambda rows: f"{ADMIN}auth/user/{rows.viewer.pk}/delete/"),
    ("logins", lambda rows: f"{ADMIN}flows/login/"),
    ("groups", lambda rows: f"{ADMIN}auth/group/"),
    ("group-new", lambda rows: f"{ADMIN}auth/group/add/"),
    ("group", lambda rows: f"{ADMIN}auth/group/{rows.group.pk}/change/"),
]
#: What is looked at without a login, or by somebody who may not.
OUTSIDE: list[tuple[str, Callable[[Rows], str]]] = [
    ("login", lambda rows: f"{ADMIN}login/"),
    ("not-found-outside", lambda rows: "/nothing/here/"),
]
#: Of these, docs/screens shows the desktop, the dark theme and the phone.
GALLERY = {
    *("home", "login", "runs", "environment", "flows", "flow-new", "flow-settings", "flow-history", "flow-due"),
    *("calendar", "run", "run-graph", "run-timeline", "run-rerun", "log", "alerts"),
    *("flow-import", "editor", "node", "models", "model", "audit"),
    *("failures", "failure", "variables", "tokens", "status", "users", "connection-new"),
    *("flow-version", "run-going-on", "run-compare"),
}
BOARDS = {"editor", "model", "run-graph"}
FORBIDDEN = f"{ADMIN}auth/user/"


def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(window, seen):
    rows = everything()
    scheduled_flows()
    some_variables(rows.environment)
    problems: list[str] = []

    def judge(page, name):
        for suffix in ("", "-dark", "-phone"):
            look_like(page, suffix)
            if suffix == "-phone" and name in BOARDS:
                page.reload()  # a board chooses what it shows by the size that the screen has when it is opened
            seen(page, name + suffix, gallery=name in GALLERY)
            only = CONTRAST if suffix == "-dark" else None
            found = axe(page, rules=only, without=CONTRAST if suffix == "-phone" else ())  # of the desktop's colours
            problems.extend(f"{name}{suffix}: {said}" for said in found)
            if (wider := sideways(page)) > 0:
                problems.append(f"{name}{suffix}: {wider} px wider than the screen")
        look_like(page, "")
        if page.locator("h1").count() != 1:
            problems.append(f"{name}: {page.locator('h1').count()} h1")

    page = window.open(rows.admin)
    for name, address in PAGES:
        response = page.goto(address(rows))
        if response.status != (404 if name == "not-found" else 200):
            problems.append(f"{name}: answered {response.status}")
        judge(page, name)
    page.goto("/runs/?state=failed")  # what many reruns would do is the answer to a form
    page.get_by_label(f"Select run {rows.failed.pk}").check()
    page.get_by_role("button", name="Rerun from failure").first.click()
    expect(page.get_by_role("heading", name="Code version")).to_be_visible()
    judge(page, "runs-repeating")
    page.get_by_label("Account of ada").click()
    page.get_by_role("button", name="Log out").click()
    judge(page, "logged-out")

    page = window.open()
    for name, address in OUTSIDE:
        page.goto(address(rows))
        judge(page, name)
    page.goto(f"{ADMIN}login/")
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    judge(page, "login-refused")
    said = page.get_by_text("Too many failed logins")
    for _ in range(10):
        if said.count():
            break
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
    expect(said).to_be_visible()
    judge(page, "login-throttled")

    page = window.open(rows.viewer)
    assert page.goto(FORBIDDEN).status == 403
    judge(page, "forbidden")
    assert not problems, "\n".join(problems)
