"""A connection node in an environment whose warehouse connections cannot load into: Save says why not."""

import pytest

from nodes.connections.services import ConnectionProblem, destination_of
from nodes.dbt.warehouses.registry import WAREHOUSES, refusal_of
from nodes.models import Connection
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return Person("ada", "everything")


@pytest.fixture
def flow():
    flow = sample_flow()
    Connection.objects.create(
        project=flow.environment.project, name="shop", connector="sql_database", dataset="raw", streams=["orders"]
    )
    return flow


def save(person, flow):
    """What a person reads after saving a node that loads the connection."""
    page = person.open(f"/flows/{flow.pk}/nodes/new/connection/")
    form = next(form for form in page.forms if "runs_after" in form.fields or "version" in form.fields)
    return person.post(page, form, {"name": "Load", "connection": "shop", "streams": "orders"}).html


def test_a_node_that_loads_into_snowflake_is_refused_with_the_reason_and_one_into_duckdb_is_saved(ada, flow):
    environment = flow.environment
    environment.warehouse = {"type": "snowflake", "account": "a"}
    environment.save()
    said = save(ada, flow)
    assert "Connections cannot load into Snowflake: dex has not been tested with it" in said
    assert "declare them as sources" in said and not flow.nodes.exists()
    environment.warehouse = {}
    environment.save()
    save(ada, flow)
    assert flow.nodes.get().kind == "connection"


def test_the_type_of_the_projects_own_profile_counts_too(ada, flow):
    revision = flow.environment.current_revision
    revision.warehouse = {**revision.warehouse, "type": "trino"}
    revision.save()
    said = save(ada, flow)
    assert "Connections cannot load into Trino: dlt, the library that loads them, has no destination for it." in said


def test_every_warehouse_says_whether_connections_load_into_it():
    assert {kind for kind in WAREHOUSES if not refusal_of(kind)} == {"duckdb", "postgres"}
    assert refusal_of("") == "" and "does not know this warehouse" in refusal_of("teradata")


def test_a_run_is_told_the_same(flow, monkeypatch):
    from nodes.connections import services
    from nodes.dbt.profiles import Profile

    monkeypatch.setattr(services, "profile_of", lambda revision: Profile("p", "t", "bigquery", 1, None))
    with pytest.raises(ConnectionProblem, match="Connections cannot load into BigQuery"):
        destination_of(flow.environment.current_revision)
