"""Checks of connections: made by a worker in a child process, never by the web process."""

import shutil

from django.conf import settings
from django.db.models.functions import Now

from flows.infra import process
from flows.variables.encryption import Unreadable
from flows.variables.values import VariableError
from nodes.connections.connectors import client
from nodes.connections.loads import in_a_box
from nodes.connections.services import ConnectionProblem, digest_of, order_for
from nodes.models import ConnectionCheck
from runs.logs.masking import redactor_of_environment

LIMITS = process.Limits(memory=8 * 1024**3, nice=5)


def make(check_id: int) -> None:
    """Make a check and keep its result; one that another worker has taken is left alone."""
    if not ConnectionCheck.objects.filter(pk=check_id, taken_at=None).update(taken_at=Now()):
        return
    check = ConnectionCheck.objects.select_related(
        "connection__project", "environment__project", "environment__current_revision"
    ).get(pk=check_id)
    digest = ""
    home = settings.DEX_HOME / "work" / f"check-{check.pk}"
    try:
        order = order_for(check.connection, check.environment)
        digest = digest_of(order)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        spawn = in_a_box(order, home) if check.connection.connector == "custom" else process.start
        if check.what == ConnectionCheck.What.TEST:
            outcome = client.test(order, home=home, limits=LIMITS, spawn=spawn)
            result = next((event for event in outcome.events if event["event"] == "tested"), {})
            ok, kind, message = outcome.ok, outcome.kind, str(result.get("message") or outcome.message)
        else:
            outcome, streams = client.discover(order, home=home, limits=LIMITS, spawn=spawn)
            ok, kind, message = outcome.ok, outcome.kind, outcome.message or f"{len(streams)} tables"
            if outcome.ok:
                type(check.connection).objects.filter(pk=check.connection_id).update(offered=streams)
    except (ConnectionProblem, VariableError, Unreadable) as error:
        ok, kind, message = False, "config", str(error)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    message = redactor_of_environment(check.environment).whole(message)
    ConnectionCheck.objects.filter(pk=check.pk).update(
        done_at=Now(), ok=ok, kind=kind, message=message[:2000], settings_digest=digest
    )
