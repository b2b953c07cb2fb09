"""Every regular expression of dex is fed with hostile text: while one is looked for, its process does nothing else."""

import ast
import importlib
import json
import re
import subprocess
import sys
import time

import pytest

from nodes.connections.connectors.places import matches
from nodes.connections.connectors.streams import identifier
from nodes.connections.forms import _condition
from nodes.dbt.selectors.grammar import read as read_selector
from nodes.virtualenvs.requirements import RequirementsError, read
from runs.alerts.failure_groups.normalise import first_error_line, normalise
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.process

SOURCES = sorted(
    path for app in ("dexsite", "flows", "nodes", "runs") for path in (ROOT / app).rglob("*.py")
    if "migrations" not in path.parts
)  # fmt: skip
CALLS = ("compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
#: Patterns that are put together when they are needed, as they look then, and what is asked of them.
PUT_TOGETHER = {
    ("runs/scheduling/overlap.py", "1++(?:0{0,15}1++)*+", "finditer"),
    ("nodes/dbt/selectors/paths.py", r"(?s:(?>.*?a)(?>.*?a)(?>.*?a).*b)\Z", "fullmatch"),
    ("runs/alerts/failure_groups/normalise.py", "", ""),  # made of parts; compiled ones are found
    ("nodes/connections/connectors/failures.py", "", ""),
    ("nodes/dbt/warehouses/problems.py", "", ""),
    ("nodes/connections/connectors/csv_types.py", "", ""),
    ("flows/projects/git/access.py", "", ""),
}
CHILD = r"""
import json, re, signal, sys, time
from collections import deque
LIMIT_S, SIZE, PART = 2.0, 100_000, 10
GENERIC = ["a", "1", " ", "\t", "/", ".", ":", "-", "_", "a1", "a ", "1 ", "1.", "1,", "a.", "{{ ", "\x1b[", "\x1b[0;",
           "0", "0f", "[::", "[:", "(", "'", '"', "`", "=", "\\", "A", "aA", "Aa", "\u00e9", "a/", "/1", "..",
           "--", "%", "1-"]

def late(*_):
    raise TimeoutError

def seconds(compiled, methods, text):
    began = time.process_time()
    for method in methods:  # those that dex calls: fullmatch is one look, finditer one from every place
        found = getattr(compiled, method)(text)
        if method == "finditer":
            deque(found, maxlen=0)
    return time.process_time() - began

def is_slow(compiled, methods, make):
    # What is quadratic and done with a tenth in a hundredth of the limit is done with the whole in time.
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        if seconds(compiled, methods, make(SIZE // PART)) > LIMIT_S / PART**2:
            seconds(compiled, methods, make(SIZE))
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return False

signal.signal(signal.SIGVTALRM, late)
slow = []
for place, pattern, flags, methods in json.load(sys.stdin):
    compiled = re.compile(pattern, flags)
    bare = re.sub(r"\\[AbBdDsSwWZ]|\(\?[P<>:=!a-z]*|[\[\](){}|*+?^$\\]|\d+,\d*", "\n", pattern)
    pieces = list(dict.fromkeys(piece for piece in bare.split("\n") if piece))[:12]
    texts = [lambda size, piece=piece: piece * (size // len(piece)) for piece in [*GENERIC, *pieces]]
    texts += [lambda size, p=piece, o=other: p + o * size for piece in pieces for other in ("a", "1", " ", ":")]
    texts += [lambda size, piece=piece: piece * (size // len(piece)) + "!" for piece in GENERIC]
    for make in texts:
        if is_slow(compiled, methods, make):
            slow.append([place, pattern, make(30)])
            break
print(json.dumps({"slow": slow}))
"""


EVERY = ("finditer", "fullmatch")


def asked(method):
    """What to feed where the code calls `method` of re or of a pattern: a search from every place, or one look."""
    return "fullmatch" if method in ("match", "fullmatch") else "finditer"


def methods_of(trees):
    """What is asked of each name that holds a pattern, wherever it is used: NAME.fullmatch(...)."""
    found = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in CALLS
                and isinstance(node.value, ast.Name | ast.Attribute)
            ):
                name = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                found.setdefault(name, set()).add(asked(node.attr))
    return found


