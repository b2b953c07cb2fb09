"""Plain admin pages of projects, environments, revisions and flows."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest

from dexsite.admin import ObjectActions
from flows import scheduling
from flows.models import Environment, Flow, Project, Revision
from flows.parameters import TYPES, ParameterError, check_declarations
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


def _say_to_sync(model_admin: admin.ModelAdmin, request: HttpRequest, who: str) -> None:
    said = f"{who}: until then, nodes show the models of what was parsed last."
    model_admin.message_user(request, said, messages.WARNING)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Projects."""

    form = ProjectForm
    list_display = ("name", "path")
    search_fields = ("name", "path")

    def save_model(self, request: HttpRequest, obj: Project, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "path" in form.changed_data:
            _say_to_sync(self, request, f"Sync the environments of {obj}")


@admin.register(Environment)
class EnvironmentAdmin(ObjectActions):
    """Environments: what was parsed last, and what is wrong with it."""

    list_display = ("__str__", "target", "threads", "current_revision", "synced_at", "parses")
    list_select_related = ("project", "current_revision")
    fields = ("project", "name", "target", "threads", "current_revision", "synced_at", "sync_error")
    readonly_fields = ("current_revision", "synced_at", "sync_error")
    search_fields = ("name", "project__name")

    @admin.display(boolean=True, description="parses")
    def parses(self, environment: Environment) -> bool | None:
        """Whether the last sync succeeded; unknown before the first."""
        return not environment.sync_error if environment.synced_at else None

    def save_model(self, request: HttpRequest, obj: Environment, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if {"project", "target"} & set(form.changed_data):
            _say_to_sync(self, request, f"Sync {obj}")


@admin.register(Revision)
class RevisionAdmin(admin.ModelAdmin):
    """Revisions, to look at."""

    list_display = ("__str__", "environment", "created_at", "resources")
    list_filter = ("environment",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeclarationsField(forms.JSONField):
    """JSON; what Python's reader gives up on is a mistake of the text too, not of the site."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)  # shown as it was typed


class FlowForm(forms.ModelForm):
    """The settings of a flow."""

    parameters = DeclarationsField(
        required=False,
        initial=list,
        help_text=Flow._meta.get_field("parameters").help_text + " Types: " + ", ".join(TYPES) + ".",
    )

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
class FlowAdmin(ObjectActions):
    """Flows; their nodes and links are registered by the apps that know them (nodes.admin, runs.admin)."""

    form = FlowForm
    list_display = ("name", "environment", "description")
    list_select_related = ("environment__project",)
    list_filter = ("environment",)
    search_fields = ("name", "description")

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether this user may start flows; looking at them is not enough."""
        return request.user.has_perm("runs.add_run")
