"""Questions to sources: answered by a worker in a child process, never by the web process."""

import shutil

from django.conf import settings
from django.db.models.functions import Now

from flows.infra import process
from flows.variables.encryption import Unreadable
from flows.variables.values import VariableError
from nodes.connections.connectors import client
from nodes.connections.loads import in_a_box
from nodes.connections.services import ConnectionProblem, digest_of, order_for
from nodes.models import Probe
from runs.logs.masking import redactor_of_environment

LIMITS = process.Limits(memory=8 * 1024**3, nice=5)


def answer(probe_id: int) -> None:
    """Ask the source and keep what it said; a question that another took is left alone."""
    if not Probe.objects.filter(pk=probe_id, taken_at=None).update(taken_at=Now()):
        return
    probe = Probe.objects.select_related(
        "connection__project", "environment__project", "environment__current_revision"
    ).get(pk=probe_id)
    about = ""
    home = settings.DEX_HOME / "work" / f"probe-{probe.pk}"
    try:
        order = order_for(probe.connection, probe.environment)
        about = digest_of(order)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        spawn = in_a_box(order, home) if probe.connection.connector == "custom" else process.start
        if probe.what == Probe.What.TEST:
            outcome = client.test(order, home=home, limits=LIMITS, spawn=spawn)
            told = next((event for event in outcome.events if event["event"] == "tested"), {})
            ok, kind, said = outcome.ok, outcome.kind, str(told.get("message") or outcome.message)
        else:
            outcome, streams = client.discover(order, home=home, limits=LIMITS, spawn=spawn)
            ok, kind, said = outcome.ok, outcome.kind, outcome.message or f"{len(streams)} tables"
            if outcome.ok:
                type(probe.connection).objects.filter(pk=probe.connection_id).update(offered=streams)
    except (ConnectionProblem, VariableError, Unreadable) as error:
        ok, kind, said = False, "config", str(error)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    said = redactor_of_environment(probe.environment).whole(said)
    Probe.objects.filter(pk=probe.pk).update(done_at=Now(), ok=ok, kind=kind, said=said[:2000], about=about)
