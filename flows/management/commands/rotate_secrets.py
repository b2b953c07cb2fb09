"""manage.py rotate_secrets [--dry-run]: encrypt every secret of every table with the first key of the file."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flows.variables.sealed import rotate


class Command(BaseCommand):
    """Encrypt every secret of every table with the first key of the file."""

    help = "Encrypt every secret with the first key of DEX_HOME/keys/variables; one JSON line on stdout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--dry-run", action="store_true", help="count only, change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Run the command."""
        counts = rotate(dry_run=dry_run)
        self.stdout.write(json.dumps({"dry_run": dry_run, **counts}))
        if counts["unreadable"]:
            raise CommandError(
                f"{counts['unreadable']} secrets cannot be read with any key in the file; enter them again."
            )
