"""manage.py demo [--once]: a small shop, its flow, run to its end, and served."""

import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from flows.models import Environment, Flow, Project
from flows.services import check_folder
from nodes.models import Node
from nodes.services import save_node
from nodes.sync import SyncError, sync
from runs.management.commands.run_flow import INTERRUPTED, wait_for
from runs.management.commands.up import check_free, serve, start_engine, stop_wanted
from runs.models import Trigger
from runs.queries import as_table
from runs.services import start_run
from runs.states import RunState

PROJECT = Path(settings.BASE_DIR) / "tests" / "sample_project"
FLOW = "Daily shop"
NODES = [
    # name, include, exclude: the guide's Example 1 and its corrected Example 2, with what they stand on
    ("Raw data", ["resource_type:seed"], []),
    ("Staging", ["tag:staging"], []),
    ("Marts", ["tag:mart"], ["tag:revenue"]),
    ("Revenue", ["tag:revenue"], []),
]


class Command(BaseCommand):
    help = "Set up the sample shop, run its flow to the end, and serve the site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="exit when the run ended; 0 if it succeeded")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--project", type=Path, default=PROJECT, metavar="DIR", help="a copy of the sample project")

    def handle(self, *args: Any, once: bool, port: int, project: Path, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("The demo is embedded: unset CELERY_BROKER_URL, and use a DEX_HOME of its own.")
        if not once:
            check_free(port)
        call_command("migrate", verbosity=0)
        engine = start_engine()
        try:
            flow = demo_flow(project)
            run = start_run(flow, trigger=Trigger.COMMAND, actor="demo")
            self.stderr.write(f"running {flow} ...")
            wait_for(run, engine)
        except KeyboardInterrupt:
            self.stderr.write("stopping; what runs is queued again")
            engine.stop(grace=0)
            raise SystemExit(INTERRUPTED) from None
        except BaseException:
            engine.stop(grace=0)
            raise
        run.refresh_from_db()
        self.stdout.write(as_table(run))
        if once:
            engine.stop(grace=0)
            raise SystemExit(0 if run.state == RunState.SUCCEEDED else 1)
        name, password = demo_admin()
        self.stdout.write(f"\n  http://127.0.0.1:{port}/   user {name}   password {password}\n")
        self.stdout.flush()
        serve(engine, port, None, self.stderr.write, stop_wanted())


def demo_flow(folder: Path = PROJECT) -> Flow:
    """The sample shop's project, environment and flow; made at the first call. Raises CommandError."""
    try:
        path = str(check_folder(str(folder.absolute())))
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    project, _ = Project.objects.update_or_create(name="shop", defaults={"path": path})
    environment, _ = Environment.objects.get_or_create(project=project, name="demo")
    try:
        sync(environment)
    except SyncError as error:
        raise CommandError(f"the sample project does not parse: {error}") from error
    flow, _ = Flow.objects.get_or_create(
        name=FLOW,
        defaults={
            "environment": environment,
            "description": "Loads the raw data, then builds staging, marts and revenue in the order of refs.",
        },
    )
    for name, include, exclude in NODES:
        if not flow.nodes.filter(name=name).exists():
            save_node(Node(flow=flow, name=name, include=include, exclude=exclude))
    return flow


def demo_admin() -> tuple[str, str]:
    """The demo's administrator and its password: random, made once, kept in a file that only its owner reads."""
    path = Path(settings.DEX_HOME) / "keys" / "demo_password"
    users = get_user_model().objects
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(12))
    password = path.read_text()
    user, made = users.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
    if made:
        user.set_password(password)
        user.save()
    elif not user.check_password(password):
        password = "(the one you set)"  # noqa: S105 - a remark, not a password
    return user.get_username(), password
