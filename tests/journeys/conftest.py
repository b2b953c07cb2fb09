"""A browser and people who use it.

Every journey runs in Debian's Chromium (or the one that CHROMIUM names) against a live server, and fails when a page
broke the Content-Security-Policy or raised an error. With DEX_SCREENSHOTS=folder, `seen` keeps what was on screen:
`make screens` renews docs/screens so; with DEX_SCREENSHOTS_ALL=1 pages that are not shown there are kept too.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from tests.helpers.servers import require
from tests.helpers.waiting import patience

# Playwright's own loop runs in this thread, which is what Django warns of; queries are made between its steps.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
expect.set_options(timeout=patience(15_000))

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--force-color-profile=srgb"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DESKTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LISTEN = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  const {violatedDirective, blockedURI, sourceFile, lineNumber} = event;
  window.__violations.push(`${violatedDirective} blocked ${blockedURI} at ${sourceFile}:${lineNumber}`);
});
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The live server needs tables that other threads see."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    require(Chromium=path and Path(path).exists())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


#: What each page asked the server and has no answer to yet.
_unanswered: WeakKeyDictionary[Page, set[Request]] = WeakKeyDictionary()


@dataclass
class Window:
    """Opens pages, and remembers what went wrong on any of them."""

    browser: Browser
    address: str
    troubles: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, user: User | None = None, *, dark: bool = False, phone: bool = False) -> Page:
        """A page of a browser of its own, logged in as this user."""
        context = self.browser.new_context(
            base_url=self.address,
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            reduced_motion="reduce",
            timezone_id="Europe/Berlin",
            locale="en-GB",
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(patience(30_000))
        context.add_init_script(LISTEN)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._heard(page, said))
        page.on("response", lambda response: self._answered(response))
        waits = _unanswered[page] = set()
        page.on("request", lambda asked: waits.add(asked))
        page.on("requestfinished", lambda asked: waits.discard(asked))
        page.on("requestfailed", lambda asked: waits.discard(asked))
        if user is not None:
            log_in(page, user)
        return page

    def _heard(self, page: Page, said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text or "Content-Security-Policy" in said.text:
            self.troubles.append(f"{page.url}: {said.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= (400 if "/static/" in response.url else 500):
            self.troubles.append(f"{response.status} {response.url}")

    def close(self) -> None:
        for context in self.contexts:
            for page in context.pages:
                self.troubles += [f"{page.url}: {said}" for said in page.evaluate("window.__violations ?? []")]
            context.close()


@pytest.fixture
def window(chromium: Browser, live_server: LiveServer) -> Iterator[Window]:
    opened = Window(chromium, live_server.url)
    yield opened
    opened.close()
    assert not opened.troubles, "\n".join(opened.troubles)


@pytest.fixture
def page(window: Window) -> Page:
    """A desktop page where nobody is logged in."""
    return window.open()


def log_in(page: Page, user: User) -> None:
    """Give the page a session of this user, without the login form."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "domain": "localhost", "path": "/"}])


AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# Colours are all that the dark theme changes.
CONTRAST = ["color-contrast", "link-in-text-block"]


