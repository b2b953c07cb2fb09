import pytest
from django.db.models.signals import post_migrate

from dexsite.roles import seed_roles
from tests.chaos.servers import Postgres, postgres_programs, require


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL cluster of its own, on a port of its own."""
    require(PostgreSQL=postgres_programs())
    server = Postgres(tmp_path / "servers")
    yield server
    server.stop("immediate")


def roles_again(sender, **kwargs):
    """A test that commits is followed by a flush, which takes what migrations seeded with it."""
    if sender.name == "runs":
        seed_roles()


post_migrate.connect(roles_again)
