"""manage.py up: web, worker, beat and engine in one command, embedded."""

import signal
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from flows.infra import process
from runs import dispatch
from runs.operations.embedded import Engine, EngineRunningError

FIRST_PORT, PORTS_TRIED = 8000, 100
DEATHS = 5  # so many ends of the web server within a minute are no accident
ALREADY = "dex is already running on this DEX_HOME. Stop it first, or set another DEX_HOME."


def _pass_on(data: bytes) -> None:
    sys.stderr.write(data.decode(errors="replace"))


def check_free(port: int) -> None:
    """Raise CommandError when dex runs here already, or cannot have the port."""
    if dispatch.wake_engine("sweep", []):
        raise CommandError(ALREADY)
    if not 0 < port < 65536:
        raise CommandError(f"--port {port} is not a port; choose one from 1 to 65535.")
    if error := _can_be_bound(port):
        raise CommandError(
            f"Port {port} cannot be used ({error.strerror}); is another program on it? --port chooses another."
        )


def choose_port(say: Callable[[str], object]) -> int:
    """8000, or the next port that is free on loopback; says so when it is not 8000.

    Raises CommandError when there is none, or when dex runs on this DEX_HOME already.
    """
    if dispatch.wake_engine("sweep", []):
        raise CommandError(ALREADY)
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if _can_be_bound(port) is None:
            if port != FIRST_PORT:
                say(f"*** Port {FIRST_PORT} is taken by another program: dex will be at http://127.0.0.1:{port}/ ***")
            return port
    last = FIRST_PORT + PORTS_TRIED - 1
    raise CommandError(f"The ports {FIRST_PORT} to {last} are all taken. --port chooses another.")


def _can_be_bound(port: int) -> OSError | None:
    """Why the port of loopback cannot be had; None if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def start_engine() -> Engine:
    """The engine of this DEX_HOME, running. Raises CommandError when another process has it."""
    engine = Engine()
    try:
        engine.start()
    except EngineRunningError as error:
        raise CommandError(ALREADY) from error
    return engine


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
    """Web, worker, beat and engine in one command, embedded."""

    help = "Run everything in one command on this machine: web, worker, beat and engine. Ctrl-C stops it cleanly."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--port", type=int, default=FIRST_PORT)
        parser.add_argument("--grace", type=float, help="seconds that running tasks have to finish after Ctrl-C")

    def handle(self, *args: Any, port: int, grace: float | None, **options: Any) -> None:
        """Run the command."""
        if not settings.EMBEDDED:
            raise CommandError(
                "CELERY_BROKER_URL is set, so this installation is not embedded. Start its parts instead: "
                "`gunicorn dexsite.wsgi`, `celery -A dexsite worker`, `celery -A dexsite beat`."
            )
        check_free(port)
        stopping = stop_wanted()
        call_command("migrate", verbosity=0)
        for message in run_checks(tags=[Tags.database], databases=["default"]):
            self.stderr.write(str(message))
        serve(start_engine(), port, grace, self.stderr.write, stopping)


def stop_wanted() -> threading.Event:
    """An event that Ctrl-C, TERM and the end of the terminal set from now on."""
    wanted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT:  # nohup stays nohup
            signal.signal(number, lambda *_: wanted.set())
    return wanted


def serve(engine: Engine, port: int, grace: float | None, say: Any, stopping: threading.Event) -> None:
    """Serve until `stopping`; the web server is started again when it dies. Raises CommandError when it cannot."""
    ends: list[float] = []
    is_told = False
    web = start_web(port)
    while not stopping.wait(0.2 if not is_told else 0.5):
        if not is_told and _answers(port):
            is_told = True
            say(f"dex serves http://127.0.0.1:{port}/ - Ctrl-C stops it")
        if web.poll() is None:
            continue
        ends = [end for end in ends if time.monotonic() - end < 60] + [time.monotonic()]
        if len(ends) > DEATHS:
            break
        say(f"the web server ended (exit code {web.exit_code}) and is started again")
        web = start_web(port)
    say("stopping: waiting for running tasks; press Ctrl-C again to end them now")
    again = stop_wanted()
    web.kill_tree(grace_int=0, grace_term=6)
    stopper = threading.Thread(target=engine.stop, args=[grace])
    stopper.start()
    while stopper.is_alive():
        stopper.join(0.2)
        if again.is_set():
            again.clear()
            engine.hurry()
    if not stopping.is_set():
        raise CommandError(f"the web server ended {len(ends)} times within a minute; its last output is above")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
