"""Admin pages of flows, nodes, links and of the record of changes."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from flows.forms import FlowForm
from flows.models import Environment, Flow
from flows.object_actions import ObjectActions
from nodes import expansion, services
from nodes.forms.admin import LinkForm, NodeForm
from nodes.forms.environment import NAMES, WarehouseForm, field_names
from nodes.models import Change, Link, Node
from nodes.services.previews import what_it_does


@admin.register(Flow)
class FlowAdmin(ObjectActions):
    """Flows, as rows; people make and edit them on pages of their own."""

    form = FlowForm
    list_display = ("name", "environment", "description")
    list_select_related = ("environment__project",)
    list_filter = ("environment",)
    search_fields = ("name", "description")

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether this user may start flows; looking at them is not enough."""
        return request.user.has_perm("runs.add_run")

    def save_model(self, request: HttpRequest, obj: Flow, form: ModelForm, change: bool) -> None:
        """Save it by its service."""
        services.save_flow(obj)

    def delete_model(self, request: HttpRequest, obj: Flow) -> None:
        """Delete it by its service."""
        services.delete_flow(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Flow]) -> None:
        """Delete each by its service."""
        for flow in queryset:
            services.delete_flow(flow)


@admin.register(Node)
class NodeAdmin(ObjectActions):
    """Nodes. Saving and deleting go through the services, as everywhere."""

    form = NodeForm
    list_display = ("name", "flow", "kind", "include", "exclude", "command", "position")
    list_filter = ("flow",)
    list_select_related = ("flow",)
    search_fields = ("name", "flow__name")
    readonly_fields = ("components", "changes")

    def get_fieldsets(self, request: HttpRequest, obj: Node | None = None) -> Any:
        """The form; below it, once the node is saved, what it became."""
        made: list[Any] = [(None, {"fields": NodeForm.Meta.fields})]
        if obj is not None:
            made += [
                ("Node components", {"fields": ["components"]}),
                ("Changes", {"fields": ["changes"], "classes": ["collapse"]}),
            ]
        return made

    # Not inlines: these would be posted back with the form, a thousand rows of a large node too, and be refused
    # when a run expanded the node meanwhile.
    @admin.display(description="tasks")
    def components(self, node: Node) -> SafeString:
        """What the node was expanded to."""
        return render_to_string("nodes/_components.html", {"tasks": node.tasks.all()})

    @admin.display(description="expansions")
    def changes(self, node: Node) -> SafeString:
        """What came and went when the node was expanded again."""
        latest = node.expansions.select_related("revision", "since")[:20]
        return render_to_string("nodes/_expansions.html", {"expansions": latest})

    def save_model(self, request: HttpRequest, obj: Node, form: ModelForm, change: bool) -> None:
        """Save it by its service."""
        services.save_node(obj)
        self.message_user(request, f"{obj} has {what_it_does(obj)}.")
        revision = obj.flow.environment.current_revision
        for warning in expansion.expand(obj, revision).warnings if revision else ():
            self.message_user(request, warning.message, messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: Node) -> None:
        """Delete it by its service."""
        services.delete_node(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        """Delete each by its service."""
        for node in queryset:
            services.delete_node(node)


@admin.register(Link)
class LinkAdmin(ObjectActions):
    """Links: what runs after what beyond the order of refs. To change one, delete it and draw another."""

    form = LinkForm
    list_display = ("__str__", "flow")
    list_filter = ("flow",)
    list_select_related = ("flow", "up", "down")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one here."""
        return False

    def save_model(self, request: HttpRequest, obj: Link, form: ModelForm, change: bool) -> None:
        """Save it by its service."""
        obj.flow = obj.up.flow
        obj.pk = services.link(obj.up, obj.down).pk

    def delete_model(self, request: HttpRequest, obj: Link) -> None:
        """Delete it by its service."""
        services.unlink(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Link]) -> None:
        """Delete each by its service."""
        for arrow in queryset:
            services.unlink(arrow)


@admin.register(Change)
class ChangeAdmin(admin.ModelAdmin):
    """Who changed which flow, and how: to look at, for nobody to edit."""

    list_display = ("at", "actor", "flow_name", "said")
    list_filter = ("actor", "flow_name")
    search_fields = ("flow_name", "said", "actor")
    date_hierarchy = "at"
    fields = ("flow_name", "version", "at", "actor", "said", "details", "document")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes one here."""
        return False


# flows cannot import nodes, so what knows warehouses is added to its page from here.
_environments = admin.site.get_model_admin(Environment)
_environments.form = WarehouseForm
_parts: list[Any] = [
    (None, {"fields": ["project", "name", "branch", "sync_every", "threads"]}),
    ("Warehouse", {"fields": ["warehouse_type", "target"]}),
    *((NAMES[kind], {"classes": [f"when-warehouse_type-{kind}"], "fields": field_names(kind)}) for kind in NAMES),
    ("What flows run on", {"fields": ["commit", "synced_at", "progress", "sync_error", "left_out"]}),
]
_environments.get_fieldsets = lambda request, obj=None: _parts  # type: ignore[method-assign]
