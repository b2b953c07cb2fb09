"""Values meant to bring dex down, or typed by leaning on a key: refused, or answered at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.dbt.manifest import Manifest, decode
from nodes.dbt.selectors import LIMITS, select
from runs.bench.select import synthetic_manifest
from tests.helpers.waiting import within

pytestmark = pytest.mark.exhaustive

#: Generous: a hang takes minutes, and the machine that runs the tests may be busy.
SECONDS = 20


@pytest.fixture(scope="module")
def large() -> Manifest:
    return Manifest.from_compact(decode(synthetic_manifest(5000)).to_compact())


HOSTILE = {
    "the same deep value ten thousand times": ["+tag:finance+"] * 10_000,
    "ten thousand names": [f"+finance_0_{n}+" for n in range(10_000)],
    "ten thousand tags that are not there": [f"+tag:x{n}+" for n in range(10_000)],
    "ten thousand wildcards": [f"*{n}*" for n in range(10_000)],
    "ten thousand intersections": [f"+tag:finance & {n}+tag:daily" for n in range(10_000)],
    "ten thousand depths": [f"{n}+tag:finance+{n}" for n in range(10_000)],
    "too many values": ["a"] * 100_000,
    "a long value": ["a" * 100_000],
    "a long list pasted as one value": [",".join(["tag:finance"] * 8_000)],
    "many operators": ["+" * 1_900 + "x"],
    "a deep number": ["9" * 1_900 + "+finance_0_0"],
    "nested wildcards": ["*a*" * 600, "fqn:" + "*a" * 900 + "b", "tag:" + "[a-z]*" * 300],
    "stars in a path": ["path:" + "**/" * 600 + "x", "path:" + "*/" * 900 + "x", "path:" + "*a" * 900],
    "open brackets": ["[" * 1_900, "[!" * 900, "tag:[]-a]", "fqn:[z-a]", "path:[[]", "file:[a[b]"],
    "many dots": ["." * 1_900, "a." * 900, "source:" + "." * 1_900],
    "many ampersands": ["&" * 1_900, "a&" * 900 + "a"],
    "many spaces": [" " * 1_900 + "x", "a " * 900],
    "odd characters": ["\0", "\x7f", "ü", "\u202eabc", "\U0001f600", "a\u00a0b", "\ud800"],
}


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("mode", ["eager", "buildable"])
def test_hostile_values_are_refused_or_answered_at_once(
    values: list[str], mode: str, large: Manifest, tmp_path: Path
) -> None:
    for include, exclude in ((values, []), (["finance_0_0"], values)):
        with within(SECONDS):
            selection = select(large, include, exclude, indirect_selection=mode, project_dir=tmp_path)
        assert selection.errors or selection.ids is not None


def test_too_many_values_are_refused_in_words(large: Manifest) -> None:
    selection = select(large, ["a"] * (LIMITS["command_values"] + 1))
    assert selection.is_empty and "10000 values" in str(selection.errors[0])


def test_too_much_computing_is_refused_in_words(large: Manifest) -> None:
    selection = select(large, HOSTILE["ten thousand wildcards"])
    assert selection.is_empty and "too long to evaluate" in str(selection.errors[0])


def test_a_path_never_looks_outside_the_project(lab: Manifest, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    project = tmp_path / "project"
    project.mkdir()
    assert select(lab, ["path:models"], project_dir=project).is_empty
    for value in ("path:../models", "path:models/../../models", "path:~/models"):
        assert select(lab, [value], project_dir=project).is_empty
    assert select(lab, [f"path:{tmp_path}/models"], project_dir=project).errors


def test_a_path_does_not_follow_links_behind_two_stars(lab: Manifest, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(tmp_path, target_is_directory=True)
    assert select(lab, ["path:models"], project_dir=tmp_path).ids
    assert select(lab, ["path:**/staging"], project_dir=tmp_path).is_empty
