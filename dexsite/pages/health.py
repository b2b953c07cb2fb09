"""Whether the site answers and is ready, and what Prometheus reads of it."""

import logging

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runs.api.endpoint import endpoint
from runs.operations.metrics import registry

log = logging.getLogger("dex.health")


@login_not_required
@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 with {"status": "ok"} when the site and its database answer, else 503; needs no login."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        log.error("the database does not answer: %s", error)
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests can be served: the database answers and has the tables of this version; else 503, and why."""
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return JsonResponse({"status": "the database is not migrated to this version"}, status=503)
    except (DatabaseError, InterfaceError) as error:
        log.error("the database does not answer: %s", error)
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ready"})


def _metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)


@login_not_required
@never_cache
@csrf_exempt  # without a session there is nothing that another site could make a browser send along
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format. Asks for an API token whose user may see runs, unless DEX_METRICS_OPEN lets all in."""
    return require_safe(_metrics)(request) if settings.METRICS_OPEN else _asking_for_a_token(request)


_asking_for_a_token = endpoint(get=(_metrics, "runs.view_run"))
