"""Events of runs in the OpenLineage standard (https://openlineage.io/spec), for data catalogues.

The history that database triggers write is the queue: a cursor says up to which move events were sent, and moves on
when the receiver has taken them. A receiver that is away gets everything later, in order; after a crash an event may
come twice, with the same run id and time, which the standard allows for.
"""

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from flows.infra.network.deadline import Deadline
from flows.infra.network.policy import Policy
from flows.infra.network.posting import post
from nodes.dbt.manifest import Manifest
from nodes.dbt.stored_manifests import manifest_of
from runs.logs.compiled import compiled_sql
from runs.models import Heartbeat, Run, TaskRun, Transition
from runs.states import RunState, TaskState

log = logging.getLogger("dex.lineage")
CURSOR = "lineage"
BATCH = 200
SETTLED_S = 5.0  # moves younger than this may still be followed by older ones that commit later
EXCHANGE_S = 10.0  # for one event: connecting, sending, the answer
TURN_S = 60.0  # for which nobody else sends; longer than that, and kept up
ENDPOINT = "api/v1/lineage"
LONGEST_PAUSE = timedelta(minutes=10)
PRODUCER = "urn:dex"  # who made an event, as a URI
_RUN_EVENTS = {
    RunState.RUNNING: "START",
    RunState.SUCCEEDED: "COMPLETE",
    RunState.FAILED: "FAIL",
    RunState.CANCELLED: "ABORT",
}
_BUILT = ("model", "seed", "snapshot")
_TASK_EVENTS = {
    TaskState.RUNNING: "START",
    TaskState.SUCCEEDED: "COMPLETE",
    TaskState.FAILED: "FAIL",
    TaskState.CANCELLED: "ABORT",
}


def send_lineage(*, settled_s: float = SETTLED_S) -> int:
    """Send what happened since the last call; how many events the receiver took. Does nothing without an address.

    Any process may call: who has the cursor's row sends, the others come back at once.
    """
    if not settings.OPENLINEAGE_URL:
        return 0
    cursor = _take_turn()
    if cursor is None:
        return 0
    seen = int(cursor.detail.get("seen", _newest(0)))  # from now on, when it is switched on
    until = timezone.now() - timedelta(seconds=settled_s)
    moves = list(
        Transition.objects.filter(pk__gt=seen, at__lte=until).select_related("task_run", "run").order_by("pk")[:BATCH]
    )
    sent = 0
    try:
        renewed = time.monotonic()
        for move in moves:
            for event in _events_of(move):
                if time.monotonic() > renewed + TURN_S / 2:  # a slow receiver: nobody else may begin meanwhile
                    _keep_turn()
                    renewed = time.monotonic()
                _emit(event)
                sent += 1
            seen = move.pk
    except Exception as error:  # whatever stands between us and the receiver: it gets them later
        tries = int(cursor.detail.get("tries", 0)) + 1
        pause = min(timedelta(seconds=5 * 2**tries), LONGEST_PAUSE)
        log.warning("lineage is not taken (%s); again in %s", error, pause)
        _put_back(seen, tries, pause)
        return sent
    _put_back(seen, 0, timedelta())
    return sent


def _newest(otherwise: int) -> int:
    return Transition.objects.order_by("-pk").values_list("pk", flat=True).first() or otherwise


def _take_turn() -> Heartbeat | None:
    """The cursor, for this call alone: a row whose time lies ahead is somebody else's, or rests after a failure."""
    now = timezone.now()
    with transaction.atomic():
        row, created = Heartbeat.objects.select_for_update().get_or_create(
            pk=CURSOR, defaults={"at": now, "detail": {"seen": _newest(0)}}
        )
        if not created and row.at > now:
            return None
        _keep_turn()
    return row


def _keep_turn() -> None:
    Heartbeat.objects.filter(pk=CURSOR).update(at=timezone.now() + timedelta(seconds=TURN_S))


def _put_back(seen: int, tries: int, pause: timedelta) -> None:
    Heartbeat.objects.filter(pk=CURSOR).update(at=timezone.now() + pause, detail={"seen": seen, "tries": tries})