def written(trees, methods):
    """(pattern, flags, methods, place) of every call of re with a pattern written there, and the places of others."""
    found, others = [], set()
    for name, tree in trees.items():
        named = {
            id(node.value): node.targets[0].id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS
            if not is_call or ast.unparse(node.func.value) != "re":
                continue
            if not isinstance(node.args[0], ast.Constant):
                others.add(name)
            elif isinstance(node.args[0].value, str):
                flags = re.I if "IGNORECASE" in ast.unparse(node) or "re.I)" in ast.unparse(node) else 0
                of_name = methods.get(named.get(id(node), ""), EVERY)
                asks = of_name if node.func.attr == "compile" else [asked(node.func.attr)]
                found.append((node.args[0].value, int(flags), asks, f"{name}:{node.lineno}"))
    return found, others


def compiled(methods):
    """The same of every compiled pattern that a module of dex holds, however deep in its tables."""

    def inside(value, depth=0):
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            yield value
        elif isinstance(value, (tuple, list, set, frozenset)) and depth < 4:
            for each in value:
                yield from inside(each, depth + 1)
        elif isinstance(value, dict) and depth < 4:
            for each in value.values():
                yield from inside(each, depth + 1)

    found = []
    for path in SOURCES:
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        if module.startswith("nodes.dbt.internals") or module.endswith(("_child", ".child", ".wsgi", ".asgi")):
            continue  # processes of their own, which import dbt and dlt; what is written in them is read as text
        for name, value in vars(importlib.import_module(module)).items():
            asks = methods.get(name, EVERY) if isinstance(value, re.Pattern) else EVERY
            for pattern in inside(value):
                flags = pattern.flags & (re.I | re.S | re.M | re.A)
                found.append((pattern.pattern, flags, asks, module))
    return found


def trees():
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in SOURCES}


def fed(patterns):
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps(patterns), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_pattern_is_done_with_a_hundred_kilobytes_of_hostile_text_at_once():
    known = trees()
    methods = methods_of(known)
    made = [(pattern, 0, [method], place) for place, pattern, method in sorted(PUT_TOGETHER) if pattern]
    asks, places = {}, {}
    for pattern, flags, of_it, place in [*written(known, methods)[0], *compiled(methods), *made]:
        asks.setdefault((pattern, flags), set()).update(of_it)
        places[(pattern, flags)] = place
    assert len(asks) > 80
    assert fed([(places[key], *key, sorted(of_it)) for key, of_it in asks.items()])["slow"] == []


def test_the_feeding_finds_patterns_that_are_not_linear():
    bad = [r"(a+)+$", r"\s*(.+?)\s+(in)(?:\s+(.*))?\s*$", r"[\w/]*/runs/\w*\d"]
    assert len(fed([("x", pattern, 0, EVERY) for pattern in bad])["slow"]) == 3


def test_patterns_that_are_put_together_are_known():
    _, others = written(trees(), {})
    assert others == {name for name, _, _ in PUT_TOGETHER}, "say in PUT_TOGETHER how such a pattern looks"


HOSTILE = ["/runs/" * 17_000, " " * 100_000, "a" * 100_000, "[" + ":" * 100_000, "1" * 100_000 + "x", "**/" * 30_000]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_user_types_or_a_warehouse_says_is_read_at_once(text, tmp_path):
    def row_filter():
        try:
            _condition(text + "in")
        except ValueError as error:
            assert len(str(error)) < 300

    def requirements():
        (tmp_path / "requirements.txt").write_text(text)
        try:
            read(tmp_path / "requirements.txt")
        except RequirementsError:
            pass

    for look in (
        lambda: normalise(text),
        lambda: first_error_line(text),
        lambda: identifier(text[:5000]),
        lambda: read_selector(text),
        row_filter,
        requirements,
    ):
        began = time.process_time()
        look()
        assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("line", "condition"),
    [
        ("amount > 5", {"column": "amount", "op": ">", "value": 5}),
        ("  amount   IS NOT NULL  ", {"column": "amount", "op": "is not null"}),
        ("state in a, b", {"column": "state", "op": "in", "value": ["a", "b"]}),
        ("the column not in 1, 2", {"column": "the column", "op": "not in", "value": [1, 2]}),
        ("name = 'in between'", {"column": "name", "op": "=", "value": "in between"}),
        (" " * 400 + "a = b", {"column": "a", "op": "=", "value": "b"}),
    ],
)
def test_row_filters_are_read_as_before(line, condition):
    assert _condition(line) == condition


def test_a_file_pattern_with_many_stars_is_matched_at_once():
    name = "/".join(["a"] * 30) + "/x.csv"
    began = time.process_time()
    assert not matches(name, "**/" * 8 + "*.parquet")
    assert matches(name, "**/" * 8 + "*.csv")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("line", "normalised"),
    [
        ("cannot open /srv/dex/runs/12/out.log: gone", "cannot open <path>: gone"),
        ("path=/x/sessions/a1/b, other", "path=<path>, other"),
        ("see /runs/list and models/targets/x", "see /runs/list and models/targets/x"),
        ("of 3-4 rows, 1.5e10 and 12abc 7th 2.5%", "of <n><n> rows, <n> and 12abc <n> <n>"),
        ("at [::1]:5432 and [a]", "at <address> and [a]"),
        ("12345x 12.3a", "12345x <n>.3a"),
    ],
)
def test_failures_are_still_told_apart(line, normalised):
    assert normalise(line) == normalised
