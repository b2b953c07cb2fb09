from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from runs.engine.shutdown import draining
from runs.operations.embedded import Engine
from tests.helpers.servers import Postgres
from tests.runs.kinds.scripts import project, script_flow  # noqa: F401 - fixtures


@pytest.fixture
def engine(transactional_db: None, settings: Settings) -> Iterator[Engine]:
    """A running embedded engine with fast clocks, but leases as long as ever: here nobody dies without a word."""
    settings.HEARTBEAT_S, settings.SWEEP_S, settings.CANCEL_POLL_S = 0.5, 0.5, 0.2
    settings.KILL_GRACE_S, settings.INFRA_BACKOFF_S = 3, 0
    running = Engine()
    running.start()
    yield running
    running.stop(grace=0)
    draining.clear()  # this process goes on: the next test takes tasks again


@pytest.fixture
def postgres_profile(postgres: Postgres) -> str:
    """profiles.yml on a PostgreSQL cluster of its own."""
    output = (
        f"{{type: postgres, host: 127.0.0.1, port: {postgres.port}, user: dex, password: unused, dbname: dex, "
        "schema: marts, threads: 2}"
    )
    return f"small:\n  target: dev\n  outputs:\n    dev: {output}\n"
