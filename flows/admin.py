"""Admin pages of projects, environments and revisions."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from dexsite.admin import ObjectActions
from flows import scheduling
from flows.forms import ProjectForm
from flows.models import Environment, Project, Revision

scheduling.hide_from_admin()


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
