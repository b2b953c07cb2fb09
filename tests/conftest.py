import pytest

from tests.chaos.servers import Postgres, postgres_programs, require


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL cluster of its own, on a port of its own."""
    require(PostgreSQL=postgres_programs())
    server = Postgres(tmp_path / "servers")
    yield server
    server.stop("immediate")
