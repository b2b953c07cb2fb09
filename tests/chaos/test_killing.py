"""The killing of workers, for a short while; for long by hand, with `make chaos`."""

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.servers import postgres_programs, require
from tests.helpers.waiting import patience


@pytest.mark.parametrize("executor", ["session", "command"])
def test_nothing_runs_twice_at_once_while_workers_are_killed_and_stopped_at_random(executor):
    require(PostgreSQL=postgres_programs())
    choices = f"--workers 3 --seed 5 --executor {executor}"
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.killing", "--fast", "--seconds", "30", *choices.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=patience(400),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert "| lost | script |" in done.stdout or "| stopped | script |" in done.stdout, done.stdout
    assert "overlaps: 0" in done.stdout
