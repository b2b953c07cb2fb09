"""The Connection kind: a task for each table that it loads into the warehouse, or one for all of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from flows.models import Environment, Revision
from flows.variables.encryption import Unreadable
from flows.variables.values import VariableError
from nodes.connections.connectors.catalogue import CATALOGUE
from nodes.connections.connectors.streams import identifier
from nodes.connections.loads import LoadProgress, load
from nodes.connections.services import ConnectionProblem, destination_of, order_for
from nodes.dbt.manifest import sources_of
from nodes.dbt.profiles import ProfileError
from nodes.dbt.stored_manifests import manifest_of
from nodes.dbt.warehouses.registry import refusal_of
from nodes.kinds.base import Kind, NeededPool
from nodes.kinds.registry import register
from nodes.models import Connection, Load, Node
from nodes.tasks import AttemptOutcome, Context, Expanded, Problem, TaskSpec


class ConnectionKind(Kind):
    """Loads tables of a connection into the warehouse."""

    name = "connection"
    label = "Connection"
    plural = "Connections"
    icon = "plug"
    says = "Loads tables from a source into the warehouse."
    order = 10
    columns = ("connection", "streams", "one_task", "full_refresh")
    main = ("connection", "streams")
    more = "all tables in one task, full refresh, retries, time-outs"
    template = "nodes/kinds/connection.html"
    form = "nodes.forms.node.ConnectionNodeForm"

    def detail(self, settings: Mapping[str, Any]) -> str:
        """The connection."""
        return settings["connection"] or ""

    def summary(self, settings: Mapping[str, Any]) -> str:
        """That it loads the connection."""
        return f"loads {settings['connection']}"

    def expand(self, node: Node, revision: Revision, results: Mapping[str, str] | None = None) -> Expanded:
        """A task for each table of the node, or one for all; all tables of its connection when it names none.

        A table that the project declares as a source has the source's id, so that models which read it wait for it.
        """
        errors = [*_problems(node), *_refusals(revision)]
        connection = node.connection
        if connection is None or errors:
            return Expanded(errors=tuple(errors))
        sources = sources_of(manifest_of(revision))
        specs = []
        for stream in node.streams or connection.streams:
            table = identifier(stream)
            unique_id = sources.get((connection.dataset, table)) or sources.get((connection.dataset, stream))
            key = unique_id or f"stream.{connection.pk}.{stream}"
            name = f"{connection.dataset}.{table}"
            specs.append(TaskSpec(key=key, unique_id=key, identifier=name, resource_type="stream", path=stream))
        if node.one_task:
            key, name = f"stream.node.{node.pk or 0}", f"{connection.dataset}.*"
            one = TaskSpec(key=key, unique_id=key, identifier=name, resource_type="stream", parts=tuple(specs))
            return Expanded(specs=(one,))
        return Expanded(specs=tuple(specs))

    def run_spec(self, node: Node, spec: TaskSpec) -> dict[str, Any]:
        """The tables of one task, and how each is loaded."""
        connection = node.connection
        assert connection is not None
        streams = [_settings(connection, table.path, refresh=node.full_refresh) for table in spec.makes]
        return {
            "connection": connection.pk,
            "connection_name": connection.name,
            "streams": streams,
            "makes": [table.unique_id for table in spec.makes],
        }

    def pool(self, node: Node) -> NeededPool | None:
        """How many tables of the connection are loaded at once, by whichever nodes and flows."""
        if node.connection is None:
            return None
        return NeededPool(f"connection:{node.connection.pk}", node.connection.parallel)

    def opens_warehouse(self, node: Node) -> bool:
        """It writes the tables."""
        return True

    def execute(self, context: Context) -> AttemptOutcome:
        """Load the tables that this task run has not loaded yet. Raises Stopped when the worker ends."""
        spec, revision = context.spec, context.revision
        connection = Connection.objects.select_related("project").filter(pk=spec["connection"]).first()
        if connection is None:
            return AttemptOutcome("failed", f"The connection {spec['connection_name']} was deleted.", retryable=False)
        if revision is None or not revision.exists_on_disk:
            return AttemptOutcome("failed", "The revision of this run is no longer on disk.", retryable=False)
        loads = Load.objects.filter(connection=connection, environment=revision.environment)
        done = {load.table: load.result for load in loads.filter(loaded_by=context.task_run_id)}
        left = [stream for stream in spec["streams"] if identifier(stream["name"]) not in done]
        try:
            order = {
                **order_for(connection, revision.environment),
                "action": "load",
                "streams": left,
                "destination": destination_of(revision),
                "project_dir": revision.project_dir,
            }
        except (ConnectionProblem, VariableError, Unreadable, ProfileError) as error:
            return AttemptOutcome("failed", str(error), retryable=False)

        def loaded(stream: str, result: dict[str, Any]) -> None:
            """At once: an attempt that dies later has this table behind it."""
            _record(connection, revision.environment, stream, result, context.task_run_id)

        tables = LoadProgress([stream["name"] for stream in spec["streams"]], done)
        return load(context, order, tables, loaded, sandboxed=connection.connector == "custom")


CONNECTION = ConnectionKind()
register(CONNECTION)


def _settings(connection: Connection, stream: str, *, refresh: bool) -> dict[str, Any]:
    settings = {"name": stream, **connection.settings.get(stream, {}), "refresh": refresh}
    if stream in connection.accepted:
        settings["schema_policy"] = "evolve"  # this once: somebody has seen what changed
    return settings


def _record(connection: Connection, environment: Environment, stream: str, result: dict[str, Any], by: int) -> None:
    with transaction.atomic():
        fresh = Connection.objects.select_for_update().get(pk=connection.pk)
        if stream in fresh.accepted:
            fresh.accepted = [name for name in fresh.accepted if name != stream]
            fresh.save(update_fields=["accepted"])
        Load.objects.update_or_create(
            connection=fresh,
            environment=environment,
            table=identifier(stream),
            defaults={"at": timezone.now(), "rows": result.get("rows_affected"), "result": result, "loaded_by": by},
        )


def _refusals(revision: Revision) -> Iterator[Problem]:
    """Why connections cannot load into the warehouse of an environment; said at Save, not when a run fails."""
    warehouse = revision.environment.warehouse or revision.warehouse
    if refusal := refusal_of(str(warehouse.get("type") or "")):
        yield Problem("connection", refusal)


def _problems(node: Node) -> Iterator[Problem]:
    if node.connection is None:
        yield Problem("connection", "Choose the connection to load.")
        return
    if node.connection.project_id != node.flow.environment.project_id:
        yield Problem("connection", f"{node.connection} belongs to the project {node.connection.project}.")
    if not isinstance(node.streams, list) or not all(isinstance(stream, str) for stream in node.streams):
        yield Problem("streams", "This must be a list of tables.")
    elif unknown := [stream for stream in node.streams if stream not in node.connection.streams]:
        names = ", ".join(node.connection.streams) or "none yet"
        yield Problem("streams", f"{node.connection} has no table {', '.join(unknown)}. It has: {names}.")
    elif not node.connection.streams:
        yield Problem("connection", f"{node.connection} has no tables yet: choose them on its page.")
    elif node.connection.connector not in CATALOGUE:
        yield Problem("connection", f"{node.connection} has no connector yet: choose one on its page.")
