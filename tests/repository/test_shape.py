"""What keeps the code in shape beside ruff, mypy and import-linter."""

import ast
import re

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.template.loader import get_template
from django.urls import get_resolver

from dexsite.celery import app
from nodes import kinds
from nodes.forms.node import NodeForm, form_of
from nodes.kinds.base import Kind
from nodes.models import Node
from runs import dispatch, jobs, states
from tests.helpers.paths import ROOT

SOURCES = [
    p
    for app in ("dexsite", "flows", "nodes", "runs")
    for p in (ROOT / app).rglob("*.py")
    if "migrations" not in p.parts
]


def test_only_the_pen_writes_states():
    writes = re.compile(
        r"\.update\([^)]*\bstate=|\bself\.state = |row\.state = |update_fields=\[[^\]]*[\"']state[\"']", re.S
    )
    writers = {p.relative_to(ROOT).as_posix() for p in SOURCES if writes.search(p.read_text())}
    assert writers == {"runs/transitions.py"}


def test_only_settings_read_the_environment():
    def reads(path):
        asked = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute))
        return any(ast.unparse(node) in ("os.environ", "os.getenv") for node in asked)

    readers = {p.relative_to(ROOT).as_posix() for p in SOURCES if reads(p)}
    # what runs as a process of its own, with an environment made for it, has no settings
    children = {r for r in readers if r.startswith("nodes/dbt/")}
    children |= {"nodes/scripts/children.py", "flows/infra/process/fork_server.py"}
    assert readers - children <= {
        "dexsite/settings.py",
        "dexsite/celery.py",
        "dexsite/wsgi.py",
        "dexsite/asgi.py",
    }


def test_no_module_is_called_after_nothing():
    assert not [p for p in SOURCES if p.stem in ("utils", "helpers", "common", "constants", "misc")]


@pytest.mark.django_db
def test_the_database_writes_the_history():
    table = "sqlite_master" if connection.vendor == "sqlite" else "information_schema.triggers"
    column = "name" if connection.vendor == "sqlite" else "trigger_name"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE {column} LIKE '%%_moved'")
        found = {row[0] for row in cursor.fetchall()}
    expected = {f"{t}_{e}_moved" for t in ("runs_run", "runs_taskrun") for e in ("insert", "update")}
    assert found == expected, "a migration rebuilt a table: install the triggers again at its end"


def test_every_doorbell_has_its_job():
    for name in dispatch.JOBS:
        assert getattr(jobs, name).name in app.tasks


def test_every_kind_of_node_has_its_tasks_its_form_its_icon_and_its_words():
    sprite = (ROOT / "frontend/icons.txt").read_text().split()
    assert [kind.name for kind in kinds.all_kinds()] == ["connection", "transformation", "script"]
    for kind in kinds.all_kinds():
        assert issubclass(form_of(Node(kind=kind.name)), NodeForm) and get_template(kind.template)
        assert kind.label and kind.says.endswith(".") and kind.icon in sprite
        assert kind.main and set(kind.main) <= set(kind.fields)
        assert type(kind).expand is not Kind.expand
        assert kind.runs_dbt == (type(kind).execute is Kind.execute)


def test_every_setting_of_a_node_is_in_the_form_and_in_the_export_of_its_kind():
    for kind in kinds.all_kinds():
        form = form_of(Node(kind=kind.name))
        assert set(form._meta.fields) - {"name"} == set(kind.fields) == set(kind.settings(Node(kind=kind.name)))


def test_nothing_but_its_own_file_asks_for_a_kind_by_its_name():
    """A new kind is one file: whatever is different about it is asked of the registry."""
    asks = re.compile(r"""kind\w*\)? (?:==|!=|in|not in) [^\n]*["'](?:connection|transformation|script)["']""")
    files = [path for path in SOURCES if "kinds" not in path.parts]
    files += [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static/js").glob("*.js")]
    files += (ROOT / "frontend/graph").rglob("*.js*")
    assert [path for path in files if asks.search(path.read_text())] == []


def test_every_state_is_in_a_table():
    assert {a for a, b in states.MOVES} == states.ACTIVE
    assert {a for a, b in states.RUN_MOVES} == states.RUN_ACTIVE


def test_beats_own_admin_is_not_offered():
    """It would let whoever may edit a row call any task with any arguments."""
    names = [str(pattern) for pattern in get_resolver().url_patterns]
    from django.contrib import admin

    assert not [m for m in admin.site._registry if m._meta.app_label == "django_celery_beat"], names


def test_system_checks_find_nothing():
    assert run_checks() == []
