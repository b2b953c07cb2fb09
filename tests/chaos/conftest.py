import os
import shutil
from contextlib import ExitStack

import pytest

from tests.chaos.servers import Installation, Postgres, Redis, postgres_programs


@pytest.fixture
def distributed(tmp_path):
    """An installation on PostgreSQL and Redis, migrated, without workers yet."""
    missing = [
        name
        for name, there in (("PostgreSQL", postgres_programs()), ("Redis", shutil.which("redis-server")))
        if not there
    ]
    if missing:
        message = f"{' and '.join(missing)} not installed: chaos on servers is not tested"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with ExitStack() as stack:
        postgres = Postgres(tmp_path / "servers")
        stack.callback(postgres.stop, "immediate")
        redis = Redis(tmp_path / "servers")
        stack.callback(lambda: redis.stop())
        dex = Installation(tmp_path / "home", DATABASE_URL=postgres.url, CELERY_BROKER_URL=redis.url)
        stack.callback(dex.close)
        dex.postgres, dex.redis = postgres, redis
        dex.manage("migrate", "-v0")
        yield dex


@pytest.fixture
def embedded(tmp_path):
    """An installation without servers."""
    dex = Installation(tmp_path / "home")
    dex.manage("migrate", "-v0")
    yield dex
    dex.close()
