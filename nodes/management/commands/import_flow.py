"""manage.py import_flow FILE... [--check]: make flows what YAML files say; what changes is told first."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from nodes.document import Document, DocumentError, from_yaml
from nodes.document.text import LARGEST, too_large
from nodes.services import check_import, import_flow, preview_import

CHANGES = 2  # exit code of --check when an import would change something


class Command(BaseCommand):
    """Create or update flows from YAML files; the changes are printed first."""

    help = (
        "Create or update flows from YAML files. With --check nothing is written, and the exit code is 2 if "
        "something would change."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="a file written by export_flow; - for stdin")
        parser.add_argument("--check", action="store_true", help="only show what would change")

    def handle(self, *args: Any, files: list[str], check: bool, **options: Any) -> None:
        """Run the command."""
        read = [(name, self._read(name)) for name in files]  # all of them, before the first is written
        changes = False
        for name, document in read:
            flow, lines = preview_import(document)
            changes = changes or bool(lines)
            summary = f"{document['name']}: " + ("no changes" if not lines else "" if flow else "a new flow")
            self.stdout.write(summary.rstrip())
            for line in lines if flow else ():
                self.stdout.write(f"  {line}")
            problems = check_import(document) if check else self._write(document)
            if problems:
                raise CommandError("\n".join([f"{name}: nothing was imported.", *(f"  {line}" for line in problems)]))
        if check and changes:
            sys.exit(CHANGES)

    def _read(self, name: str) -> Document:
        try:
            if name == "-":
                return from_yaml(sys.stdin.read(LARGEST + 1))
            if problem := too_large(Path(name).stat().st_size):
                raise CommandError(f"{name}:\n  {problem}")
            return from_yaml(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{name} is not UTF-8 text.") from error
        except DocumentError as error:
            raise CommandError("\n".join([f"{name}:", *(f"  {line}" for line in error.problems)])) from error

    def _write(self, document: Document) -> list[str]:
        try:
            import_flow(document)
        except ValidationError as error:
            return error.messages
        return []
