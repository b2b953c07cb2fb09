"""`manage.py select`, as scripts use it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.nodes.dbt.conftest import PROJECTS

pytestmark = pytest.mark.process


def _select(*arguments: str | Path, manifest: Path | None = None) -> tuple[Any, str, int]:
    """(what stdout holds as JSON, stderr, exit code)."""
    out, err = StringIO(), StringIO()
    code = 0
    given = ["--project", PROJECTS / "project", *(["--manifest", manifest] if manifest else []), *arguments]
    try:
        call_command("select", *[str(argument) for argument in given], stdout=out, stderr=err)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    return json.loads(out.getvalue()), err.getvalue(), code


def test_json_holds_the_selected_ids_alone_on_stdout(lab_manifest: Path) -> None:
    answer, _, code = _select(
        "--include", "tag:mart", "--exclude", "tag:revenue", "--resource-type", "model", "--format", "json",
        manifest=lab_manifest,
    )  # fmt: skip
    assert answer == {
        "selected": ["model.lab.mart_customers", "model.lab.mart_margin", "model.lab.mart_orders"],
        "warnings": [],
        "errors": [],
    }
    assert code == 0


def test_a_comma_means_and_a_space_or_and_options_may_be_repeated(lab_manifest: Path) -> None:
    common = ("--resource-type", "model", "--format", "json")
    both, _, _ = _select("--include", "tag:revenue,mart_revenue", *common, manifest=lab_manifest)
    assert both["selected"] == ["model.lab.mart_revenue"]
    none, _, _ = _select("--include", "tag:revenue,stg_orders", *common, manifest=lab_manifest)
    assert none["selected"] == []
    once, _, _ = _select("--include", "tag:revenue stg_orders", *common, manifest=lab_manifest)
    twice, _, _ = _select("--include", "tag:revenue", "--include", "stg_orders", *common, manifest=lab_manifest)
    assert once["selected"] == twice["selected"] == ["model.lab.mart_revenue", "model.lab.stg_orders"]


def test_a_refused_value_is_an_error_and_exit_code_one(lab_manifest: Path) -> None:
    answer, err, code = _select("--include", "tga:mart", "--format", "json", manifest=lab_manifest)
    assert answer["selected"] == [] and "Did you mean tag:mart?" in answer["errors"][0]
    assert "Did you mean" in err and code == 1


def test_nothing_found_is_a_warning_and_exit_code_zero(lab_manifest: Path) -> None:
    answer, _, code = _select("--include", "tag:nothing", "--format", "json", manifest=lab_manifest)
    assert answer == {"selected": [], "warnings": ["'tag:nothing' matches nothing"], "errors": []}
    assert code == 0


def test_why_explains_one_resource(lab_manifest: Path) -> None:
    answer, _, _ = _select(
        "--include", "+mart_margin", "--why", "staging.stg_orders", "--format", "json", manifest=lab_manifest
    )
    assert answer["why"][0].startswith("+mart_margin matches marts.finance.mart_margin; it is upstream")


def test_a_table_is_for_people(lab_manifest: Path) -> None:
    out, err = StringIO(), StringIO()
    call_command(
        "select",
        f"--project={PROJECTS / 'project'}",
        f"--manifest={lab_manifest}",
        "--include=mart_margin",
        "--resource-type=model",
        "--format=table",
        stdout=out,
        stderr=err,
    )
    assert out.getvalue().split() == [
        "model",
        "marts.finance.mart_margin",
        "models/marts/finance/mart_margin.sql",
    ]
    assert "1 selected" in err.getvalue()


def test_cases_are_answered_in_one_go(lab_manifest: Path, tmp_path: Path) -> None:
    cases = [
        {"include": ["tag:revenue"], "resource_types": ["model"], "note": "kept"},
        {"include": ["stg_orders"], "indirect_selection": "empty"},
        {"include": ["tga:x"]},
        {"exclude": ["resource_type:test"], "resource_types": None, "include": None},
        {},
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    answers, _, code = _select("--cases", tmp_path / "cases.json", manifest=lab_manifest)
    assert code == 0 and len(answers) == len(cases)
    assert answers[0] == {**cases[0], "selected": ["model.lab.mart_revenue"], "warnings": [], "errors": []}
    assert answers[1]["selected"] == ["model.lab.stg_orders"]
    assert answers[2]["selected"] == [] and answers[2]["errors"]
    assert set(answers[3]["selected"]) < set(answers[4]["selected"])


def test_earlier_results_and_an_earlier_manifest_can_be_given(lab_manifest: Path, tmp_path: Path) -> None:
    results = {"results": [{"unique_id": "model.lab.mart_orders", "status": "error", "thread_id": "x"}]}
    (tmp_path / "run_results.json").write_text(json.dumps(results))
    answer, _, _ = _select(
        "--include", "result:error", "--results", tmp_path / "run_results.json", "--resource-type", "model",
        "--format", "json", manifest=lab_manifest,
    )  # fmt: skip
    assert answer["selected"] == ["model.lab.mart_orders"]
    answer, _, _ = _select(
        "--include", "state:modified", "--state", lab_manifest, "--format", "json", manifest=lab_manifest
    )
    assert answer["selected"] == [] and not answer["errors"]


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '{"include": []}', '[{"include": "x"}]'])
def test_a_cases_file_that_cannot_be_read_is_an_error(content: str, lab_manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(content)
    answer, _, code = _select("--cases", tmp_path / "cases.json", "--format", "json", manifest=lab_manifest)
    assert "cases file" in answer["errors"][0] and code == 1


def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    answer, _, code = _select("--format", "json", manifest=tmp_path / "manifest.json")
    assert answer["selected"] == [] and "not a manifest" in answer["errors"][0] and code == 1


def test_without_a_manifest_the_project_is_parsed_with_dbt(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\nversion: '1.0'\n")
    (folder / "models" / "a.sql").write_text("select 1 as id")
    out, err = StringIO(), StringIO()
    call_command("select", f"--project={folder}", "--include=a", stdout=out, stderr=err)
    assert json.loads(out.getvalue())["selected"] == ["model.shop.a"]
    assert "Parsing" in err.getvalue()
    (folder / "models" / "b.sql").write_text("select * from {{ ref('nowhere') }}")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("select", f"--project={folder}", stdout=out, stderr=err)
    assert "nowhere" in json.loads(out.getvalue())["errors"][0]
    assert sorted(path.name for path in folder.iterdir()) == ["dbt_project.yml", "models"]  # nothing was written
