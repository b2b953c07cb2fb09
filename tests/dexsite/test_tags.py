"""What every page shows the same way."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.template import Context, Template

from dexsite.navigation import MENU
from dexsite.pages.search import ACTIONS, MODEL_ICONS
from runs.states import RunState, TaskState
from runs.templatetags.dex import (
    EMPTY,
    STATE_ICONS,
    cut_in_lines,
    cut_middle,
    duration,
    state_badge,
    took,
    when,
    without_colon,
)
from tests.helpers.paths import ROOT


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (-3, "0.0 s"),
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (0.44, "0.4 s"),
        (59.9, "59 s"),
        (60, "1 m 0 s"),
        (192.7, "3 m 12 s"),
        (3600 + 300, "1 h 5 m"),
        (86400 * 4 + 3700, "4 d 1 h"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds, words):
    assert duration(seconds) == words


def test_a_task_that_has_not_ended_has_no_duration():
    start = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)
    assert took(start, start + timedelta(seconds=75)) == "1 m 15 s"
    assert took(start, None) == took(None, start) == ""


def test_a_time_is_utc_until_the_browser_knows_better():
    moment = datetime(2026, 1, 31, 2, 0, tzinfo=timezone(timedelta(hours=1)))
    assert when(moment) == '<time class="when" datetime="2026-01-31T01:00:00+00:00">2026-01-31 01:00 UTC</time>'
    assert when(None) == ""


def test_every_state_has_a_word_an_icon_and_a_colour():
    assert set(STATE_ICONS) == set(TaskState) and set(RunState) <= set(map(str, TaskState))
    assert len(set(STATE_ICONS.values())) == len(TaskState)
    css = (ROOT / "static" / "dex.css").read_text()
    for state in TaskState:
        assert f">{state.capitalize()}<" in state_badge(state)
        assert re.search(rf"\.state-{state}\b", css), state


def test_long_names_in_narrow_columns_go_on_after_one_of_their_parts():
    assert cut_in_lines("marts.mart_<b>") == "marts.<wbr>mart_<wbr>&lt;b&gt;"
    assert cut_in_lines("models/a__b.sql") == "models/<wbr>a__<wbr>b.<wbr>sql"
    shown = cut_in_lines("int_orders_" * 9, 30)
    assert f'data-whole="{"int_orders_" * 9}"' in shown and shown.count("<wbr>") == 5


def test_long_names_are_cut_in_the_middle_and_kept_whole_beside():
    assert cut_middle("stg_orders", 40) == "stg_orders"
    assert cut_middle("a" * 40, 40) == "a" * 40
    shown = cut_middle("staging." + "x" * 60 + "_daily", 20)
    assert re.search(r">staging\.xx\u2026xxx_daily<", shown) and 'title="staging.x' in shown
    assert "<b>" not in cut_middle("<b>" * 20, 20) and "<b>" not in cut_middle("<b>", 20)
    assert len(re.sub("<.*?>", "", cut_middle("abcdefgh", 1))) == 5


def test_labels_lose_their_colon_and_nothing_else():
    assert without_colon('<label for="x">From 10:00:</label>') == '<label for="x">From 10:00</label>'


def test_every_icon_that_is_used_is_in_the_sprite():
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static" / "vendor" / "icons.svg").read_text()))
    used = {name for path in (ROOT / "templates").rglob("*.html") for name in _icons(path)}
    used |= {entry.icon for _, entries in MENU for entry in entries} | {entry.icon for entry in ACTIONS}
    used |= set(STATE_ICONS.values()) | set(MODEL_ICONS.values())
    assert len(used) > 30 and used - sprite == set()


def _icons(path):
    return re.findall(r'{% icon "([\w-]+)"', path.read_text())


def test_colours_are_named_once():
    """Everything that is not a token uses one, so that dark is never forgotten."""
    sheets = [ROOT / "static" / "dex.css", *(ROOT / "static" / "admin" / "css").glob("*.css")]
    loose = [
        f"{sheet.name}: {line.strip()}"
        for sheet in sheets
        for line in sheet.read_text().splitlines()
        if re.search(r"#[0-9a-f]{3,8}\b", line) and not re.search(r"light-dark\(|^\s+--[\w-]+:|#ffffff", line)
    ]
    assert loose == []


def test_what_the_admin_says_of_an_empty_list_is_about_tables_that_exist(settings):
    from django.apps import apps

    assert EMPTY.keys() <= {model._meta.label_lower for model in apps.get_models()}


def test_tags_are_there_to_load():
    assert "#play" in Template('{% load dex %}{% icon "play" %}').render(Context())
