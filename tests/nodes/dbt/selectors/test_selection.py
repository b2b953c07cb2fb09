"""Include, exclude, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.dbt.manifest import Manifest, decode
from nodes.dbt.selectors import Comparison, select

MODELS = ["model"]


def _models(manifest: Manifest, include: list[str], exclude: list[str] | None = None) -> set[str]:
    selection = select(manifest, include, exclude or [], resource_types=MODELS)
    return {manifest.resources[unique_id].identifier for unique_id in selection.ids}


# (include, exclude, what is selected); the first two rows are the examples of the guide
TABLE = [
    (
        ["tag:staging"],
        [],
        {"staging.eph_orders", "staging.stg_customers", "staging.stg_orders", "staging.stg_payments"},
    ),
    (
        ["tag:mart"],
        ["tag:revenue"],
        {"marts.core.mart_customers", "marts.core.mart_orders", "marts.finance.mart_margin"},
    ),
    (["tag:finance & tag:revenue"], [], {"marts.finance.mart_revenue"}),
    (
        ["tag:finance", "stg_orders"],
        [],
        {"marts.finance.mart_margin", "marts.finance.mart_revenue", "staging.stg_orders"},
    ),
    (["tag:finance,tag:revenue"], [], {"marts.finance.mart_revenue"}),
    (["tag:finance,stg_orders"], [], set()),
    (["+mart_margin"], ["+mart_orders"], {"marts.finance.mart_margin", "marts.finance.mart_revenue"}),
    (["tag:mart"], ["*"], set()),
]


@pytest.mark.parametrize(("include", "exclude", "expected"), TABLE)
def test_selected_is_include_without_exclude(
    include: list[str], exclude: list[str], expected: set[str], lab: Manifest
) -> None:
    assert _models(lab, include, exclude) == expected


def test_an_empty_include_means_everything(lab: Manifest) -> None:
    everything = select(lab, [], resource_types=MODELS)
    assert everything.ids == select(lab, None, resource_types=MODELS).ids
    assert set(everything.ids) == {uid for uid, row in lab.resources.items() if row.resource_type == "model"}


def test_without_types_analyses_and_hooks_are_not_listed(lab: Manifest) -> None:
    listed = {lab.resources[unique_id].resource_type for unique_id in select(lab, []).ids}
    assert "source" in listed and "analysis" not in listed
    assert "analysis" in {lab.resources[uid].resource_type for uid in select(lab, [], resource_types=["all"]).ids}


def test_a_value_that_matches_nothing_is_named(lab: Manifest) -> None:
    selection = select(lab, ["tag:mart", "tag:nothing", "nope & tag:mart"], ["tag:never"])
    assert [warning for warning in selection.warnings if "nothing" in warning] == [
        "'tag:nothing' matches nothing",
        "'nope & tag:mart' matches nothing",
        "'tag:never' matches nothing",
    ]
    assert not selection.errors and not selection.is_empty


def test_an_empty_selection_is_no_error_of_a_value(lab: Manifest) -> None:
    selection = select(lab, ["tag:nothing"])
    assert selection.is_empty and not selection.errors


def test_a_refused_value_gives_nothing_and_leaves_the_others_alone(lab: Manifest) -> None:
    selection = select(lab, ["++stg_orders", "mart_margin"], resource_types=MODELS)
    assert selection.ids == ("model.lab.mart_margin",)
    (error,) = selection.errors
    assert error.value == "++stg_orders" and not selection.warnings


def test_a_value_on_which_dbt_stops_empties_the_selection(lab: Manifest) -> None:
    selection = select(lab, ["mart_margin"], ["tga:x"])
    assert selection.is_empty and "Did you mean tag:x?" in str(selection.errors[0])


def test_an_unknown_type_or_mode_is_an_error(lab: Manifest) -> None:
    assert "not a resource type" in str(select(lab, ["*"], resource_types=["modle"]).errors[0])
    assert "not a mode" in str(select(lab, ["*"], indirect_selection="lazy").errors[0])


def test_results_of_an_earlier_run_select(lab: Manifest) -> None:
    results = {"model.lab.mart_orders": "error", "model.lab.stg_orders": "success", "model.gone": "error"}
    assert select(lab, ["result:error"], resource_types=MODELS, results=results).ids == ("model.lab.mart_orders",)
    assert select(lab, ["result:error+"], resource_types=MODELS, results=results).ids == (
        "model.lab.mart_customers",
        "model.lab.mart_margin",
        "model.lab.mart_orders",
        "model.lab.mart_revenue",
    )


@pytest.mark.parametrize("value", ["state:modified", "result:error", "source_status:fresher"])
def test_a_comparison_without_an_earlier_run_is_an_error(value: str, lab: Manifest) -> None:
    selection = select(lab, [value])
    assert selection.is_empty and selection.errors[0].value == value


def test_an_earlier_manifest_that_cannot_be_read_is_an_error(lab: Manifest) -> None:
    selection = select(lab, ["state:new"], previous=Comparison(b"{}", b"nothing"))
    assert selection.is_empty and "cannot be read" in str(selection.errors[0])


def test_membership_can_be_asked_by_unique_id(lab: Manifest) -> None:
    selection = select(lab, ["mart_margin"])
    assert "model.lab.mart_margin" in selection and "model.lab.stg_orders" not in selection
    assert "model.gone" not in selection and len(selection) == len(selection.ids)


NAMED = [
    ("selector:night*", "1.12.6", ""),
    ("selector:nope", "1.12.6", "No selector has the name 'nope'. selectors.yml has around_customers, "),
    ("selector:nightly", "1.11.16", "not available as a method before dbt 1.12"),
    ("selector:loop", "1.12.6", "This selector refers to itself. Correct selectors.yml"),
    ("selector:odd", "1.12.6", "selectors.yml has 'banana', which is not a method"),
    ("selector:two", "1.12.6", "'a b' in selectors.yml: It is more than one value"),
]


@pytest.mark.parametrize(("value", "release", "message"), NAMED)
def test_a_selector_of_selectors_yml_is_a_value_from_dbt_1_12_on(
    value: str, release: str, message: str, lab_manifest: Path
) -> None:
    manifest = decode(lab_manifest.read_bytes())
    manifest.dbt_version = release
    manifest.selectors.update(
        loop={"definition": {"union": ["tag:mart", {"method": "selector", "value": "loop"}]}},
        odd={"definition": {"banana": "x"}},
        two={"definition": "a b"},
    )
    selection = select(manifest, [value], resource_types=MODELS)
    assert (not selection.errors, selection.is_empty) == (not message, bool(message))
    assert message in " ".join(str(error) for error in selection.errors)


def test_a_project_without_selectors_yml_says_so(lab_manifest: Path) -> None:
    manifest = decode(lab_manifest.read_bytes())
    manifest.selectors.clear()
    assert "The project has no selectors.yml" in str(select(manifest, ["selector:nightly"]).errors[0])


@pytest.mark.parametrize(("release", "leaves"), [("1.10.23", 0), ("1.11.16", 4), ("1.12.5", 0), ("1.12.6", 4)])
def test_a_wildcard_finds_names_in_folders_from_the_release_on_in_which_dbt_does(
    release: str, leaves: int, lab_manifest: Path
) -> None:
    manifest = decode(lab_manifest.read_bytes())
    manifest.dbt_version = release
    assert len(select(manifest, ["stg_*"], resource_types=MODELS)) == leaves
