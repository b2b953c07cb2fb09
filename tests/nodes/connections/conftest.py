import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.servers import Postgres, postgres_programs, require
from tests.nodes.connections.loads import as_warehouse, ask_postgres


@pytest.fixture(scope="package")
def cluster() -> Iterator[Postgres]:
    """One PostgreSQL cluster for all of these tests; each makes its schemas anew."""
    require(PostgreSQL=postgres_programs())
    folder = Path(tempfile.mkdtemp(prefix="dex-cluster-"))  # the server's user must reach it to the end
    server = Postgres(folder / "servers")
    yield server
    server.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Each kind of destination, without anything of an earlier test in it."""
    if request.param == "duckdb":
        return {"type": "duckdb", "path": str(tmp_path / "warehouse.duckdb")}
    cluster = request.getfixturevalue("cluster")
    ask_postgres(cluster.url, "DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS shop_staging CASCADE")
    return as_warehouse(cluster)
