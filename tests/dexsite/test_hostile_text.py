"""Forty hostile names, selectors, cron expressions and files: a clear error or plain text, never a 500, never HTML."""

import re

import pytest

from flows.models import Flow
from nodes.models import Node
from nodes.services import save_node
from tests.helpers.pages import Person, sample_flow

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db]

PAYLOADS = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "<svg/onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<!--",
    "javascript:alert(1)",
    "{{ 7*7 }}",
    "{% debug %}",
    "${7*7}",
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "hx-on:click=alert(1)",
    '" hx-get="/admin/" hx-trigger="load',
    "&lt;b&gt;",
    "a\u202etxt.exe",
    "zero\u200bwidth",
    "\u0000nul",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "'; drop table flows_flow; --",
    "' or '1'='1",
    "%s%s%n",
    "../../etc/passwd",
    "..%2f..%2fetc",
    "C:\\windows\\system32",
    "con",
    "=cmd|' /C calc'!A0",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "ÅÄÖ ßẞ İı",
    "a" * 199,
    "a" * 100_000,
    " " * 50,
    "\r\nSet-Cookie: x=1",
    "*a" * 40,
    "((((((((((",
    "tag:" + "a+" * 200,
    "9" * 400,
    "-c core.sshCommand=x",
    "--upload-pack=touch x",
    "null",
    "__proto__",
]
SCRIPTS = re.compile(r"<script>alert|<img src=x|<svg/on|onmouseover='alert|hx-get=\"/admin/\"|{#|<!--\s*$")


@pytest.fixture
def ada():
    return Person("ada", "everything")


@pytest.fixture
def flow():
    made = sample_flow("Daily shop")
    save_node(Node(flow=made, name="Staging", include=["tag:staging"]))
    return made


def clean(page):
    assert page.status < 500, page.url
    assert page.inline == [], page.inline
    assert not SCRIPTS.search(page.html), SCRIPTS.search(page.html)


def listed(ada, flow):
    for path in (
        "/flows/",
        f"/flows/{flow.pk}/",
        f"/flows/{flow.pk}/settings/",
        f"/flows/{flow.pk}/history/",
        "/admin/",
    ):
        clean(ada.open(path))


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_as_name_description_and_tag_of_a_flow(ada, flow, payload):
    page = ada.open("/flows/new/")
    sent = {"name": payload, "description": payload, "tags": payload, "environment": str(flow.environment_id)}
    made = ada.post(page, page.form("settings"), sent)
    clean(made)
    new = Flow.objects.exclude(pk=flow.pk).first()
    if new is None:
        assert made.status == 422 and made.form("settings").fields["name"][0].strip() == payload.strip().replace(
            "\r\n", "\n"
        )
        assert "errorlist" in made.html
    else:
        assert "\0" not in new.name
        listed(ada, new)
        ada.open(f"/flows/{new.pk}/delete/")
        assert ada.client.get(f"/flows/{new.pk}/yaml/").status_code == 200


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_as_name_selector_and_parameter_of_a_node(ada, flow, payload):
    page = ada.open(f"/flows/{flow.pk}/nodes/new/transformation/")
    made = ada.post(page, page.form("node-form"), {"name": payload[:150], "include": f"tag:staging\n{payload}"})
    clean(made)
    preview = ada.client.post(
        f"/flows/{flow.pk}/preview/",
        {"include": payload, "exclude": payload, "why": payload, "command": payload, "node": payload},
        headers={"X-CSRFToken": ada.client.cookies["csrftoken"].value},
    )
    assert preview.status_code == 200 and not SCRIPTS.search(preview.content.decode())
    script = ada.open(f"/flows/{flow.pk}/nodes/new/script/")
    typed = {"name": "S", "package": payload, "arguments_key": payload, "arguments_value": payload}
    clean(ada.post(script, script.form("node-form"), typed))
    listed(ada, flow)


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_as_schedule_search_and_address(ada, flow, payload):
    page = ada.open(f"/flows/{flow.pk}/settings/")
    sent = ada.post(page, page.form("settings"), {"write_cron": "on", "cron": payload, "time_zone": payload})
    clean(sent)
    assert sent.status == 422 and Flow.objects.get(pk=flow.pk).cron == ""
    asked = {
        "q": payload[:4000],
        "tag": payload[:4000],
        "state": payload[:200],
        "type": payload[:200],
        "cron": payload[:4000],
        "page": payload[:100],
    }
    for path in (
        *("/flows/", "/models/", "/search/", "/flows/schedule/", f"/flows/{flow.pk}/suggest/"),
        *(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/components/", f"/flows/{flow.pk}/history/"),
    ):
        answer = ada.client.get(path, {**asked, "write_cron": "on", "sort": payload[:100], "before": payload[:100]})
        assert answer.status_code == 200 and not SCRIPTS.search(answer.content.decode()), path
    assert ada.client.get("/models/" + payload[:300].replace("?", "").replace("#", "") + "/").status_code in (
        404,
        301,
        200,
    )


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_as_a_file_to_import(ada, flow, payload):
    page = ada.open("/flows/import/")
    form = page.forms[-1]
    for text in (
        payload,
        f"dex: 1\nname: {payload}\nenvironment: shop / main",
        f"dex: 1\nname: x\nenvironment: {payload!r}\n",
    ):
        sent = ada.post(page, form, {"text": text})
        clean(sent)
    assert Flow.objects.count() == 1
