"""manage.py bench WHAT [--size N]: one JSON line each."""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

SIZES = {
    "orchestration": 1000,
    "dbt": 100,
    "select": 5000,
    "pages": 5000,
    "schedule": 500,
    "calendar": 500,
    "runs": 10_000,
    "logs": 1024,
    "scripts": 20,
    "ingest": 1_000_000,
}


class Command(BaseCommand):
    """One JSON line each."""

    help = "Measure dex on this machine; prints one JSON line. Runs in a DEX_HOME of its own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("what", choices=sorted(SIZES))
        parser.add_argument("--size", type=int, help="tasks, models, flows, runs of a script, rows, or MiB of output")
        parser.add_argument("--here", action="store_true", help="use this DEX_HOME instead of a fresh one")
        parser.add_argument("--no-dbt", action="store_true", help="select: leave out the comparison with dbt ls")

    def handle(self, *args: Any, what: str, size: int | None, here: bool, no_dbt: bool, **options: Any) -> None:
        """Run the command."""
        size = SIZES[what] if size is None else size
        if size < 1:
            raise CommandError(f"--size {size} must be at least 1.")
        if not here:
            self._elsewhere(what, size, no_dbt)
            return
        self.stdout.write(json.dumps(_measure(what, size, no_dbt)))

    def _elsewhere(self, what: str, size: int, no_dbt: bool) -> None:
        """A benchmark must not touch the installation's rows, and finds a fresh database each time."""
        with tempfile.TemporaryDirectory(prefix="dex-bench-") as home:
            environment = {
                **settings.OWN_ENVIRONMENT,
                "DEX_HOME": home,
                "DATABASE_URL": "",
                "CELERY_BROKER_URL": "",
            }
            manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
            subprocess.run([*manage, "migrate", "-v0"], env=environment, check=True)
            flags = ["--no-dbt"] if no_dbt else []
            command = [*manage, "bench", what, "--size", str(size), "--here", *flags]
            done = subprocess.run(command, env=environment, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)


def _measure(what: str, size: int, no_dbt: bool) -> dict[str, Any]:
    # Imported when asked: a benchmark brings what only it needs.
    if what == "select":
        from runs.bench.select import bench_select

        return bench_select(size, with_dbt=not no_dbt)
    result: dict[str, Any] = getattr(import_module(f"runs.bench.{what}"), what)(size)
    return result
