"""What the pictures say twice, in Python and in JavaScript, is the same."""

import re

from nodes import catalogue, kinds
from nodes.services import nodes
from runs.templatetags.dex import STATE_ICONS
from tests.helpers.paths import ROOT

GRAPH = ROOT / "frontend/graph"


def pairs(text: str, pattern: str) -> dict[str, str]:
    return dict(re.findall(pattern, text))


def test_every_state_has_the_icon_that_the_pages_use() -> None:
    shown = pairs((GRAPH / "states.js").read_text(), r'^  (\w+): "([\w-]+)",$'.replace("^", r"(?m)^"))
    assert shown == {str(state): icon for state, icon in STATE_ICONS.items()}


def test_the_pictures_learn_of_kinds_of_nodes_from_the_server() -> None:
    """Their names, icons and what they do are said once, in nodes/kinds."""
    for file in [*GRAPH.rglob("*.js*"), *(ROOT / "static/js").glob("*.js")]:
        text = file.read_text()
        assert not [kind.name for kind in kinds.all_kinds() if kind.says in text or f"{kind.name}:" in text], file
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/vendor/icons.svg").read_text()))
    assert {kind.icon for kind in kinds.all_kinds()} <= sprite


def test_cards_are_drawn_of_the_size_that_the_server_keeps_them_apart_by() -> None:
    size = r"export const (WIDTH|HEIGHT) = (\d+);"
    for file, (width, height) in (("editor/flow-shape.js", nodes.CARD), ("lineage/place.js", catalogue.CARD)):
        assert pairs((GRAPH / file).read_text(), size) == {"WIDTH": str(width), "HEIGHT": str(height)}
    style = (GRAPH / "graph.css").read_text()
    for name, card in ((".node-card", nodes.CARD), (".model-card", catalogue.CARD)):
        rule = re.search(rf"\n{re.escape(name)} {{(.*?)}}", style, re.S)
        assert rule and f"width: {card[0]}px" in rule[1]


def test_every_icon_of_the_pictures_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/vendor/icons.svg").read_text()))
    used = set()
    for file in [*GRAPH.rglob("*.js*"), *(ROOT / "static/js").glob("*.js")]:
        used |= set(re.findall(r'(?:icon=|icon: |<Icon name=|icon\()"([\w-]+)"', file.read_text()))
    assert used and used <= sprite
