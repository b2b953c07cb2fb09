"""Why is this selected, and why is that not?"""

from __future__ import annotations

import pytest

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors import Reason, explain, obstacles, resolve, select
from nodes.dbt.selectors.answers import explained

MODELS = ["model"]


def test_a_matched_model_names_the_value(lab: Manifest) -> None:
    selection = select(lab, ["tag:mart", "tag:finance"])
    assert explain(selection, "model.lab.mart_margin") == [
        Reason("tag:mart", "tag:mart", "matched", "model.lab.mart_margin", ("model.lab.mart_margin",)),
        Reason("tag:finance", "tag:finance", "matched", "model.lab.mart_margin", ("model.lab.mart_margin",)),
    ]


def test_an_upstream_model_shows_the_way_of_refs_from_the_matched_one(lab: Manifest) -> None:
    (reason,) = explain(select(lab, ["+mart_margin"]), "staging.stg_orders")
    assert reason.how == "upstream" and reason.matched == "model.lab.mart_margin"
    assert reason.path == (
        "model.lab.mart_margin",
        "model.lab.mart_revenue",
        "model.lab.mart_orders",
        "model.lab.eph_orders",
        "model.lab.stg_orders",
    )
    for down, up in zip(reason.path, reason.path[1:], strict=False):
        assert up in lab.parents[down]


def test_a_downstream_model_shows_the_way_too(lab: Manifest) -> None:
    (reason,) = explain(select(lab, ["source:raw.orders+"]), "mart_margin")
    assert reason.how == "downstream" and reason.path[0] == "source.lab.raw.orders"
    for up, down in zip(reason.path, reason.path[1:], strict=False):
        assert down in lab.children[up]


def test_the_at_operator_shows_the_way_down_and_up_again(lab: Manifest) -> None:
    (reason,) = explain(select(lab, ["@stg_payments"]), "staging.stg_orders")
    assert reason.how == "around"
    assert (reason.path[0], reason.path[-1]) == ("model.lab.stg_payments", "model.lab.stg_orders")


def test_both_halves_of_an_and_are_named(lab: Manifest) -> None:
    reasons = explain(select(lab, ["tag:mart & +mart_margin"]), "mart_orders")
    assert [(reason.value, reason.atom, reason.how) for reason in reasons] == [
        ("tag:mart & +mart_margin", "tag:mart", "matched"),
        ("tag:mart & +mart_margin", "+mart_margin", "upstream"),
    ]


def test_a_test_names_the_model_that_brought_it(lab: Manifest) -> None:
    selection = select(lab, ["stg_orders"])
    test = next(unique_id for unique_id in selection.ids if "relationships_stg_orders" in unique_id)
    (reason,) = explain(selection, test)
    assert reason.how == "test" and reason.because == ("model.lab.stg_orders",)
    assert reason.path == ("model.lab.stg_orders", test)


def test_a_test_that_needed_two_values_names_both(lab: Manifest) -> None:
    selection = select(lab, ["stg_orders", "stg_customers"], indirect_selection="cautious")
    test = next(unique_id for unique_id in selection.ids if "relationships_stg_orders" in unique_id)
    assert {reason.value for reason in explain(selection, test)} == {"stg_orders", "stg_customers"}


def test_an_empty_include_is_reason_enough(lab: Manifest) -> None:
    (reason,) = explain(select(lab, []), "mart_margin")
    assert reason.how == "everything"


def test_every_selected_resource_has_a_reason_and_no_other_has(lab: Manifest) -> None:
    for mode in ("eager", "cautious", "buildable", "empty"):
        selection = select(
            lab,
            ["+tag:finance+", "stg_customers", "@dim", "tag:pkg & uses_*"],
            ["1+mart_margin"],
            indirect_selection=mode,
        )
        for unique_id in lab.resources:
            assert bool(explain(selection, unique_id)) == (unique_id in selection)
            assert bool(obstacles(selection, unique_id)) == (unique_id not in selection)


@pytest.mark.parametrize(
    ("include", "exclude", "name", "what", "said"),
    [
        (["tag:mart"], [], "mart_ordrs", "unknown", "mart_orders"),
        (["tag:mart"], [], "disabled_model", "disabled", "models/staging/disabled_model.sql"),
        (["mart_margin"], [], "mart_orders", "not matched", "+mart_margin would select it"),
        (["stg_orders"], [], "mart_orders", "not matched", "stg_orders+ would select it"),
        (["tag:mart"], ["+mart_margin"], "mart_orders", "excluded", "+mart_margin"),
        (["tag:mart", "source:*"], [], "raw.orders", "resource type", "source"),
        (["tga:mart"], [], "mart_orders", "error", "Did you mean"),
    ],
)
def test_the_reason_why_a_resource_is_not_selected_is_shown(
    include: list[str], exclude: list[str], name: str, what: str, said: str, lab: Manifest
) -> None:
    found = obstacles(select(lab, include, exclude, resource_types=MODELS), name)
    assert [obstacle.what for obstacle in found] == [what]
    assert said in f"{found[0].message} {found[0].hint}"


def test_an_excluded_model_shows_the_way_from_the_excluding_value(lab: Manifest) -> None:
    (obstacle,) = obstacles(select(lab, ["tag:staging"], ["+mart_orders"]), "stg_orders")
    assert obstacle.reason is not None and obstacle.reason.path[0] == "model.lab.mart_orders"


def test_a_resource_is_found_by_id_identifier_or_name(lab: Manifest) -> None:
    for name in ("model.lab.stg_orders", "staging.stg_orders", "stg_orders"):
        assert resolve(lab, name) == "model.lab.stg_orders"
    assert resolve(lab, "nobody") is None


def test_reasons_can_be_shown_in_words(lab: Manifest) -> None:
    selection = select(lab, ["+mart_margin"], resource_types=MODELS)
    assert explained(selection, "mart_revenue") == [
        "+mart_margin matches marts.finance.mart_margin; it is upstream: "
        "marts.finance.mart_margin -> marts.finance.mart_revenue"
    ]
    assert explained(selection, "nobody_knows")[0].startswith("Not selected.")
    assert explained(select(lab, []), "mart_revenue") == ["Include is empty, so everything is selected"]
