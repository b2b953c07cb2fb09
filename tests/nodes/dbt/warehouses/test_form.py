"""The fields of a warehouse on the page of an environment: what is saved is shown again, and saved again the same."""

import json

import pytest

from flows.models import Environment, Project
from tests.helpers.pages import Person
from tests.nodes.dbt.warehouses.adapter_lab import VARIANTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return Person("ada", "everything")


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    project = Project.objects.create(name="shop", path=str(tmp_path))
    return Environment.objects.create(project=project, name="main")


def address(environment):
    return f"/admin/flows/environment/{environment.pk}/change/"


def fields(kind, typed):
    named = {f"{kind}_{name}": value for name, value in typed.items() if value not in ("true", "false")}
    boxes = {f"{kind}_{name}": [] if value == "false" else "on" for name, value in typed.items()}
    return {"warehouse_type": kind, **named, **{n: v for n, v in boxes.items() if n not in named}}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_saved_is_shown_again_and_saving_it_again_changes_nothing(ada, environment, name):
    kind, typed, _ = VARIANTS[name]
    ada.fill(address(environment), **fields(kind, typed))
    environment.refresh_from_db()
    kept = environment.warehouse
    assert kept["type"] == kind
    for setting, value in typed.items():
        stored = kept[setting]
        assert (json.dumps(stored) if isinstance(stored, dict) else str(stored).lower()) == str(value).lower()
    ada.fill(address(environment), name="renamed")
    environment.refresh_from_db()
    assert (environment.name, environment.warehouse) == ("renamed", kept)


def test_another_type_keeps_nothing_of_the_one_before_and_profiles_yml_nothing_at_all(ada, environment):
    ada.fill(address(environment), **fields("snowflake", VARIANTS["snowflake-password"][1]))
    ada.fill(address(environment), **fields("postgres", VARIANTS["postgres"][1]))
    environment.refresh_from_db()
    assert set(environment.warehouse) == {"type", "host", "port", "user", "password", "dbname", "schema"}
    page = ada.fill(address(environment), warehouse_type="", target="dev")
    environment.refresh_from_db()
    assert environment.warehouse == {} and environment.target == "dev"
    page = ada.fill(address(environment), **fields("postgres", VARIANTS["postgres"][1]))
    assert "This warehouse does not use profiles.yml" in page.errors("target")[0]


def test_every_mistake_is_told_at_its_field_at_once(ada, environment):
    typed = {"account": "", "auth": "password", "password": "in-clear", "database": "D", "port": "x"}
    page = ada.fill(address(environment), **fields("snowflake", typed))
    assert page.errors("snowflake_account") == ["Account is required."]
    assert page.errors("snowflake_user") == ["User is required."]
    assert page.errors("snowflake_warehouse") == ["Virtual warehouse is required."]
    assert page.errors("snowflake_port") == ["This must be a whole number."]
    assert "refer to it here: {{ SNOWFLAKE_PASSWORD }}" in page.errors("snowflake_password")[0]
    environment.refresh_from_db()
    assert environment.warehouse == {}
