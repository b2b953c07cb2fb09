import pytest
from django.db.models.signals import post_migrate

from dexsite.roles import seed_roles
from runs.engine.heart import heart
from tests.chaos.servers import Postgres, postgres_programs, require

#: Files that take a minute or more, the longest first: begun last, one of them would be waited for alone.
LONG = (
    *("runs/test_dbt_runs", "chaos/test_dbt_faults", "chaos/test_faults", "test_up", "journeys/test_every_page"),
    *("journeys/test_watching", "journeys/test_editor", "runs/test_commands", "chaos/test_schedule_faults"),
    *("runs/test_environments_from_git", "test_access", "runs/test_scripts_in_runs", "runs/test_connections_in_runs"),
    *("chaos/test_engine_on_postgresql", "runs/test_variables_in_runs", "connectors/test_killed"),
    *("runs/test_state_machine", "connectors/test_databases", "runs/test_ticking_at_scale"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first; all else stays in its order."""
    place = {f"tests/{name}.py": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL cluster of its own, on a port of its own."""
    require(PostgreSQL=postgres_programs())
    server = Postgres(tmp_path / "servers")
    yield server
    server.stop("immediate")


@pytest.fixture(autouse=True)
def heart_that_does_not_look(request, monkeypatch):
    """The heart's thread cannot see what a test writes in a transaction, and would take its leases for lost."""
    mark = request.node.get_closest_marker("django_db")
    commits = {"transactional_db", "live_server"} & set(request.fixturenames) or (
        mark and mark.kwargs.get("transaction")
    )
    if not commits:
        monkeypatch.setattr(heart, "look", lambda: None)
        monkeypatch.setattr(heart, "beat", lambda: None)


def roles_again(sender, **kwargs):
    """A test that commits is followed by a flush, which takes what migrations seeded with it."""
    if sender.name == "runs":
        seed_roles()


post_migrate.connect(roles_again)
