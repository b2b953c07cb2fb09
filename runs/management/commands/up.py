"""manage.py up: web, worker, beat and engine in one command, embedded."""

import signal
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from flows import process
from runs.embedded import Engine, EngineRunningError


def _pass_on(data: bytes) -> None:
    sys.stderr.write(data.decode(errors="replace"))


def start_web(port: int) -> process.Child:
    """gunicorn on loopback, as a child that ends with this process."""
    argv = [
        *(sys.executable, "-m", "gunicorn", "dexsite.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8", "--worker-class", "gthread"),
        *("--graceful-timeout", "5", "--log-level", "warning", "--name", "dex-web", "--no-control-socket"),
    ]
    return process.start(
        argv,
        env=settings.OWN_ENVIRONMENT,
        cwd=Path(settings.BASE_DIR),
        isolate=False,
        on_output=_pass_on,
    )


class Command(BaseCommand):
    help = "Run everything in one command on this machine: web, worker, beat and engine. Ctrl-C stops it cleanly."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--grace", type=float, help="seconds that running tasks may take to end at Ctrl-C")

    def handle(self, *args: Any, port: int, grace: float | None, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError(
                "CELERY_BROKER_URL is set, so this installation is not embedded. Start its parts instead: "
                "`gunicorn dexsite.wsgi`, `celery -A dexsite worker`, `celery -A dexsite beat`."
            )
        call_command("migrate", verbosity=0)
        engine = Engine()
        try:
            engine.start()
        except EngineRunningError as error:
            raise CommandError(f"{error}. Stop it first, or set another DEX_HOME.") from error
        serve(engine, port, grace, self.stderr.write)


def serve(engine: Engine, port: int, grace: float | None, say: Any) -> None:
    """Serve until INT or TERM; the web server is started again when it dies."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    web = start_web(port)
    say(f"dex serves http://127.0.0.1:{port}/ - Ctrl-C stops it")
    quick_deaths = 0
    while not stopping.wait(0.5):
        if web.poll() is not None:
            quick_deaths += 1
            if quick_deaths > 5:
                say("the web server does not start; is the port taken? --port chooses another")
                break
            web = start_web(port)
    say("stopping: running tasks may finish; Ctrl-C again ends them at once")
    again = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: again.set())
    web.kill_tree(grace_int=0, grace_term=6)
    stopper = threading.Thread(target=engine.stop, args=[grace])
    stopper.start()
    while stopper.is_alive():
        stopper.join(0.2)
        if again.is_set():
            again.clear()
            engine.hurry()