def _emit(event: Any) -> None:
    """Post one event. Raises what the receiver did not like, within EXCHANGE_S however slowly it says so."""
    from openlineage.client.serde import Serde  # when it is used: the client is slow to import

    url = f"{settings.OPENLINEAGE_URL.rstrip('/')}/{ENDPOINT}"
    headers = {"Content-Type": "application/json"}
    if settings.OPENLINEAGE_API_KEY:
        headers["Authorization"] = f"Bearer {settings.OPENLINEAGE_API_KEY}"
    # An administrator's address, not somebody's form: a private one is as good.
    policy = Policy(private=True, allow=tuple(settings.NOTIFY_ALLOW), setting="DEX_NOTIFY")
    post(url, Serde.to_json(event).encode(), headers, policy=policy, deadline=Deadline(EXCHANGE_S))


def _events_of(move: Transition) -> Iterator[Any]:
    if move.task_run is None:
        if (kind := _RUN_EVENTS.get(RunState(move.new))) is not None:
            yield _run_event(move, kind)
    elif (kind := _TASK_EVENTS.get(TaskState(move.new))) is not None and move.task_run.resource_type in _BUILT:
        yield _task_event(move, move.task_run, kind)


def run_uuid(kind: str, pk: int) -> str:
    """The same for the same row of this installation, always."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"dex:{settings.INSTALLATION}:{kind}:{pk}"))


def _run_event(move: Transition, kind: str) -> Any:
    from openlineage.client import event_v2 as ol
    from openlineage.client.facet_v2 import error_message_run, job_type_job

    run = move.run
    facets: dict[str, Any] = {}
    if kind == "FAIL":
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(run.error or run.reason, "SQL")
    job_facets: dict[str, Any] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "DEX", "FLOW")}
    return ol.RunEvent(
        eventType=ol.RunState[kind],
        eventTime=move.at.isoformat(),
        run=ol.Run(run_uuid("run", run.pk), facets),
        job=ol.Job(_namespace(), run.flow_name, job_facets),
        producer=PRODUCER,
    )


def _task_event(move: Transition, task: TaskRun, kind: str) -> Any:
    from openlineage.client import event_v2 as ol
    from openlineage.client.facet_v2 import error_message_run, job_type_job, parent_run, sql_job

    run = Run.objects.select_related("revision").get(pk=task.run_id)
    parent = parent_run.ParentRunFacet(
        parent_run.Run(run_uuid("run", run.pk)), parent_run.Job(_namespace(), run.flow_name)
    )
    facets: dict[str, Any] = {"parent": parent}
    if kind == "FAIL":
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(move.reason or "failed", "SQL")
    job_facets: dict[str, Any] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "DEX", task.resource_type.upper())}
    if kind == "COMPLETE" and (code := compiled_sql(task.result.get("compiled"))):
        job_facets["sql"] = sql_job.SQLJobFacet(code)
    inputs, outputs = _datasets(run, task)
    return ol.RunEvent(
        eventType=ol.RunState[kind],
        eventTime=move.at.isoformat(),
        run=ol.Run(run_uuid("task", task.pk), facets),
        job=ol.Job(_namespace(), f"{run.flow_name}.{task.identifier}", job_facets),
        producer=PRODUCER,
        inputs=[ol.InputDataset(*dataset) for dataset in inputs],
        outputs=[ol.OutputDataset(*dataset) for dataset in outputs],
    )


def _datasets(run: Run, task: TaskRun) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(namespace, name) of what a task reads and of what it makes; nothing where the revision is gone."""
    if run.revision is None or not run.revision.exists_on_disk:
        return [], []
    manifest, warehouse = manifest_of(run.revision), run.revision.warehouse
    where = f"{warehouse.get('type', 'warehouse')}://{warehouse.get('path') or warehouse.get('target', '')}"
    unique_id = str(task.spec.get("unique_id") or task.unique_id)
    makes = [each for each in task.spec.get("makes") or [unique_id] if each in manifest.resources]
    needs = list(dict.fromkeys(each for table in makes for each in manifest.resources[table].depends_on))
    reads = [(where, name) for name in _relations(manifest, needs)]
    return reads, [(where, name) for name in _relations(manifest, makes)]


def _relations(manifest: Manifest, unique_ids: Sequence[str]) -> list[str]:
    """Names of tables; an ephemeral model stands for what it reads itself."""
    relations: dict[str, None] = {}
    for unique_id in unique_ids:
        row = manifest.resources.get(unique_id)
        if row is None:
            continue
        if row.relation_name:
            relations[row.relation_name.replace('"', "").replace("`", "")] = None
        elif row.materialized == "ephemeral":
            relations.update(dict.fromkeys(_relations(manifest, row.depends_on)))
    return list(relations)


def _namespace() -> str:
    return str(settings.OPENLINEAGE_NAMESPACE)
