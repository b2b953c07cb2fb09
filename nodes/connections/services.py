"""What people do to connections, and the order that a connection becomes for the process that loads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac

from flows.access import require
from flows.models import Environment, Project, Revision
from flows.variables.encryption import Unreadable
from flows.variables.references import ReferenceProblem, fill, references_in
from flows.variables.sealed import keep, problem_of, value_of
from flows.variables.values import VariableError, environment_of
from nodes.connections.connectors.base import Connector
from nodes.connections.connectors.catalogue import CATALOGUE
from nodes.connections.connectors.streams import StreamSettings, collision, collision_said, identifier
from nodes.connections.connectors.streams import parse as parse_stream
from nodes.dbt.warehouse import profile_of
from nodes.dbt.warehouses.registry import refusal_of
from nodes.fields.form import fields_of, parse, secret_values
from nodes.models import Connection, ConnectionCheck


class ConnectionProblem(ValueError):
    """A connection cannot be kept or used as asked; `errors` says why, by field ("" for the whole)."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__(next(iter(self.errors.values()), ""))


def connector_of(connection: Connection) -> Connector:
    """The connector of a connection. Raises ConnectionProblem where it has none."""
    connector = CATALOGUE.get(connection.connector)
    if connector is None:
        raise ConnectionProblem({"": f"{connection} has no connector: choose one on its page."})
    return connector


def save_connection(connection: Connection, typed: Mapping[str, Any]) -> Connection:
    """Keep a connection with the settings that were typed; an empty secret keeps the one that is there.

    In: a row with name, project, dataset and connector set. Of secrets that cannot be read, what was typed remains.
    Raises ConnectionProblem, PermissionDenied, and Unreadable where the keys of this installation are gone.
    """
    require("nodes.change_connection" if connection.pk else "nodes.add_connection")
    connector = connector_of(connection)
    secret = {each.name for each in fields_of(connector) if each.secret}
    kept = secrets_of(connection) if connection.pk and not problem_with_secrets(connection) else {}
    raw = {**typed, **{name: kept[name] for name in secret if not typed.get(name) and name in kept}}
    values, errors = parse(connector, raw)
    errors = {**errors, **_own_errors(connection)}
    if errors or values is None:
        raise ConnectionProblem(errors)
    hidden = {name: v for name, v in values.items() if name in secret and not references_in(v)}
    connection.config = {name: value for name, value in values.items() if name not in hidden}
    try:
        with transaction.atomic():
            connection.save()  # the secrets are bound to its id
            keep(connection, "sealed", json.dumps(hidden) if hidden else "")
            connection.save(update_fields=["sealed"])
    except IntegrityError as error:
        raise ConnectionProblem(
            {"name": f"{connection.project} already has a connection named {connection.name}."}
        ) from error
    return connection


