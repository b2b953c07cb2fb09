"""`manage.py select`: what do these values select? The code of the form, for scripts."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from nodes.dbt.manifest import Manifest, ManifestError, decode
from nodes.dbt.selectors import MODES, Comparison, select
from nodes.dbt.selectors.answers import answer, answer_cases, explained, read_results


class Command(BaseCommand):
    """The command."""

    help = "Show which resources of a dbt project the given values select."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--project", required=True, type=Path, metavar="DIR", help="the dbt project's folder")
        parser.add_argument("--manifest", type=Path, metavar="FILE", help="its manifest.json; without it dbt parses")
        parser.add_argument("--include", action="append", default=[], metavar="S", help="a value; may be repeated")
        parser.add_argument("--exclude", action="append", default=[], metavar="S", help="a value; may be repeated")
        parser.add_argument("--resource-type", action="append", default=[], metavar="T", help="may be repeated")
        parser.add_argument("--indirect-selection", choices=MODES, default="eager")
        parser.add_argument("--state", type=Path, metavar="MANIFEST", help="an earlier manifest.json, for state:")
        parser.add_argument("--results", type=Path, metavar="FILE", help="an earlier run_results.json, for result:")
        parser.add_argument("--why", metavar="RESOURCE", help="explain one resource, by unique id or identifier")
        parser.add_argument("--cases", type=Path, metavar="FILE", help="a JSON list of questions to answer")
        parser.add_argument("--format", choices=("json", "table"), default="json")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        try:
            failed = self._answer(options)
        except (
            OSError,
            ValueError,
        ) as error:  # ManifestError, unreadable files, a project that dbt cannot parse
            self._print_json({"selected": [], "warnings": [], "errors": [str(error)]}, options)
            self.stderr.write(str(error))
            failed = True
        if failed:
            sys.exit(1)

    def _answer(self, options: dict[str, Any]) -> bool:
        project_dir: Path = options["project"].resolve()
        if not project_dir.is_dir():
            raise ValueError(f"There is no folder {project_dir}")
        manifest_path: Path | None = options["manifest"]
        if manifest_path is None:
            project_dir, manifest_path = self._parse(project_dir)
        data = manifest_path.read_bytes()
        manifest = decode(data)
        around: dict[str, Any] = {
            "project_dir": project_dir,
            "previous": Comparison(data, options["state"].read_bytes()) if options["state"] else None,
            "results": read_results(options["results"].read_bytes()) if options["results"] else None,
        }
        if options["cases"]:
            answers = answer_cases(manifest, options["cases"].read_bytes(), **around)
            self.stdout.write(json.dumps(answers))
            return False
        selection = select(
            manifest,
            options["include"],
            options["exclude"],
            resource_types=options["resource_type"],
            indirect_selection=options["indirect_selection"],
            **around,
        )
        answered: dict[str, list[str]] = answer(selection)
        if options["why"]:
            answered["why"] = explained(selection, options["why"])
        self._print_json(answered, options)
        self._print_table(answered, manifest, options)
        return bool(answered["errors"])

    def _parse(self, project_dir: Path) -> tuple[Path, Path]:
        # imported here: with --manifest, nothing of dbt is touched
        from nodes.dbt.parse import ParseError, parse_project

        self.stderr.write(f"Parsing {project_dir} with dbt")
        try:
            parsed = parse_project(project_dir, home=Path(settings.DEX_HOME), env=settings.DBT_ENVIRONMENT)
        except ParseError as error:
            raise ManifestError(str(error)) from error
        return parsed.project_dir, parsed.manifest_path

    def _print_json(self, answered: dict[str, list[str]], options: dict[str, Any]) -> None:
        if options["format"] == "json":
            self.stdout.write(json.dumps(answered))

    def _print_table(self, answered: dict[str, list[str]], manifest: Manifest, options: dict[str, Any]) -> None:
        if options["format"] == "table":
            for unique_id in answered["selected"]:
                row = manifest.resources[unique_id]
                self.stdout.write(f"{row.resource_type:<14} {row.identifier:<50} {row.path}")
        for title in ("warnings", "errors", "why"):
            for line in answered.get(title, ()):
                self.stderr.write(f"{title.removesuffix('s')}: {line}")
        self.stderr.write(f"{len(answered['selected'])} selected")
