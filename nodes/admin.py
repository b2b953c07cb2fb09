"""Admin pages of flows, nodes, links and of the record of changes: to look at. Flows are edited on their own pages."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flows.access import acting
from flows.model_admins import ReadOnly
from flows.models import Environment, Flow, Project, Revision
from nodes.dbt.runtime import built_in
from nodes.forms.environment import WarehouseForm, fieldsets
from nodes.models import Change, DbtRuntime, Link, Node
from nodes.runtimes.choices import row_of
from nodes.services.warehouse_checks import shown_check


@admin.register(Flow)
class FlowAdmin(ReadOnly):
    """Flows, as rows."""

    list_display = ("name", "environment", "description")
    list_select_related = ("environment__project",)
    list_filter = ("environment",)
    search_fields = ("name", "description")


@admin.register(Node)
class NodeAdmin(ReadOnly):
    """Nodes, each with its tasks and what changed when it was expanded."""

    list_display = ("name", "flow", "kind", "include", "exclude", "command", "position")
    list_filter = ("flow",)
    list_select_related = ("flow",)
    search_fields = ("name", "flow__name")
    readonly_fields = ("components", "changes")

    # Not inlines: a form for each of a thousand rows takes seconds.
    @admin.display(description="tasks")
    def components(self, node: Node) -> SafeString:
        """What the node was expanded to."""
        return render_to_string("nodes/_components.html", {"tasks": node.tasks.all()})

    @admin.display(description="expansions")
    def changes(self, node: Node) -> SafeString:
        """What came and went when the node was expanded again."""
        latest = node.expansions.select_related("revision", "since")[:20]
        return render_to_string("nodes/_expansions.html", {"expansions": latest})


@admin.register(Link)
class LinkAdmin(ReadOnly):
    """Links: what runs after what beyond the order of refs."""

    list_display = ("__str__", "flow")
    list_filter = ("flow",)
    list_select_related = ("flow", "up", "down")


@admin.register(Change)
class ChangeAdmin(ReadOnly):
    """Who changed which flow, and how."""

    list_display = ("when", "actor", "flow", "said")
    list_filter = ("actor", "flow_name")
    search_fields = ("flow_name", "said", "actor")
    date_hierarchy = "at"
    fields = ("flow", "version", "when", "actor", "said", "details", "document")
    readonly_fields = ("flow", "when")

    @admin.display(description="when", ordering="at")
    def when(self, change: Change) -> datetime:
        """The moment of the change."""
        return change.at

    @admin.display(description="flow", ordering="flow_name")
    def flow(self, change: Change) -> str:
        """The flow by the name that it had."""
        return change.flow_name


@admin.display(description="models run on")
def dbt_of_project(project: Project) -> SafeString | str:
    """Where one sees and chooses the dbt that runs a project."""
    if project.pk is None:
        return "Save the project first."
    row = row_of(project)
    said = f"dbt {built_in().dbt}, built in" if row.source == DbtRuntime.Source.BUILT_IN else row.get_source_display()
    return format_html(
        '<p>{} <a href="{}">dbt runtime</a></p>', f"{said}.", reverse("runs:dbt_runtime", args=[project.pk])
    )


@admin.display(description="models run on")
def dbt_of_environment(environment: Environment) -> SafeString | str:
    """The dbt that parsed the current revision, and where one changes it."""
    if environment.pk is None:
        return "The one of the project."
    revision = environment.current_revision
    said = dbt_of_revision(revision) if revision is not None else "Not known before the first sync"
    if not acting().may("flows.view_project"):
        return f"{said}."
    address = reverse("runs:dbt_runtime", args=[environment.project_id])
    return format_html('<p>{} <a href="{}">dbt runtime</a></p>', f"{said}.", address)


@admin.display(description="dbt")
def dbt_of_revision(revision: Revision) -> str:
    """The dbt that a revision was parsed with, and runs on."""
    runtime = revision.runtime
    if not runtime:
        return "The dbt that dex ships"
    python = f", Python {runtime['python']}" if runtime.get("python") else ", built in"
    return f"dbt {runtime['version']}, {', '.join(runtime['adapters'])}{python}"


@admin.display(description="test")
def warehouse_test(environment: Environment) -> SafeString | str:
    """Whether the warehouse can be reached with what is saved, and the button that asks."""
    if environment.pk is None:
        return "Save the environment first."
    return render_to_string("runs/_warehouse_check.html", shown_check(environment))


# flows cannot import nodes, so what knows warehouses and dbt is added to its pages from here.
_projects: Any = admin.site.get_model_admin(Project)
_projects.readonly_fields = (*_projects.readonly_fields, dbt_of_project)
_of_project: list[Any] = [*(_projects.fieldsets or ())]
_of_project.insert(1, ("dbt", {"fields": [dbt_of_project]}))
_projects.fieldsets = _of_project
_revisions: Any = admin.site.get_model_admin(Revision)
_revisions.readonly_fields = (*_revisions.readonly_fields, dbt_of_revision)
_revisions.fields = (*(_revisions.fields or ()), dbt_of_revision)
_environments: Any = admin.site.get_model_admin(Environment)
_environments.form = WarehouseForm
_environments.readonly_fields = (*_environments.readonly_fields, dbt_of_environment, warehouse_test)
_parts: list[Any] = [
    (None, {"fields": ["project", "name", "branch", "sync_every", "threads", "executor"]}),
    ("Warehouse", {"fields": ["warehouse_type", "target"]}),
    *fieldsets(),
    ("Connection to the warehouse", {"fields": [warehouse_test]}),
    ("Current revision", {"fields": ["commit", dbt_of_environment, "synced_at", "progress", "sync_error", "left_out"]}),
]
_environments.get_fieldsets = lambda request, obj=None: _parts