def save_streams(connection: Connection, chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep which tables are loaded, and how. Raises ConnectionProblem by "table.field", PermissionDenied."""
    require("nodes.change_connection")
    connector = connector_of(connection)
    errors: dict[str, str] = {}
    checked: dict[str, Any] = {}
    for name, raw in chosen.items():
        filters = "row_filter" in connector.pushes
        parsed, wrong = parse_stream({**raw, "name": name}, supports=connector.supports, filters=filters)
        errors |= {f"{name}.{field}": message for field, message in wrong.items()}
        if parsed is not None:
            if not wrong and (both := collision(_columns_of(connection, parsed))):
                errors[f"{name}.rename"] = collision_said(name, both)
            checked[name] = parsed.model_dump(mode="json", exclude={"name", "refresh"})
    tables: dict[str, str] = {}
    for name in checked:
        if other := tables.get(identifier(name)):
            errors[f"{name}.name"] = f"{name} and {other} would both be loaded into the table {identifier(name)}."
        tables[identifier(name)] = name
    if errors:
        raise ConnectionProblem(errors)
    connection.streams, connection.settings = sorted(checked), checked
    connection.save(update_fields=["streams", "settings"])


def _columns_of(connection: Connection, stream: StreamSettings) -> list[str]:
    """What the source said of a table's columns, those that are chosen, under their new names."""
    offered: Mapping[str, Any] = next((each for each in connection.offered if each.get("name") == stream.name), {})
    names = [column["name"] for column in offered.get("columns", ())]
    return [stream.named(name) for name in names if stream.columns is None or name in stream.columns]


def accept_changes(connection: Connection, stream: str) -> None:
    """Let the next load of a table take the columns that its source has now. Raises ConnectionProblem."""
    require("nodes.change_connection")
    if stream not in connection.streams:
        raise ConnectionProblem({"": f"{connection} no longer loads {stream}."})
    connection.accepted = sorted({*connection.accepted, stream})
    connection.save(update_fields=["accepted"])


def secrets_of(connection: Connection) -> dict[str, Any]:
    """The secret settings in the clear. Raises Unreadable."""
    secrets: dict[str, Any] = json.loads(value_of(connection, "sealed") or "{}")
    return secrets


def problem_with_secrets(connection: Connection) -> str:
    """Why the secret settings cannot be read; empty where they can."""
    return problem_of(connection, "sealed")


def secrets_to_mask(project: Project) -> list[str]:
    """Every secret of a project's connections; what cannot be read, nobody can print."""
    secrets = []
    for connection in project.connections.exclude(sealed=""):
        connector = CATALOGUE.get(connection.connector)
        if connector is not None:
            try:
                secrets += secret_values(connector, secrets_of(connection))
            except Unreadable:
                continue
    return secrets


def order_for(connection: Connection, environment: Environment) -> dict[str, Any]:
    """What the child process is told of the source. Raises ConnectionProblem, VariableError, Unreadable."""
    connector = connector_of(connection)
    values = environment_of(environment)
    try:
        config = _filled({**connection.config, **secrets_of(connection)}, values)
        dataset = fill(connection.dataset, values, {})
    except ReferenceProblem as error:
        raise ConnectionProblem({"": str(error)}) from error
    revision = environment.current_revision
    return {
        "connector": connector.key,
        "config": config,
        "dataset": identifier(dataset),
        "project_dir": revision.project_dir if revision else None,
        "pipeline": f"connection-{connection.pk}",
        "pipelines_dir": str(pipelines_dir(connection, environment)),
        "network": {"private": settings.CONNECT_PRIVATE, "allow": settings.CONNECT_ALLOW},
        "files": {"roots": settings.CONNECT_FILES},
    }


def digest_of(order: Mapping[str, Any]) -> str:
    """Names what an order asks of a source, secrets included, so that an answer is known to be about these settings.

    Keyed: who reads the database learns nothing of a secret by trying values.
    """
    relevant = {name: order[name] for name in ("connector", "config", "dataset")}
    relevant["project_dir"] = order["project_dir"] if order["connector"] == "custom" else None
    return salted_hmac(
        "nodes.connections.services", json.dumps(relevant, sort_keys=True), algorithm="sha256"
    ).hexdigest()


def is_about(check: ConnectionCheck, connection: Connection, environment: Environment) -> bool:
    """Whether a check was made with the connection's present settings; what cannot be read was not checked either."""
    try:
        return check.environment_id == environment.pk and check.settings_digest == digest_of(
            order_for(connection, environment)
        )
    except (ConnectionProblem, VariableError, Unreadable):
        return check.settings_digest == ""


def destination_of(revision: Revision) -> dict[str, Any]:
    """The warehouse of a revision as a place to load into. Raises ConnectionProblem, ProfileError."""
    profile = profile_of(revision)
    if profile.type == "duckdb" and profile.database:
        return {"type": "duckdb", "path": profile.database}
    if profile.type == "postgres":
        named = {"dbname": profile.output.get("dbname") or profile.output.get("database")}
        options = {
            key: profile.output[key] for key in ("host", "user", "password", "sslmode") if profile.output.get(key)
        }
        return {"type": "postgres", "port": int(profile.output.get("port") or 5432), **options, **named}
    raise ConnectionProblem({"": refusal_of(profile.type) or "Connections cannot load into a DuckDB that is no file."})


def pipelines_dir(connection: Connection, environment: Environment) -> Path:
    """Where the state of the loads of a connection into an environment is kept."""
    folder = Path(settings.DEX_HOME) / "pipelines" / f"environment-{environment.pk}" / f"connection-{connection.pk}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def request_check(connection: Connection, environment: Environment, what: str) -> ConnectionCheck:
    """Request a check, which a worker makes. Raises PermissionDenied."""
    actor = require("nodes.change_connection")
    return ConnectionCheck.objects.create(
        connection=connection, environment=environment, what=what, requested_by=actor.name[:200]
    )


def _own_errors(connection: Connection) -> dict[str, str]:
    errors = {}
    if not connection.name.strip():
        errors["name"] = "A connection needs a name."
    if not connection.dataset.strip():
        errors["dataset"] = "Enter the warehouse schema for the tables."
    elif not references_in(connection.dataset) and identifier(connection.dataset) != connection.dataset:
        errors["dataset"] = (
            "A schema name can have lower-case letters, digits and underscores, such as "
            f"{identifier(connection.dataset)}."
        )
    if not 1 <= connection.parallel <= 32:
        errors["parallel"] = "Enter a number of tables from 1 to 32."
    return errors


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, values, {})
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    return [_filled(each, values) for each in value] if isinstance(value, list) else value
