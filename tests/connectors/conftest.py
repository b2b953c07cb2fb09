import shutil
import tempfile
from pathlib import Path

import pytest

from tests.chaos.servers import Postgres, postgres_programs, require


@pytest.fixture(scope="package")
def cluster():
    """One PostgreSQL cluster for all of these tests; each makes its schemas anew."""
    require(PostgreSQL=postgres_programs())
    folder = Path(tempfile.mkdtemp(prefix="dex-cluster-"))  # the server's user must reach it to the end
    server = Postgres(folder / "servers")
    yield server
    server.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)
