"""Other users of the machine read nothing of dex's files, also in a home that was there before."""

import os
import stat
import subprocess
import sys

import pytest

from flows.infra.private_files import close_to_others, exposed
from runs.models import Heartbeat
from runs.operations import heartbeats
from tests.helpers.pages import Person
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.process


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path):
    """A home as it was made by hand, or by an older dex: open to everybody."""
    place = tmp_path / "home"
    for name in ("keys", "logs/1", "dbt/abc/project", "work", "static"):
        (place / name).mkdir(parents=True)
    for name in ("dex.sqlite3", "dex.sqlite3-wal", "keys/secret_key", "engine.lock"):
        (place / name).write_text("k" * 60)
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place


def test_a_command_makes_an_open_home_private_and_its_files_too(home):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEX_", "DATABASE_", "CELERY_"))}
    env = {**kept, "DEX_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dexsite.settings"}
    (home / "dex.sqlite3").unlink()
    (home / "dex.sqlite3-wal").unlink()
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert mode(home / "dex.sqlite3") == 0o600 and mode(home / "engine.lock") == 0o600
    assert mode(home / "keys") == mode(home / "logs") == 0o700
    assert mode(home) == mode(home / "dbt") == mode(home / "work") == 0o711  # a way through, no list of what is there
    assert exposed(home) == []


def test_a_database_elsewhere_is_closed_too(home, tmp_path):
    database = tmp_path / "elsewhere.sqlite3"
    database.touch()
    database.chmod(0o644)
    before = os.umask(0o022)
    try:
        assert database in exposed(home, database)
        close_to_others(home, database)
    finally:
        os.umask(before)
    assert mode(database) == 0o600 and exposed(home, database) == []


@pytest.mark.django_db
def test_the_status_page_says_what_was_checked_and_what_others_could_read(settings):
    heartbeats.worker_lives("host:1", "host")
    admin = Person("ada", "everything")
    assert "Checked: other users of this host cannot read" in admin.open("/status/").html
    row = Heartbeat.objects.get(pk="worker:host:1")
    row.detail["exposed"] = ["/srv/dex/keys/variables"]
    row.save()
    html = admin.open("/status/").html
    assert "Other users of this host can read /srv/dex/keys/variables" in html and "Checked:" not in html
