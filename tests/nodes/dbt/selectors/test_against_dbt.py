"""Random selections, made of the names of real projects, put to dex and to dbt."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.dbt.manifest import Manifest, decode
from nodes.dbt.selectors import STATES, Comparison, select
from tests.nodes.dbt.conftest import PROJECTS
from tests.nodes.dbt.dbt_oracle import Oracle
from tests.nodes.dbt.selectors.random_selectors import Vocabulary

pytestmark = pytest.mark.process

QUESTIONS_AN_EXAMPLE = 10
RELAXED = settings(
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


def _agree(oracle: Oracle, manifest: Manifest, questions: list[dict[str, Any]]) -> None:
    answers = oracle.ask([question["dbt"] for question in questions])
    for question, answer in zip(questions, answers, strict=True):
        selection = select(manifest, project_dir=oracle.project, **question["dex"])
        aborted = any(error.aborts for error in selection.errors)
        assert aborted == ("error" in answer), (question["dex"], answer)
        assert list(selection.ids) == answer.get("selected", []), question["dex"]
        if aborted:
            continue
        # what matched nothing is told: as a warning, or as the error of a value that dex refuses
        told = {warning.split("'")[1] for warning in selection.warnings if warning.endswith("matches nothing")}
        refused = {error.value for error in selection.errors}
        for term in answer["unmatched"]:
            named = term.replace(",", " & ")
            assert named in told or refused.intersection(term.split(",")), question["dex"]


@given(random=st.randoms(use_true_random=False))
@RELAXED
def test_random_selections_agree_with_dbt(random: Random, oracle: Oracle, lab: Manifest) -> None:
    vocabulary = Vocabulary(lab)
    _agree(oracle, lab, [vocabulary.question(random) for _ in range(QUESTIONS_AN_EXAMPLE)])


@given(random=st.randoms(use_true_random=False))
@RELAXED
def test_random_selections_of_metrics_functions_and_groups_agree_with_dbt(random: Random, wide_oracle: Oracle) -> None:
    manifest = _wide(wide_oracle)
    vocabulary = Vocabulary(manifest)
    _agree(wide_oracle, manifest, [vocabulary.question(random) for _ in range(QUESTIONS_AN_EXAMPLE)])


CORNERS = [
    "@fqn:orders",  # on-run-end depends on a model: dbt walks through the hook
    "path:models",  # also what a package keeps in a folder of the same name
    "models/schema.yml",
    "path:dbt_project.yml",
    "path:**",
    "path:models/**/",
    "path:models/*/orders",
    "package:lent",
    "lent.orders",
    "wide.staging.orders",
    "orders",
    "dim.v2",
    "dim_v2",
    "named.a",
    "dim*",
    "*.v1",
    "version:prerelease",
    "version:old",
    "resource_type:function",
    "resource_type:operation",
    "+saved_query:by_day",
    "metric:*+",
    "tag:unit_tag",
    "tag:daily",
    "group:fin*",
    "config.group:finance",
    "config.meta.items:hidden",
    "config.meta.levels:true",
    "config.meta.on:true",
    "config.meta.nest.deep:down",
    "config.meta.nothing:none",
    "config.unique_key:ds",
    "config.docs.show:False",
    "config.grants.select:ann",
    "config.contract.enforced:false",
    "config.custom_setting:hello",
    "config.lookback:1",
    "config.severity:wArN",
    "config.tags:daily",
    "test_name:is_fine",
    "test_type:data",
    "unit_test:wide.*",
    "file:double",
    "semantic_model:wide.revenue_semantics",
    "exposure:board+",
]


@pytest.mark.parametrize("mode", ["eager", "cautious", "buildable", "empty"])
def test_corners_agree_with_dbt(mode: str, wide_oracle: Oracle) -> None:
    manifest = _wide(wide_oracle)
    pairs = [(one, two) for one in CORNERS for two in ([], ["+revenue"], ["test_type:generic"])]
    common = {"indirect_selection": mode, "resource_types": ["all"]}
    questions = [{"include": [one], "exclude": two, **common} for one, two in pairs]
    questions += [{"include": [one + "+"], "exclude": [], **common} for one in CORNERS if not one.endswith("+")]
    _agree(wide_oracle, manifest, [{"dex": question, "dbt": question} for question in questions])


def test_at_walks_through_the_hooks_of_a_project(wide_oracle: Oracle) -> None:
    """A hook that refers to a model is downstream of it in dbt's graph, though it is never listed."""
    manifest = _wide(wide_oracle)
    assert manifest.children["model.wide.orders"][-1].startswith(("operation.", "test.", "unit_test.", "model."))
    assert any(child.startswith("operation.") for child in manifest.children["model.wide.orders"])


def test_what_changed_since_an_earlier_manifest_agrees_with_dbt(wide_oracle: Oracle, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    shutil.copy(wide_oracle.manifest, earlier / "manifest.json")
    changed = tmp_path / "project"
    shutil.copytree(PROJECTS / "wide", changed)
    _edit(changed / "models" / "staging" / "orders.sql", "select id", "select  id")
    _edit(changed / "models" / "schema.yml", "label: Sales", "label: All sales")
    _edit(changed / "models" / "schema.yml", "severity: WARN", "severity: error")
    _edit(changed / "models" / "schema.yml", "latest_version: 2", "latest_version: 3")
    _edit(changed / "models" / "schema.yml", "expr: id}]", "expr: id + 0}]")
    _edit(changed / "models" / "sources.yml", "- name: crm", "- name: crm\n    schema: elsewhere")
    _edit(
        changed / "models" / "marts" / "orders" / "revenue.sql",
        "group='finance'",
        "group='finance', schema='x'",
    )
    _edit(changed / "functions" / "double.sql", "val * 2", "val + val")
    _edit(changed / "seeds" / "sub" / "countries.csv", "1", "2")
    _edit(changed / "tests" / "generic" / "is_fine.sql", "select 1", "select 2")
    (changed / "models" / "marts" / "dim_v1.sql").rename(changed / "models" / "staging" / "dim_v1.sql")
    (changed / "models" / "staging" / "fresh.sql").write_text("select 1 as id -- {{ ref('orders') }}")
    (changed / "models" / "marts" / "dotted.name.sql").unlink()
    _edit(
        changed / "models" / "sources.yml",
        "  - name: erp",
        "  - name: novel\n    tables: [{name: x}]\n  - name: erp",
    )
    with Oracle(changed, tmp_path, state=earlier) as dbt:
        current = dbt.manifest.read_bytes()
        manifest = decode(current)
        comparison = Comparison(current, wide_oracle.manifest.read_bytes())
        values = [f"state:{sub}" for sub in STATES]
        questions = [{"include": [value], "exclude": [], "resource_types": ["all"]} for value in values]
        for question, answer in zip(questions, dbt.ask(questions), strict=True):
            selection = select(manifest, project_dir=dbt.project, previous=comparison, **question)
            assert list(selection.ids) == answer["selected"], question
        modified = select(manifest, ["state:modified"], previous=comparison, resource_types=["model"])
        assert "model.wide.orders" in modified and "model.wide.fresh" in modified


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new))


def _wide(oracle: Oracle) -> Manifest:
    """The manifest as it is used later: through its stored form."""
    return Manifest.from_compact(decode(oracle.manifest.read_bytes()).to_compact())
