"""manage.py check_history [--run ID]: the invariants of the history."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs.management.database import require_tables
from runs.models import Run
from runs.operations.invariants import check


class Command(BaseCommand):
    """The invariants of the history."""

    help = "Check the recorded history against dex's invariants; prints violations, exit code 1 if there are any."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--run", type=int, help="only this run")

    def handle(self, *args: Any, run: int | None, **options: Any) -> None:
        """Run the command."""
        require_tables()
        if run is not None and not Run.objects.filter(pk=run).exists():
            raise CommandError(f"There is no run {run}.")
        violations = check(run)
        for violation in violations:
            self.stdout.write(str(violation))
        if violations:
            raise SystemExit(1)
        self.stderr.write("history is consistent")
