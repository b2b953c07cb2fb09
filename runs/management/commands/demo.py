"""manage.py demo [--once]: a small shop, its flow, run to its end, and served."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from runs.management.commands.run_flow import INTERRUPTED, wait_for
from runs.management.commands.up import check_free, choose_port, serve, start_engine, stop_wanted
from runs.management.demo import SAMPLE, DemoError, administrator, git_flow, shop_flow
from runs.models import Run, Trigger
from runs.queries import as_table, first_line, with_first_failure
from runs.services import start_run
from runs.states import RunState


class Command(BaseCommand):
    """A small shop, its flow, run to its end, and served."""

    help = "Set up the sample shop, run its flows to the end, and serve the site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--once", action="store_true", help="exit when the runs end; 0 if they succeeded")
        parser.add_argument("--port", type=int, help="port of the site; default 8000, or the next free one")
        parser.add_argument("--project", type=Path, default=SAMPLE, metavar="DIR", help="a copy of the sample project")

    def handle(self, *args: Any, once: bool, port: int | None, project: Path, **options: Any) -> None:
        """Run the command."""
        if not settings.EMBEDDED:
            raise CommandError("The demo is embedded: unset CELERY_BROKER_URL, and use a DEX_HOME of its own.")
        if once:
            port = None
        else:  # before the work: nobody waits a minute to hear that the port is taken
            if port is None:
                port = choose_port(self.stderr.write)
            check_free(port)
        call_command("migrate", verbosity=0)
        engine = start_engine()
        try:
            runs = []
            for flow in (shop_flow(project), git_flow(project)):
                if flow is None:
                    self.stderr.write("git is not installed; skipping the flow from a repository")
                    continue
                self.stderr.write(f"running {flow} ...")
                run = start_run(flow, trigger=Trigger.COMMAND, actor="demo")
                wait_for(run, engine)
                runs.append(run)
        except DemoError as error:
            engine.stop(grace=0)
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write("stopping; running tasks are queued again")
            engine.stop(grace=0)
            raise SystemExit(INTERRUPTED) from None
        except BaseException:
            engine.stop(grace=0)
            raise
        for run in runs:
            run.refresh_from_db()
            self.stdout.write(as_table(run))
        failed = [run for run in runs if run.state != RunState.SUCCEEDED]
        if port is None:
            engine.stop(grace=0)
            self.stdout.flush()
            if failed:
                self.stderr.write(f"The demo failed. {'; '.join(map(_why, failed))}")
            raise SystemExit(1 if failed else 0)
        name, password = administrator()
        ran = " and ".join(f'"{run.flow_name}" {run.state}' for run in runs)
        self.stdout.write(
            f"\n  Shown:  {ran}: ingestion, dbt models with their tests, and a script, as listed above."
            f"\n  Next:   open http://127.0.0.1:{port}/ (user {name}, password {password}); click Flows and "
            f'"{runs[0].flow_name}" for its canvas, then Runs for what happened.'
            f"\n  Docs:   README.md, and docs/ beside it.\n"
        )
        self.stdout.flush()
        serve(engine, port, None, self.stderr.write, stop_wanted())


def _why(run: Run) -> str:
    """The flow, and what went wrong first in its run."""
    reason = first_line(with_first_failure(Run.objects.filter(pk=run.pk)).get()) or f"its run {run.state}"
    return f'"{run.flow_name}": {reason}'
