"""Plain admin pages of nodes, links and tasks."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from flows.models import Environment
from nodes import services, sync
from nodes.forms import NodeForm
from nodes.models import Expansion, Link, Node, Task


class TaskInline(admin.TabularInline):
    """Node components: what the node was expanded to."""

    model = Task
    verbose_name_plural = "node components"
    fields = (
        "identifier",
        "resource_type",
        "tags",
        "path",
        "materialized",
        "depends_on",
        "needed_by",
        "runs",
        "built_by",
    )
    readonly_fields = fields
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ExpansionInline(admin.TabularInline):
    """What came and went when the node was expanded again."""

    model = Expansion
    fields = ("at", "reason", "since", "revision", "came", "went")
    readonly_fields = fields
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Node)
class NodeAdmin(admin.ModelAdmin):
    """Nodes. Saving and deleting go through the services, as everywhere."""

    form = NodeForm
    list_display = ("name", "flow", "kind", "include", "exclude", "command", "position")
    list_filter = ("flow",)
    list_select_related = ("flow",)
    search_fields = ("name", "flow__name")
    inlines: ClassVar = [TaskInline, ExpansionInline]

    def save_model(self, request: HttpRequest, obj: Node, form: ModelForm, change: bool) -> None:
        services.save_node(obj)
        tasks = obj.tasks.filter(runs=True).count()
        self.message_user(request, f"{obj} has {tasks} task{'s' if tasks != 1 else ''}.")

    def delete_model(self, request: HttpRequest, obj: Node) -> None:
        services.delete_node(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        for node in queryset:
            services.delete_node(node)


class LinkForm(ModelForm):
    """An arrow between two nodes of a flow."""

    class Meta:
        model = Link
        fields: ClassVar = ["up", "down"]

    def clean(self) -> dict[str, Any]:
        """Refuses an arrow that closes a circle, with the circle's names."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                services.check_link(cleaned["up"], cleaned["down"])
            except ValidationError as error:
                self.add_error(None, error)
        return cleaned


@admin.register(Link)
class LinkAdmin(admin.ModelAdmin):
    """Links: what runs after what beyond the order of refs. To change one, delete it and draw another."""

    form = LinkForm
    list_display = ("__str__", "flow")
    list_filter = ("flow",)
    list_select_related = ("flow", "up", "down")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Link, form: ModelForm, change: bool) -> None:
        obj.flow = obj.up.flow
        obj.pk = services.link(obj.up, obj.down).pk

    def delete_model(self, request: HttpRequest, obj: Link) -> None:
        services.unlink(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Link]) -> None:
        for arrow in queryset:
            services.unlink(arrow)


@admin.action(description="Sync: parse what the folder holds now", permissions=["change"])
def sync_environments(model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Environment]) -> None:
    """Parse the chosen environments; errors are shown and the last good revision stays."""
    for environment in queryset.select_related("project"):
        try:
            revision = sync.sync(environment)
            model_admin.message_user(request, f"{environment} is at {revision}.")
        except sync.SyncError as error:
            model_admin.message_user(request, f"{environment} does not parse: {error}", messages.ERROR)


# flows cannot import nodes, so what needs a parser is added to its page from here.
admin.site.get_model_admin(Environment).actions = [sync_environments]
