"""The 319 recorded answers of dbt-core 1.11.16, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nodes.dbt.manifest import Manifest, decode
from nodes.dbt.selectors import select
from nodes.dbt.selectors.select import LISTED_TYPES
from tests.nodes.dbt.conftest import PROJECTS
from tests.nodes.dbt.dbt_oracle import Oracle

CASES = json.loads((PROJECTS / "cases.json").read_text())

#: dex has lists of values and no option beside them; `--selector NAME` is the value `selector:NAME`, of dbt 1.12.
NOT_APPLICABLE = {"--selector nightly --select stg_orders"}


def _question(arguments: list[str]) -> dict[str, Any]:
    """dbt's arguments in dex's words: a space separates values, and dbt's comma is dex's &."""
    lists: dict[str, list[str]] = {}
    option = ""
    for argument in arguments:
        if argument.startswith("--"):
            option = argument
        else:
            lists.setdefault(option, []).append(argument)
    lists.setdefault("--select", lists.pop("--models", []) if "--models" in lists else lists.get("--select", []))
    types = ["model"] if "--models" in arguments else lists.get("--resource-type")
    if "--exclude-resource-type" in lists:
        types = sorted(LISTED_TYPES - set(lists["--exclude-resource-type"]))

    if "--selector" in lists:
        lists["--select"] = [f"selector:{name}" for name in lists["--selector"]]

    def values(option: str) -> list[str]:
        return [value.replace(",", " & ") for text in lists.get(option, []) for value in text.split(" ")]

    return {
        "include": values("--select"),
        "exclude": values("--exclude"),
        "resource_types": types,
        "indirect_selection": lists.get("--indirect-selection", ["eager"])[0],
    }


def _name(case: dict[str, Any]) -> str:
    return " ".join(case["args"]) or "nothing"


APPLICABLE = [case for case in CASES if _name(case) not in NOT_APPLICABLE]


def test_all_recorded_cases_are_here() -> None:
    assert len(CASES) == 319
    assert len(CASES) - len(APPLICABLE) == len(NOT_APPLICABLE)


@pytest.fixture(scope="session")
def recorded(lab_manifest: Path) -> Manifest:
    """The project as if dbt 1.11.16 had parsed it: rules that differ by version are those of that version."""
    manifest = decode(lab_manifest.read_bytes())
    manifest.dbt_version = "1.11.16"
    return manifest


@pytest.fixture
def told(case: dict[str, Any], recorded: Manifest, lab: Manifest) -> Manifest:
    """The manifest that a case is about."""
    return lab if "--selector" in case["args"] else recorded


@pytest.mark.parametrize("case", APPLICABLE, ids=_name)
def test_dex_selects_what_dbt_selects(case: dict[str, Any], told: Manifest, oracle: Oracle) -> None:
    selection = select(told, project_dir=oracle.project, **_question(case["args"]))
    if "error" in case["result"]:
        assert selection.is_empty and selection.errors
    else:
        assert list(selection.ids) == sorted(case["result"])


@pytest.mark.parametrize("case", APPLICABLE, ids=_name)
def test_a_manifest_without_its_folder_gives_the_same(case: dict[str, Any], told: Manifest) -> None:
    selection = select(told, **_question(case["args"]))
    expected = [] if "error" in case["result"] else sorted(case["result"])
    assert list(selection.ids) == expected
