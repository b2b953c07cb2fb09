"""manage.py export_flow NAME [--output FILE]: a flow as YAML, in a stable order, without secrets."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flows.models import Flow
from nodes.document import document_of, to_yaml


class Command(BaseCommand):
    """A flow as YAML, in a stable order, without secrets."""

    help = "Write a flow as YAML to stdout or to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("name", help="the flow's name")
        parser.add_argument("--output", type=Path, metavar="FILE", help="write to this file instead of stdout")

    def handle(self, *args: Any, name: str, output: Path | None, **options: Any) -> None:
        """Run the command."""
        flow = Flow.objects.select_related("environment__project").filter(name=name).first()
        if flow is None:
            names = ", ".join(Flow.objects.values_list("name", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no flow {name!r}. There are: {names}.")
        text = to_yaml(document_of(flow))
        if output is None:
            self.stdout.write(text, ending="")
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}") from error
        self.stderr.write(f"Exported {flow} to {output}.")
