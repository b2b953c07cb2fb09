"""manage.py prune [--dry-run]: delete what is older than the settings keep."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from runs.management.database import require_tables
from runs.operations.retention import prune


class Command(BaseCommand):
    """Delete what is older than the settings keep."""

    help = "Delete logs, runs and due times that are older than DEX_KEEP_*; a table, and one JSON line on stdout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--dry-run", action="store_true", help="count only, delete nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Run the command."""
        require_tables()
        counts = prune(timezone.now(), dry_run=dry_run).as_dict()
        self.stderr.write("would be deleted:" if dry_run else "deleted:")
        for name in (
            "logs",
            "log_bytes",
            "runs",
            "task_runs",
            "due_times",
            "messages",
            "revisions",
            "sessions",
            "working_folders",
        ):
            self.stderr.write(f"  {name.replace('_', ' '):<16} {counts[name]:>12,}")
        self.stdout.write(json.dumps({"dry_run": dry_run, **counts}))
