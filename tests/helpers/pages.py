"""A person at the admin: opens pages, fills in the forms that are really there, and reads what is said."""

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from flows.models import Environment, Flow, Project
from nodes.services.sync import sync
from tests.helpers.paths import SAMPLE


@dataclass
class Form:
    """A form as a browser would post it."""

    id: str
    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, dict[str, str]] = field(default_factory=dict)  # of a select: words -> value


class Page(HTMLParser):
    """What a person and a browser find on a page."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.status, self.response = response.status_code, response
        self.url = response.request["PATH_INFO"]
        self.html = response.content.decode()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.inline: list[str] = []  # what a strict Content-Security-Policy would block
        self.elements: list[str] = []
        self._select = self._option = self._area = ""
        self._words = ""
        self._script = False
        self.feed(self.html)

    def handle_starttag(self, tag: str, found: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in found}
        self.elements.append(tag)
        if tag == "style" or "style" in attributes or any(name.startswith("on") for name in attributes):
            self.inline.append(str(self.get_starttag_text()))
        if attributes.get("href", "").startswith("javascript:"):
            self.inline.append(str(self.get_starttag_text()))
        self._script = tag == "script" and "src" not in attributes
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "form":
            action = attributes.get("action") or self.url
            self.forms.append(Form(attributes.get("id", ""), action, attributes.get("method", "get")))
        if not self.forms or "disabled" in attributes:
            return
        fields, name = self.forms[-1].fields, attributes.get("name", "")
        if tag == "input" and name and attributes.get("type") not in ("submit", "button", "image"):
            boxes = attributes.get("type") in ("checkbox", "radio")
            values = fields.setdefault(name, [])
            if not boxes or "checked" in attributes:
                values.append(attributes.get("value", "on" if boxes else ""))
        elif tag == "select":
            self._select = name
            fields.setdefault(name, [])
            self.forms[-1].choices.setdefault(name, {})
        elif tag == "option" and self._select:
            self._option, self._words = attributes.get("value", ""), ""
            if "selected" in attributes:
                fields[self._select].append(self._option)
        elif tag == "textarea":
            self._area, self._words = name, ""

    def handle_data(self, data: str) -> None:
        self._words += data
        if self._script and data.strip():
            self.inline.append(f"<script>{data[:60]}")

    def handle_endtag(self, tag: str) -> None:
        if tag == "option" and self._select:
            self.forms[-1].choices[self._select][self._words.strip()] = self._option
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area:
            self.forms[-1].fields[self._area] = [self._words.removeprefix("\n")]
            self._area = ""
        elif tag == "script":
            self._script = False

    def form(self, id: str) -> Form:
        (found,) = [form for form in self.forms if form.id == id]
        return found

    @property
    def messages(self) -> list[str]:
        listed = re.search(r'<ul class="messagelist">(.*?)</ul>', self.html, re.S)
        return [_text(said) for said in re.findall(r"<li[^>]*>(.*?)</li>", listed.group(1), re.S)] if listed else []

    def errors(self, name: str = "") -> list[str]:
        """What is said beside a field; without a name, above the form."""
        if name:
            in_admin = rf'<div class="form-row[^"]*field-{name}[^"]*">(.*?)<(?:textarea|select|input)'
            elsewhere = rf'class="field field-{name} has-error">(.*?)(?:class="field |</form>)'
            row = re.search(in_admin, self.html, re.S) or re.search(elsewhere, self.html, re.S)
            listed = re.findall(r'<ul class="errorlist"[^>]*>(.*?)</ul>', row.group(1), re.S) if row else []
        else:
            listed = re.findall(r'<ul class="errorlist nonfield"[^>]*>(.*?)</ul>', self.html, re.S)
        return [_text(said) for each in listed for said in re.findall(r"<li>(.*?)</li>", each, re.S)]

    def shown(self, name: str) -> str:
        """What a read-only field shows."""
        (found,) = re.findall(rf'field-{name}".*?<div class="readonly">(.*?)</div>\s*</div>', self.html, re.S)
        return _text(found)


def _text(fragment: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", fragment)).strip()


class Person:
    """Somebody with a session; `permissions` like runs.view_run, or "everything"."""

    def __init__(self, name: str = "ada", *permissions: str, staff: bool = True) -> None:
        everything = permissions == ("everything",)
        self.user = get_user_model().objects.create_user(name, password=None, is_staff=staff, is_superuser=everything)
        for permission in () if everything else permissions:
            app, codename = permission.split(".")
            self.user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.user)

    def open(self, path: str) -> Page:
        return Page(self.client.get(path, follow=True))

    def post(self, page: Page, form: Form, changes: dict[str, Any]) -> Page:
        """Send a form with changes: field -> value, or values, or the words of a choice."""
        data: dict[str, Any] = {}
        for name, values in {**form.fields, **changes}.items():
            known = form.choices.get(name, {})
            sent = [known.get(str(value), value) for value in (values if isinstance(values, list) else [values])]
            if sent:
                data[name] = sent
        return Page(self.client.post(form.action, data, follow=True))

    def fill(self, path: str, /, **changes: Any) -> Page:
        """Open the page of a row, or of a new one, and save it with changes."""
        page = self.open(path)
        return self.post(page, page.form(f"{path.split('/')[3]}_form"), {**changes, "_save": "Save"})

    def act(self, path: str, action: str, /, *rows: Any, **more: Any) -> Page:
        """Choose rows of a list and an action."""
        page = self.open(path)
        chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows], "index": "0"}
        return self.post(page, page.form("changelist-form"), {**chosen, **more})

    def press(self, page: Page, action: str, **more: Any) -> Page:
        """The button for an action on the page of one row."""
        (form,) = [form for form in page.forms if form.fields.get("action") == [action]]
        return self.post(page, form, more)


def sample_flow(name: str = "Daily shop", **fields: Any) -> Flow:
    """A flow without nodes on the sample shop, parsed."""
    project, _ = Project.objects.get_or_create(name="shop", defaults={"path": str(SAMPLE)})
    environment, made = Environment.objects.get_or_create(project=project, name="main")
    if made:
        sync(environment)
    return Flow.objects.create(name=name, environment=environment, **fields)
