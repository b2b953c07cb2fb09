"""manage.py run_flow NAME [--wait] [--param K=V]... [--format json|table]"""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from flows.models import Flow
from flows.parameters import ParameterError
from runs import dispatch
from runs.alerts.messages import link_to
from runs.api.representation import run_with_tasks
from runs.management.database import require_tables
from runs.models import Run, Trigger
from runs.operations.embedded import Engine, EngineRunningError
from runs.queries import as_table
from runs.services import start_run
from runs.states import RUN_OVER, RunState

POLL_S = 0.1
LOOK_FOR_ENGINE_S = 2.0
INTERRUPTED = 130  # as a shell says of Ctrl-C


class Command(BaseCommand):
    """The command."""

    help = "Start a flow; with --wait until it ends (exit code 1 unless it succeeded)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("name", help="the flow's name")
        parser.add_argument("--wait", action="store_true", help="wait for the run's end")
        parser.add_argument("--param", action="append", default=[], metavar="K=V", help="a declared parameter")
        parser.add_argument("--format", choices=["json", "table"], default="json")

    def handle(self, *args: Any, name: str, wait: bool, param: list[str], **options: Any) -> None:
        """Run the command."""
        require_tables()
        flow = Flow.objects.select_related("environment__project").filter(name=name).first()
        if flow is None:
            raise CommandError(f"There is no flow {name!r}. {_known_flows()}")
        parameters = {}
        for pair in param:
            key, separator, value = pair.partition("=")
            if not separator or not key:
                raise CommandError(f"--param {pair!r} must be NAME=VALUE.")
            parameters[key] = value
        engine = engine_if_free() if wait else None
        run = None
        try:
            run = start_run(flow, trigger=Trigger.COMMAND, actor="command", parameters=parameters)
            if wait:
                engine = wait_for(run, engine)
        except ParameterError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write(f"stopped waiting; {run or 'the run'} continues where an engine runs (`manage.py up`)")
            raise SystemExit(INTERRUPTED) from None
        finally:
            if engine is not None:
                engine.stop(grace=0)
        run.refresh_from_db()
        self.stdout.write(json.dumps(run_with_tasks(link_to, run.pk)) if options["format"] == "json" else as_table(run))
        if not wait and settings.EMBEDDED and not dispatch.wake_engine("sweep", []):
            self.stderr.write(f"no engine is running: {run} starts with the next `manage.py up`, or use --wait")
        if wait and run.state != RunState.SUCCEEDED:
            raise SystemExit(1)


def _known_flows(most: int = 20) -> str:
    names = list(Flow.objects.values_list("name", flat=True)[: most + 1])
    if not names:
        return "There is none yet."
    more = ", ..." if len(names) > most else ""
    return f"Flows: {', '.join(map(repr, names[:most]))}{more}."


def engine_if_free() -> Engine | None:
    """An engine in this process when the installation is embedded and none is running; else None."""
    if not settings.EMBEDDED:
        return None
    engine = Engine()
    try:
        engine.start()
    except EngineRunningError:
        return None
    return engine


def wait_for(run: Run, engine: Engine | None = None) -> Engine | None:
    """Return when the run is over: the engine of this process, which the caller stops, if it has one.

    When the engine of another process ends meanwhile, this process takes its place, or the run would never end.
    """
    look_at = time.monotonic() + LOOK_FOR_ENGINE_S
    while Run.objects.filter(pk=run.pk).exclude(state__in=RUN_OVER).exists():
        if engine is None and not dispatch.is_engine_here() and time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_FOR_ENGINE_S
            engine = engine_if_free()
        time.sleep(POLL_S)
    return engine
