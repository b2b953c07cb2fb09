"""The pages of connections: Source, Settings, Tables; questions to a source; the sources that models read."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.models import Environment, Project
from flows.projects.current_environment import chosen_environment
from flows.variables.encryption import Unreadable
from nodes.connections.connectors.base import GROUPS
from nodes.connections.connectors.catalogue import CATALOGUE
from nodes.connections.connectors.streams import identifier
from nodes.connections.forms import CHOICES, ConnectionForm, chosen_tables, tables_of
from nodes.connections.services import ConnectionProblem, accept_changes, is_about, save_connection, save_streams
from nodes.connections.source_yaml import declared_in, proposal
from nodes.expansion import refresh_connection
from nodes.models import Connection, Load

MOST_TABLES = 1000
looks = permission_required("nodes.view_connection", raise_exception=True)
adds = permission_required("nodes.add_connection", raise_exception=True)
changes = permission_required("nodes.change_connection", raise_exception=True)


def connection_or_404(pk: int) -> Connection:
    """The connection with this id."""
    return get_object_or_404(Connection.objects.select_related("project"), pk=pk)


def environment_of(connection: Connection, number: str | None, chosen: Environment | None) -> Environment | None:
    """The environment that a check is for: the one with this id, the one chosen in the switch, or the first."""
    rows = list(connection.project.environments.select_related("current_revision", "project"))
    if number:
        return next((row for row in rows if str(row.pk) == number), None)
    return next((row for row in rows if chosen is not None and row.pk == chosen.pk), rows[0] if rows else None)


@dataclass(frozen=True)
class Latest:
    """When a connection last loaded something, where, and how many rows its tables brought there."""

    at: datetime
    environment: Environment
    rows: int


def latest_loads(environment: Environment | None) -> dict[int, Latest]:
    """Id of a connection -> its latest load: in this environment, or in the one that it was last loaded into."""
    latest: dict[int, Latest] = {}
    loads = Load.objects.select_related("environment__project").order_by("-at")
    for load in loads.filter(environment=environment) if environment else loads:
        before = latest.setdefault(load.connection_id, Latest(load.at, load.environment, 0))
        if before.environment == load.environment:
            latest[load.connection_id] = replace(before, rows=before.rows + (load.rows or 0))
    return latest


@require_safe
@looks
def connections(request: HttpRequest) -> HttpResponse:
    """All connections, or those of the chosen environment's project."""
    environment = chosen_environment(request)
    rows = Connection.objects.select_related("project").prefetch_related("nodes__flow")
    if environment is not None:
        rows = rows.filter(project=environment.project_id)
    latest = latest_loads(environment)
    context = {
        "rows": [(row, CATALOGUE.get(row.connector), latest.get(row.pk)) for row in rows],
        "environment": environment,
        "has_projects": Project.objects.exists(),
    }
    return render(request, "nodes/connections.html", context)


@require_safe
@adds
def choose(request: HttpRequest) -> HttpResponse:
    """The first step: which kind of source."""
    groups = [(group, [each for each in CATALOGUE.values() if each.group == group]) for group in GROUPS]
    return render(request, "nodes/connection_new.html", {"groups": groups})


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@adds
def new(request: HttpRequest, connector: str) -> HttpResponse:
    """The second step: the settings of a new connection."""
    if connector not in CATALOGUE:
        raise Http404("Connector not found.")
    projects = list(Project.objects.all())
    chosen = chosen_environment(request)
    number = request.POST.get("project") or request.GET.get("project") or (str(chosen.project_id) if chosen else "")
    project = next((row for row in projects if str(row.pk) == number), projects[0] if len(projects) == 1 else None)
    row = Connection(connector=connector)
    if project is not None:
        row.project = project
    form = ConnectionForm(request.POST if request.method == "POST" else None, connector=CATALOGUE[connector], row=row)
    if request.method == "POST" and project is None:
        form.add_error(None, "Choose the project that the connection belongs to.")
    if request.method == "POST" and _saved(form, row):
        messages.success(request, f"{row.name} was saved. Next, test it and choose its tables.")
        return redirect("nodes:connection_tables", row.pk)
    context = {"form": form, "row": None, "connector": CATALOGUE[connector], "projects": projects, "project": project}
    return render(request, "nodes/connection.html", context, status=422 if form.errors else 200)


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@looks
def connection(request: HttpRequest, connection_id: int) -> HttpResponse:
    """The settings of a connection."""
    row = connection_or_404(connection_id)
    connector = CATALOGUE.get(row.connector)
    if connector is None:
        return _choose_connector(request, row)
    if request.method == "POST" and not request.user.has_perm("nodes.change_connection"):
        return render(request, "403.html", status=403)
    form = ConnectionForm(request.POST if request.method == "POST" else None, connector=connector, row=row)
    if request.method == "POST" and _saved(form, row):
        messages.success(request, f"{row.name} was saved.")
        return redirect("nodes:connection", row.pk)
    context = {"form": form, **_page(request, connection_or_404(connection_id))}
    return render(request, "nodes/connection.html", context, status=422 if form.errors else 200)


