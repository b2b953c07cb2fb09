"""README and docs: every link leads somewhere, every path that they name exists, every page is in the index."""

import json
import re
import subprocess
import sys

import pytest
from django.core.management import get_commands

from tests.helpers.paths import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.S)
APPS = ("flows", "nodes", "runs", "dexsite")
#: What is inside backticks and begins like this is a path of this repository.
PATH = re.compile(r"`((?:flows|nodes|runs|dexsite|tests|docs|frontend|static|templates|bin)/[\w./-]*)`")


def anchors(page):
    """The anchors that a page's headings have on the sites that show Markdown."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page):
    """Where the links of a page lead: (file or folder, anchor); not those to other sites."""
    found = LINK.findall(CODE.sub("", page.read_text()))
    for target in found:
        if not target.startswith(("http://", "https://", "mailto:")):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_page_and_its_heading(page):
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_path_that_is_named_exists(page):
    missing = [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert not missing


def test_every_page_is_in_the_index():
    listed = {target for target, _ in links(DOCS / "README.md")}
    assert {page for page in PAGES if page.is_relative_to(DOCS)} - listed == {DOCS / "README.md"}
    assert {target for target, _ in links(ROOT / "README.md")} >= {DOCS / "README.md", ROOT / "SECURITY.md"}


def test_the_map_of_the_architecture_has_every_package():
    named = set(PATH.findall((DOCS / "architecture.md").read_text()))
    packages = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for app in APPS
        for path in (ROOT / app).rglob("__init__.py")
        if not {"migrations", "management", "templatetags", "formats"} & set(path.parts)
    }
    assert packages - named == set()


def test_no_module_is_in_a_circle_too_many_lie_loose_or_an_app_imports_the_project():
    done = subprocess.run([sys.executable, ROOT / "bin" / "import-graph"], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert measured["circles"] == [] and measured["of_dexsite"] == []
    assert max(measured["loose"].values()) <= 12


def test_every_command_is_described():
    ours = {name for name, app in get_commands().items() if app in APPS}
    assert ours == set(re.findall(r"^\| `(\w+)", (DOCS / "commands.md").read_text().split("`make`")[0], re.M))


def test_every_picture_of_the_readme_is_taken_by_a_journey():
    journeys = (ROOT / "tests" / "journeys" / "test_pictures.py").read_text()
    pictures = [target for target, _ in links(ROOT / "README.md") if target.suffix == ".png"]
    assert len(pictures) >= 2 and all(f'f"{picture.stem}{{suffix}}"' in journeys for picture in pictures)
