"""Two packages of a project with a model of the same name in the same folder: dex never takes one for the other."""

from pathlib import Path

import pytest

from nodes.dbt.manifest import decode
from nodes.dbt.parse import parse_project
from nodes.dbt.selectors import select
from nodes.dbt.selectors.reasons import resolve
from nodes.dbt.stored_manifests import manifest_of
from nodes.services.previews import suggestions
from tests.helpers.engines import make_flow, run_to_end, write_project
from tests.helpers.graphs import states
from tests.helpers.pages import Person
from tests.helpers.small_manifests import small_manifest

YML = "name: small\nprofile: small\nversion: '1.0'\nmodels: {other: {+schema: other}}\n"


@pytest.fixture
def twins(tmp_path) -> Path:
    """`staging.stg_orders` in the project and in its package `other`, where it is broken."""
    folder = write_project(
        tmp_path / "p",
        {
            "alone": "select * from {{ ref('small', 'stg_orders') }}",
            "below": "select * from {{ ref('other', 'stg_orders') }}",
        },
        dbt_project=YML,
        packages_yml="packages: [{local: other}]",
    )
    files = {
        "models/staging/stg_orders.sql": "select 1 as id",
        "other/models/staging/stg_orders.sql": "select nonsense",
        "other/dbt_project.yml": "name: other\nversion: '1.0'\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


OWN, OTHER = "small.staging.stg_orders", "other.staging.stg_orders"


def test_twins_have_two_names_on_the_page_of_a_run_in_messages_search_and_catalogue(engine, twins):
    flow = make_flow(twins)
    run = run_to_end(flow)
    assert states(run) == {OWN: "succeeded", OTHER: "failed", "alone": "succeeded", "below": "skipped"}
    assert run.task_runs.get(identifier="below").reason == f"upstream {OTHER} failed"
    person = Person("ada", "everything")
    page = person.open(f"/runs/{run.pk}/").html
    assert OWN in page and OTHER in page and page.count(">staging.stg_orders<") == 0
    found = person.open("/search/?q=stg_orders").response.json()
    hits = [hit["title"] for group in found["groups"] for hit in group["items"] if group["title"] == "Models"]
    assert hits == [OTHER, OWN]
    catalogue = person.open("/models/?q=stg_orders").html
    assert OWN in catalogue and OTHER in catalogue and ">staging.stg_orders<" not in catalogue
    tasks = flow.nodes.get().tasks
    assert tasks.get(identifier="below").depends_on == [OTHER] and tasks.get(identifier="alone").depends_on == [OWN]
    manifest = manifest_of(run.revision)
    assert [each["value"] for each in suggestions(manifest, "oth")] == [OTHER]
    assert select(manifest, [OTHER]).ids == ("model.other.stg_orders",)


def test_only_what_would_be_taken_for_another_has_its_package_in_front():
    manifest = small_manifest({"a": []}, sources=["a"])
    assert [row.identifier for row in manifest.rows] == ["a", "raw.a"]
    assert resolve(manifest, "a") == "model.shop.a"


def test_a_short_name_of_twins_means_that_of_the_project(twins):
    manifest = decode(parse_project(twins, home=twins.parent / "home").manifest_path.read_bytes())
    assert resolve(manifest, "staging.stg_orders") == "model.small.stg_orders"
    assert resolve(manifest, OTHER) == "model.other.stg_orders"
    assert len({row.identifier for row in manifest.rows}) == len(manifest)
