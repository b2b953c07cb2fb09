"""What a person sees while typing selectors: the models, why each is in, why another is not, and suggestions."""

import pytest

from flows.variables.values import save_variable
from nodes.dbt.stored_manifests import manifest_of
from nodes.models import Expansion, Node, Task
from nodes.services import save_node
from nodes.services.previews import preview, suggestions
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db


@pytest.fixture
def flow():
    return sample_flow("Daily shop")


def shown(flow, include=(), exclude=(), ask="", **fields):
    node = Node(flow=flow, include=list(include), exclude=list(exclude), **fields)
    return preview(node, flow.environment.current_revision, ask)


def models(found):
    return [row.identifier for row in found.rows]


def test_the_guides_two_examples(flow):
    assert models(shown(flow, ["tag:staging"])) == [
        "staging.stg_customers",
        "staging.stg_orders",
        "staging.stg_payments",
    ]
    assert models(shown(flow, ["tag:mart"], ["tag:revenue"])) == ["marts.mart_customers", "marts.mart_orders"]


def test_a_selector_may_name_a_variable_of_the_environment(flow):
    save_variable(flow.environment.project, None, "LAYER", "staging", secret=False)
    assert len(models(shown(flow, ["tag:{{ LAYER }}"]))) == 3
    assert shown(flow, ["tag:{{ LAYR }}"]).errors == ["There is no variable LAYR. Did you mean LAYER?"]


def test_every_model_says_why_it_is_in(flow):
    why = {row.identifier: row.why for row in shown(flow, ["+mart_orders", "tag:revenue"]).rows}
    assert why["marts.mart_orders"] == "+mart_orders"
    assert why["staging.stg_orders"] == "+mart_orders: stg_orders → mart_orders"
    assert why["marts.mart_revenue"] == "tag:revenue"
    assert {row.why for row in shown(flow).rows} == {"Include is empty: all models"}


def test_every_chip_says_what_it_gives_by_itself(flow):
    chips = {
        chip.value: (chip.count, bool(chip.warning), bool(chip.error))
        for chip in shown(flow, ["tag:mart", "nope", "tga:x"]).chips
    }
    assert chips == {"tag:mart": (3, False, False), "nope": (0, True, False), "tga:x": (None, False, True)}


def test_why_another_model_is_not_in(flow):
    assert shown(flow, ["tag:mart"], ["tag:revenue"], ask="mart_revenue").why_not == [
        "mart_revenue is not included. 'tag:revenue' in the exclude list removes it."
    ]
    assert shown(flow, ["mart_orders"], ask="stg_orders").why_not == [
        "stg_orders is not included. Nothing in the include list matches it. It is upstream: +mart_orders would "
        "select it."
    ]
    (unknown,) = shown(flow, ["mart_orders"], ask="stg_order").why_not
    assert (
        unknown.startswith("The project has nothing called 'stg_order'. Did you mean stg_orders")
        and "?." not in unknown
    )
    assert shown(flow, ["mart_orders"], ask="mart_orders").why_not == ["mart_orders is included: mart_orders."]


def test_tasks_that_the_command_does_not_run_are_shown_as_such(flow):
    found = shown(flow, ["raw_orders", "stg_orders"], command="run")
    assert [(row.identifier, row.runs) for row in found.rows] == [("staging.stg_orders", True), ("raw_orders", False)]
    assert found.total == "1 model"


def test_a_model_in_two_nodes_is_reported(flow):
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    assert {row.also_in for row in shown(flow, ["stg_orders"]).rows} == {"Staging"}


def test_a_preview_writes_nothing(flow):
    person = Person("ada", "everything")
    page = person.open(f"/flows/{flow.pk}/nodes/new/transformation/")
    (address,) = [part.split('"')[1] for part in page.html.split("hx-post=")[1:] if "/preview/" in part]
    token = page.form("node-form").fields["csrfmiddlewaretoken"][0]
    answer = person.client.post(address, {"include": "tag:staging", "csrfmiddlewaretoken": token})
    assert "staging.stg_orders" in answer.content.decode()
    assert not Node.objects.exists() and not Task.objects.exists() and not Expansion.objects.exists()


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("tag:", "tag:mart"),
        ("+tag:st", "+tag:staging"),
        ("2+mart_o", "2+mart_orders"),
        ("@stg", "@stg_customers"),
        ("path:models/m", "path:models/marts"),
        ("MART_REV", "mart_revenue"),
        ("orders", "tag:orders"),
        ("sour", "source:payment_provider"),
    ],
)
def test_suggestions_keep_the_operators_and_begin_with_what_fits_best(flow, typed, first):
    manifest = manifest_of(flow.environment.current_revision)
    assert suggestions(manifest, typed)[0]["value"] == first


def test_an_unknown_name_gets_no_suggestions(flow):
    assert suggestions(manifest_of(flow.environment.current_revision), "zzz") == []
