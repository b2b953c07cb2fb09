"""`manage.py dbt_runtime`: which dbt runs a project; choose another, or build it anew, here and now."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from flows.models import Project
from nodes.models import DbtRuntime
from nodes.runtimes import builds, choices
from nodes.runtimes.wanted import RuntimeProblem, Wanted


class Command(BaseCommand):
    """The command."""

    help = "Show, choose or rebuild the dbt runtime of a project. The next sync of its environments uses it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("project", help="its name")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--set", nargs="+", metavar="REQUIREMENT", help="such as dbt-core~=1.10.0 dbt-snowflake")
        which.add_argument("--found", action="store_true", help="take what the repository says")
        which.add_argument("--built-in", action="store_true", help="take the dbt that dex ships")
        parser.add_argument("--rebuild", action="store_true", help="resolve and build anew")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; exits with 1 where a runtime cannot be had."""
        project = Project.objects.filter(name=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']}.")
        sources = DbtRuntime.Source
        source = sources.TYPED if options["set"] else sources.FOUND if options["found"] else None
        source = sources.BUILT_IN if options["built_in"] else source
        try:
            if source is not None:
                choices.choose(project, source, "\n".join(options["set"] or ()))
            if options["rebuild"]:
                choices.request_rebuild(project)
            answers = [self._prepared(each) for each in choices.wanted_by(choices.row_of(project))]
        except RuntimeProblem as error:
            raise CommandError(str(error)) from error
        row = choices.row_of(project)
        self.stdout.write(json.dumps({"project": project.name, "source": row.source, "builds": answers}))
        if any(answer["problem"] for answer in answers):
            sys.exit(1)

    def _prepared(self, wanted: Wanted) -> dict[str, Any]:
        """Build what is to be built, with its log on stderr; what became of it."""
        row = builds.build_of(wanted)
        if row.lock is None and row.problem_at is not None and not row.waits:  # whoever calls this wants a new try
            row.requested_at, row.requested_by = timezone.now(), "system"
            row.save(update_fields=["requested_at", "requested_by"])
        try:
            builds.prepare(wanted, told=lambda data: self.stderr.write(data.decode(errors="replace"), ending=""))
        except RuntimeProblem as error:
            return {"requirements": list(wanted.requirements), "problem": str(error)}
        row.refresh_from_db()
        about = row.lock.as_json() if row.lock is not None else {}
        return {"requirements": row.requirements, "problem": row.problem, **about}
