import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate

from flows.roles import seed_roles
from runs.engine.leases import keeper
from tests.helpers import parses
from tests.helpers.servers import Postgres, postgres_programs, require

if settings.DATABASE_FILE is not None:  # a test's database need not survive the machine
    options = settings.DATABASES["default"]["OPTIONS"]
    options["init_command"] = options["init_command"].replace("synchronous=NORMAL", "synchronous=OFF")

# Each test client has middleware of its own, and whitenoise would list all static files for each: 0.3 s.
settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> None:
    """What was parsed once is not parsed again."""
    parses.install()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A PostgreSQL cluster of its own, on a port of its own."""
    require(PostgreSQL=postgres_programs())
    server = Postgres(tmp_path / "servers")
    yield server
    server.stop("immediate")


@pytest.fixture(autouse=True)
def leases_without_a_thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that renews leases cannot see what is written in a transaction, and would take it for lost."""
    mark = request.node.get_closest_marker("django_db")
    commits = {"transactional_db", "live_server"} & set(request.fixturenames) or (
        mark and mark.kwargs.get("transaction")
    )
    if not commits:
        monkeypatch.setattr(keeper, "poll", lambda: None)
        monkeypatch.setattr(keeper, "renew", lambda: None)


TESTS = Path(__file__).parent
#: Fixtures that start processes, or need them.
PROCESSES = {"engine", "postgres", "postgres_profile", "redis", "distributed", "embedded", "live_server", "machine"}
DATABASES = {"db", "transactional_db"}


def is_slow(item: Any) -> bool:
    """Whether a test starts a whole installation and waits for it."""
    return tier_of(item) == "chaos" or item.path.name == "test_up.py"


def tier_of(item: Any) -> str:
    """Which of the tiers a test belongs to: chaos, browser, process, database or unit; see CONTRIBUTING.md."""
    room, fixtures = item.path.relative_to(TESTS).parts, set(item.fixturenames)
    if room[0] in ("chaos", "journeys"):
        return "chaos" if room[0] == "chaos" else "browser"
    if room[:2] == ("nodes", "connections") or PROCESSES & fixtures or item.get_closest_marker("process"):
        return "process"
    return "database" if item.get_closest_marker("django_db") or DATABASES & fixtures else "unit"


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Every test has the mark of its tier, so that `-m` chooses by it."""
    item.add_marker(tier_of(item))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests first, dealt out among the processes: one that begins last keeps a single processor busy at the end.

    A process of the suite begins with an equal part of this list, from its front; what others have left is taken over.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if is_slow(item)]
    if number > 1 and slow and len(slow) < len(items):
        others = [item for item in items if not is_slow(item)]
        share = len(items) // number + 1
        dealt = []
        for each in range(number):
            mine = slow[each::number]
            rest = max(0, share - len(mine))
            dealt += mine + others[:rest]
            del others[:rest]
        items[:] = dealt + others


def roles_again(sender: AppConfig, **kwargs: Any) -> None:
    """A test that commits is followed by a flush, which takes what migrations seeded with it."""
    if sender.name == "runs":
        seed_roles()


post_migrate.connect(roles_again)
