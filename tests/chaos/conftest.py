import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.servers import Installation, Postgres, Redis, postgres_programs, require

Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis server of its own, on a port of its own."""
    require(Redis=shutil.which("redis-server"))
    server = Redis(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes an installation whose database has its tables, by copying one that all workers of the suite share."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared

    def once(name: str, make: Callable[[Path], None]) -> Path:
        """The folder that `make` filled, whoever came first."""
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (done := shared / f"{name}.done").exists():
                make(shared / name)
                done.touch()
        return shared / name

    return once


@pytest.fixture
def distributed(tmp_path: Path, migrated: Once, redis: Redis) -> Iterator[Installation]:
    """An installation on PostgreSQL and Redis, migrated, without workers yet."""
    require(PostgreSQL=postgres_programs())
    postgres = Postgres(tmp_path / "servers", like=migrated("cluster", migrate_cluster) / "pg")
    dex = Installation(tmp_path / "home", DATABASE_URL=postgres.url, CELERY_BROKER_URL=redis.url)
    dex.postgres, dex.redis = postgres, redis
    yield dex
    dex.close()
    postgres.stop("immediate")


@pytest.fixture
def embedded(tmp_path: Path, migrated: Once) -> Iterator[Installation]:
    """An installation without servers."""
    shutil.copytree(migrated("embedded", migrate_home), tmp_path / "home")
    dex = Installation(tmp_path / "home")
    yield dex
    dex.close()


def migrate_cluster(folder: Path) -> None:
    server = Postgres(folder)
    dex = Installation(folder / "home", DATABASE_URL=server.url, CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    dex.manage("migrate", "-v0")
    dex.close()
    server.stop()


def migrate_home(folder: Path) -> None:
    dex = Installation(folder)
    dex.manage("migrate", "-v0")
    dex.close()