def axe(page: Page, rules: list[str] | None = None, without: Sequence[str] = ()) -> list[str]:
    """What axe-core finds on the page, a line each; `rules` limits it to these, `without` leaves some out."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options = {"runOnly": rules or WCAG, "resultTypes": ["violations"], "preload": False}
    options["rules"] = {rule: {"enabled": False} for rule in without}
    found = page.evaluate("(options) => axe.run(document, options).then((made) => made.violations)", options)
    return [
        f"{rule['id']}: {node['html'][:160]} ({' '.join(node['failureSummary'].split())[:240]})"
        for rule in found
        for node in rule["nodes"]
    ]


def look_like(page: Page, suffix: str) -> None:
    """Show the same page on a desktop (""), in the dark ("-dark") or on a phone ("-phone")."""
    page.emulate_media(color_scheme="dark" if suffix == "-dark" else "light", reduced_motion="reduce")
    page.set_viewport_size(PHONE if suffix == "-phone" else DESKTOP)


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


#: What a page still waits for, a line each: answers of the server, fonts, pictures, and the cards of its graphs.
UNFINISHED = """() => {
  const shown = (element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true});
  const name = (element) => element.id ? `#${element.id}` : `<${element.localName} class="${element.className}">`;
  const waits = [...document.querySelectorAll(".canvas-wait, [data-loading], [aria-busy=true], .htmx-request")];
  const lines = waits.filter(shown).map((element) => `${name(element)} is loading: ${element.innerText.slice(0, 60)}`);
  if (/^Loading\\b.*(…|\\.\\.\\.)$/m.test(document.body.innerText)) lines.push("a text says Loading…");
  if (document.fonts.status !== "loaded") lines.push("fonts are loading");
  for (const image of document.images) if (shown(image) && !image.complete) lines.push(`${image.src} is loading`);
  const boards = [...document.querySelectorAll("#canvas[data-url], [data-graph-url]")].filter(shown);
  for (const board of boards) {
    const viewport = board.querySelector(".react-flow__viewport");
    if (board.id !== "canvas" && viewport && new DOMMatrix(getComputedStyle(viewport).transform).a < 0.45) {
      // From afar the cards are drawn on a bitmap (frontend/graph/lineage/graph.jsx, FAR).
      const bitmap = board.querySelector("canvas.bitmap");
      const pixels = bitmap?.width && bitmap.getContext("2d").getImageData(0, 0, bitmap.width, bitmap.height).data;
      if (!pixels || pixels.every((value) => value === 0)) lines.push(`${name(board)} has nothing on its bitmap`);
      continue;
    }
    const cards = [...board.querySelectorAll(".react-flow__node")].filter(shown);
    const wanted = board.id === "canvas" ? document.querySelectorAll("#nodes [data-node-id]").length : 1;
    if (cards.length < wanted) lines.push(`${name(board)} has ${cards.length} of ${wanted} cards`);
    const frame = board.getBoundingClientRect();
    const inside = ({left, right, top, bottom}) =>
      right > frame.left && left < frame.right && bottom > frame.top && top < frame.bottom;
    if (wanted && !cards.some((card) => inside(card.getBoundingClientRect())))
      lines.push(`${name(board)} shows none of its cards`);
  }
  return lines;
}"""


def unfinished(page: Page) -> list[str]:
    """What the page still loads, a line each; empty when it is ready for a picture."""
    return list(page.evaluate(UNFINISHED)) + [f"{asked.url} is not answered" for asked in _unanswered[page]]


def wait_until_ready(page: Page, seconds: float = 15) -> None:
    """Return when nothing on the page loads any more. Raises AssertionError that names what never came."""
    end = time.monotonic() + patience(seconds)
    quiet = 0
    while quiet < 2:  # an answer that has come is drawn a moment later
        waits = unfinished(page)
        assert not waits or time.monotonic() < end, f"{page.url} is not ready: {'; '.join(waits)}"
        quiet = 0 if waits else quiet + 1
        page.wait_for_timeout(50)


@pytest.fixture
def seen() -> Callable[..., None]:
    """Keep what is on screen as name.png where DEX_SCREENSHOTS names a folder, once the page is ready."""
    folder, everything = os.environ.get("DEX_SCREENSHOTS"), os.environ.get("DEX_SCREENSHOTS_ALL")

    def keep(page: Page, name: str, *, gallery: bool = True) -> None:
        wait_until_ready(page)
        if folder and (gallery or everything):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled", caret="initial")

    return keep


@pytest.fixture
def judge(seen: Callable[..., None]) -> Callable[..., None]:
    """Keep a page as it looks on a desktop, in the dark and on a phone; it must be accessible and fit."""

    def look(page: Page, name: str, *, gallery: bool = False) -> None:
        for suffix in ("", "-dark", "-phone"):
            look_like(page, suffix)
            seen(page, f"{name}{suffix}", gallery=gallery)
            assert axe(page, rules=CONTRAST if suffix == "-dark" else None) == [], name + suffix
            assert sideways(page) <= 0, name + suffix
        look_like(page, "")

    return look