def _choose_connector(request: HttpRequest, row: Connection) -> HttpResponse:
    """A connection from before there were connectors: choose one, and go on with its settings."""
    chosen = request.POST.get("connector", "")
    if request.method == "POST" and request.user.has_perm("nodes.change_connection") and chosen in CATALOGUE:
        Connection.objects.filter(pk=row.pk).update(connector=chosen)
        return redirect("nodes:connection", row.pk)
    groups = [(group, [each for each in CATALOGUE.values() if each.group == group]) for group in GROUPS]
    return render(request, "nodes/connection_new.html", {"groups": groups, "row": row})


def _saved(form: ConnectionForm, row: Connection) -> bool:
    if not form.is_valid():
        return False
    for name in ("name", "dataset", "description", "parallel"):
        setattr(row, name, form.cleaned_data[name])
    try:
        save_connection(row, form.typed)
    except ConnectionProblem as error:
        form.tell(error.errors)
    except Unreadable as error:
        form.add_error(None, f"Its secrets cannot be encrypted: {error}.")
    if not form.errors:
        refresh_connection(row)
    return not form.errors


@require_http_methods(["GET", "HEAD", "POST"])
@looks
def tables(request: HttpRequest, connection_id: int) -> HttpResponse:
    """The third step: which tables, and how each is loaded."""
    row = connection_or_404(connection_id)
    if request.method == "POST" and not request.user.has_perm("nodes.change_connection"):
        return render(request, "403.html", status=403)
    shown = tables_of(row)
    errors: dict[str, str] = {}
    if request.method == "POST":
        chosen, errors = chosen_tables(request.POST, min(len(shown) + 1, MOST_TABLES))
        if not errors:
            try:
                save_streams(row, chosen)
            except ConnectionProblem as error:
                errors = error.errors
            else:
                refresh_connection(row)
                many = "" if len(chosen) == 1 else "s"
                messages.success(request, f"{row.name} loads {len(chosen)} table{many} from now on.")
                return redirect("nodes:connection_tables", row.pk)
        row.streams, row.settings = sorted(chosen), chosen
        shown = tables_of(row)
        for table in shown:
            table.errors = {
                key.rpartition(".")[2]: message
                for key, message in errors.items()
                if key.rpartition(".")[0] == table.name
            }
    page = _page(request, row)
    loads = {load.table: load for load in row.loads.filter(environment=page["environment"])}
    for table in shown:
        table.load = loads.get(identifier(table.name))
    context = {"tables": shown, **CHOICES, "errors": errors, **page}
    return render(request, "nodes/connection_tables.html", context, status=422 if errors else 200)


@require_safe
@looks
def sources(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Which tables the project declares as sources, and the YAML for all of them."""
    row = connection_or_404(connection_id)
    page = _page(request, row)
    environment = page["environment"]
    path, text = proposal(row)
    rows = declared_in(row, environment) if environment else []
    context = {
        "declared": rows,
        "missing": sum(1 for each in rows if not each.is_synced),
        "path": path,
        "yaml": text,
        **page,
    }
    return render(request, "nodes/connection_sources.html", context)


@require_POST
@changes
def accept(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Take the changed columns of a table at its next load; back to where that was asked."""
    row = connection_or_404(connection_id)
    stream = request.POST.get("stream", "")
    try:
        accept_changes(row, stream)
    except ConnectionProblem as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request,
            f"The next load of {stream} will accept the new columns. Rerun from failure, or wait for the next run.",
        )
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back) if safe else redirect("nodes:connection_tables", row.pk)


@require_POST
@permission_required("nodes.delete_connection", raise_exception=True)
def delete(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Forget a connection that no node uses; the tables in the warehouse stay."""
    row = connection_or_404(connection_id)
    try:
        row.delete()
    except ProtectedError:
        used = ", ".join(sorted({f"{node.flow} / {node}" for node in row.nodes.select_related("flow")}))
        messages.error(request, f"{row} is used by {used}. Remove it from these nodes first.")
        return redirect("nodes:connection", row.pk)
    messages.success(request, f"{row.name} was deleted. The data it loaded stays in the warehouse.")
    return redirect("nodes:connections")


def _page(request: HttpRequest, row: Connection) -> dict[str, Any]:
    """What the pages of one connection share."""
    environment = environment_of(row, request.GET.get("environment"), chosen_environment(request))
    nodes = list(row.nodes.select_related("flow"))
    context = {"row": row, "connector": CATALOGUE.get(row.connector), "environment": environment, "nodes": nodes}
    if environment is None:
        return context
    latest = row.checks.filter(done_at__isnull=False, environment=environment).first()
    if latest is not None and not is_about(latest, row, environment):
        return {**context, "outdated": latest}
    return {**context, "check": latest}
