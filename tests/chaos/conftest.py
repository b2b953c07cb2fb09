import os
import shutil

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
    postgres, redis = Postgres(tmp_path / "servers"), None
    redis = Redis(tmp_path / "servers")
    dex = Installation(tmp_path / "home", DATABASE_URL=postgres.url, CELERY_BROKER_URL=redis.url)
    dex.postgres, dex.redis = postgres, redis
    dex.manage("migrate", "-v0")
    yield dex
    dex.close()
    redis.stop()
    postgres.stop("immediate")


@pytest.fixture
def embedded(tmp_path):
    """An installation without servers."""
    dex = Installation(tmp_path / "home")
    dex.manage("migrate", "-v0")
    yield dex
    dex.close()
