import shutil

import pytest

from tests.chaos.servers import Installation, Redis, require


@pytest.fixture
def redis(tmp_path):
    """A Redis server of its own, on a port of its own."""
    require(Redis=shutil.which("redis-server"))
    server = Redis(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def distributed(tmp_path, postgres, redis):
    """An installation on PostgreSQL and Redis, migrated, without workers yet."""
    dex = Installation(tmp_path / "home", DATABASE_URL=postgres.url, CELERY_BROKER_URL=redis.url)
    dex.postgres, dex.redis = postgres, redis
    try:
        dex.manage("migrate", "-v0")
        yield dex
    finally:
        dex.close()


@pytest.fixture
def embedded(tmp_path):
    """An installation without servers."""
    dex = Installation(tmp_path / "home")
    dex.manage("migrate", "-v0")
    yield dex
    dex.close()
