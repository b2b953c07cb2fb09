"""manage.py run_flow NAME [--wait] [--param K=V]... [--format json|table]"""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from flows.models import Flow
from flows.parameters import ParameterError
from runs.embedded import Engine, EngineRunningError
from runs.models import Run, Trigger
from runs.queries import as_json, as_table
from runs.services import start_run
from runs.states import RUN_OVER, RunState

POLL_S = 0.1


class Command(BaseCommand):
    help = "Start a flow; with --wait until it ends (exit code 1 unless it succeeded)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the flow's name")
        parser.add_argument("--wait", action="store_true", help="wait for the run's end")
        parser.add_argument("--param", action="append", default=[], metavar="K=V", help="a declared parameter")
        parser.add_argument("--format", choices=["json", "table"], default="json")

    def handle(self, *args: Any, name: str, wait: bool, param: list[str], **options: Any) -> None:
        flow = Flow.objects.select_related("environment__project").filter(name=name).first()
        if flow is None:
            known = ", ".join(repr(n) for n in Flow.objects.values_list("name", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no flow {name!r}. Flows: {known}.")
        given = {}
        for pair in param:
            key, separator, value = pair.partition("=")
            if not separator:
                raise CommandError(f"--param {pair!r} must be NAME=VALUE.")
            given[key] = value
        engine = engine_for_waiting() if wait else None
        try:
            try:
                run = start_run(flow, trigger=Trigger.COMMAND, actor="command", parameters=given)
            except ParameterError as error:
                raise CommandError(str(error)) from error
            if wait:
                wait_for(run)
        finally:
            if engine is not None:
                engine.stop(grace=0)
        run.refresh_from_db()
        self.stdout.write(json.dumps(as_json(run)) if options["format"] == "json" else as_table(run))
        if wait and run.state != RunState.SUCCEEDED:
            raise SystemExit(1)


def engine_for_waiting() -> Engine | None:
    """An engine in this process when the installation is embedded and none is running; else None."""
    if not settings.EMBEDDED:
        return None
    engine = Engine()
    try:
        engine.start()
    except EngineRunningError:
        return None
    return engine


def wait_for(run: Run) -> None:
    """Return when the run is over."""
    while Run.objects.filter(pk=run.pk).exclude(state__in=RUN_OVER).exists():
        time.sleep(POLL_S)
