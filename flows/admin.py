"""Plain admin pages of projects, environments, revisions and flows."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from flows import scheduling
from flows.models import Environment, Flow, Project, Revision
from flows.parameters import ParameterError, check_declarations
from flows.services import check_folder

scheduling.hide_from_admin()


class ProjectForm(forms.ModelForm):
    """A project's folder is looked at when it is typed, not when a run fails."""

    class Meta:
        model = Project
        fields: ClassVar = ["name", "path"]

    def clean_path(self) -> str:
        """The absolute path of a folder that holds a dbt project."""
        return str(check_folder(self.cleaned_data["path"]))


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Projects."""

    form = ProjectForm
    list_display = ("name", "path")
    search_fields = ("name", "path")


@admin.register(Environment)
class EnvironmentAdmin(admin.ModelAdmin):
    """Environments: what was parsed last, and what is wrong with it."""

    list_display = ("__str__", "target", "threads", "current_revision", "synced_at", "is_broken")
    list_select_related = ("project", "current_revision")
    fields = ("project", "name", "target", "threads", "current_revision", "synced_at", "sync_error")
    readonly_fields = ("current_revision", "synced_at", "sync_error")
    search_fields = ("name", "project__name")

    @admin.display(boolean=True, description="parses")
    def is_broken(self, environment: Environment) -> bool:
        """Whether the last sync succeeded."""
        return not environment.sync_error


@admin.register(Revision)
class RevisionAdmin(admin.ModelAdmin):
    """Revisions, to look at."""

    list_display = ("__str__", "environment", "created_at", "resources")
    list_filter = ("environment",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FlowForm(forms.ModelForm):
    """The settings of a flow."""

    class Meta:
        model = Flow
        fields: ClassVar = [
            "name",
            "description",
            "environment",
            "retries",
            "retry_delay",
            "timeout",
            "allow_empty",
            "parameters",
        ]

    def clean_parameters(self) -> list[dict[str, Any]]:
        """The declared parameters."""
        declared = self.cleaned_data["parameters"] or []
        try:
            check_declarations(declared)
        except ParameterError as error:
            raise ValidationError(str(error)) from error
        return declared


@admin.register(Flow)
class FlowAdmin(admin.ModelAdmin):
    """Flows; their nodes and links are registered by the apps that know them (nodes.admin, runs.admin)."""

    form = FlowForm
    list_display = ("name", "environment", "description")
    list_select_related = ("environment__project",)
    list_filter = ("environment",)
    search_fields = ("name", "description")
