import os

import pytest

from runs.embedded import Engine


@pytest.fixture
def engine(transactional_db, settings):
    """A running embedded engine with fast clocks."""
    settings.HEARTBEAT_S, settings.SELF_FENCE_S, settings.LEASE_S = 0.5, 5, 10
    settings.SWEEP_S, settings.CANCEL_POLL_S = 0.5, 0.2
    settings.KILL_GRACE_S, settings.INFRA_BACKOFF_S = 3, 0
    running = Engine()
    running.start()
    yield running
    running.stop(grace=0)


@pytest.fixture
def postgres_profile(tmp_path):
    """profiles.yml on a PostgreSQL cluster of its own."""
    from tests.chaos.servers import Postgres, postgres_programs

    if postgres_programs() is None:
        message = "PostgreSQL is not installed: models on it are not tested"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    server = Postgres(tmp_path / "server")
    output = (
        f"{{type: postgres, host: 127.0.0.1, port: {server.port}, user: dex, password: unused, dbname: dex, "
        "schema: marts, threads: 2}"
    )
    yield f"small:\n  target: dev\n  outputs:\n    dev: {output}\n"
    server.stop("immediate")
