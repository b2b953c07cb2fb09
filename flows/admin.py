"""Admin pages of projects, environments and revisions."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flows.access import acting
from flows.model_admins import ObjectActions, ReadOnly
from flows.models import Environment, LogIn, Project, Revision
from flows.projects.forms import EnvironmentForm, ProjectForm
from flows.scheduling import beat
from flows.variables.encryption import Unreadable

beat.hide_from_admin()


def _forget_what_was_wrong(environments: QuerySet[Environment]) -> None:
    """What was wrong at the last sync was about other settings; until the next one nobody knows."""
    environments.exclude(sync_error="").update(sync_error="", sync_error_about="", synced_at=None)


def _say_to_sync(model_admin: admin.ModelAdmin, request: HttpRequest, who: str) -> None:
    message = f"{who}: until then, nodes show the models of the last sync."
    model_admin.message_user(request, message, messages.WARNING)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Projects."""

    form = ProjectForm
    list_display = ("name", "source", "subfolder")
    search_fields = ("name", "path", "url")
    readonly_fields = ("kept", "pushes")
    fieldsets = (
        (None, {"fields": ["name", "url", "path", "subfolder"]}),
        (
            "Access to the repository",
            {
                "classes": ["collapse"],
                "fields": ["kept", "username", "new_token", "new_private_key", "known_hosts", "forget", "pushes"],
            },
        ),
    )

    @admin.display(description="repository or folder")
    def source(self, project: Project) -> str:
        """Where the code comes from."""
        return project.url or project.path

    @admin.display(description="kept")
    def kept(self, project: Project) -> str:
        """Which credentials there are; never what they are."""
        names = [label for label, there in (("token", project.token), ("private key", project.private_key)) if there]
        return f"A {' and a '.join(names)}." if names else "None."

    @admin.display(description="pushes")
    def pushes(self, project: Project) -> SafeString | str:
        """Where one makes the repository tell of pushes."""
        if project.pk is None:
            return "Save the project first."
        address = reverse("flows:pushes", args=[project.pk])
        label = "Syncs on push" if project.push_secret else "Sync on push"
        return format_html('<a href="{}">{}</a>', address, label)

    def save_model(self, request: HttpRequest, obj: Project, form: forms.ModelForm, change: bool) -> None:
        """Save it by its service."""
        super().save_model(request, obj, form, change)
        try:
            form.keep_secrets(obj)  # type: ignore[attr-defined]
        except Unreadable as error:
            self.message_user(request, f"Token and key were not saved: {error}.", messages.ERROR)
        if change and set(form.changed_data) - {"name"}:
            _forget_what_was_wrong(obj.environments.all())
        if change and {"path", "url", "subfolder"} & set(form.changed_data):
            _say_to_sync(self, request, f"Sync the environments of {obj}")


@admin.register(Environment)
class EnvironmentAdmin(ObjectActions):
    """Environments: what was parsed last, and what is wrong with it. nodes.admin adds the warehouse and the sync."""

    form = EnvironmentForm
    list_display = ("__str__", "branch", "current_revision", "subject", "progress")
    list_select_related = ("project", "current_revision")
    readonly_fields = ("progress", "commit", "synced_at", "sync_error", "left_out")
    search_fields = ("name", "project__name")

    @admin.display(description="commit")
    def subject(self, environment: Environment) -> str:
        """What the commit that is used is called."""
        return environment.current_revision.subject[:60] if environment.current_revision else ""

    @admin.display(description="revision")
    def commit(self, environment: Environment) -> str:
        """The commit that flows run on, with its message and author."""
        revision = environment.current_revision
        if revision is None:
            return "Never synced."
        subject = f"{revision.subject}, by {revision.author}" if revision.subject else ""
        return f"{revision} {subject}".strip()

    @admin.display(description="notes")
    def left_out(self, environment: Environment) -> str:
        """What the commit holds that dex does not take, and what else the last sync has to say."""
        return "\n".join(environment.sync_notes) or "None."

    @admin.display(description="sync")
    def progress(self, environment: Environment) -> SafeString:
        """Whether it is being synced, or what came of the last time; it follows by itself."""
        may_choose = acting().may("flows.view_project")
        return render_to_string("runs/_sync.html", {"row": environment, "may_choose": may_choose})

    def save_model(self, request: HttpRequest, obj: Environment, form: forms.ModelForm, change: bool) -> None:
        """Save it by its service."""
        super().save_model(request, obj, form, change)
        if set(form.changed_data) - {"name", "sync_every", "threads", "executor"}:
            _forget_what_was_wrong(Environment.objects.filter(pk=obj.pk))
            _say_to_sync(self, request, f"Sync {obj}")


@admin.register(LogIn)
class LogInAdmin(ReadOnly):
    """Who tried to log in, to look at."""

    list_display = ("at", "who", "address", "ended", "refused")
    list_display_links = ("who",)
    list_filter = ("outcome",)
    search_fields = ("name", "address")
    date_hierarchy = "at"
    fields = ("at", "who", "address", "ended", "refused")

    @admin.display(description="outcome", ordering="outcome")
    def ended(self, row: LogIn) -> SafeString:
        """What became of it, with the icon and the colour of such an end."""
        return render_to_string("flows/_outcome.html", {"row": row})

    @admin.display(description="user", ordering="name")
    def who(self, row: LogIn) -> str:
        """The user; unknown name is not kept."""
        return row.name or "unknown name"


@admin.register(Revision)
class RevisionAdmin(admin.ModelAdmin):
    """Revisions, to look at."""

    list_display = ("__str__", "environment", "subject", "author", "created_at", "counts")
    list_filter = ("environment",)
    fields = (
        *("environment", "commit", "holds", "subject", "author", "created_at", "counts", "fingerprint", "key"),
        *("project_dir", "profiles_dir", "target_dir", "manifest_path", "compact_path", "warehouse", "variables"),
    )
    readonly_fields = ("holds", "counts", "created_at")

    @admin.display(description="local changes")
    def holds(self, revision: Revision) -> str:
        """Whether the folder held what its commit holds."""
        if not revision.commit:
            return "-"
        return {
            True: "Yes: the folder differed from this commit",
            False: "No",
            None: "Unknown: the folder could not be compared with this commit",
        }[revision.local_changes]

    @admin.display(description="resources")
    def counts(self, revision: Revision) -> str:
        """How many resources of each type, the most first."""
        counts = [(number, kind) for kind, number in revision.resources.items() if isinstance(number, int) and number]
        ordered = sorted(counts, key=lambda each: (-each[0], each[1]))
        return ", ".join(f"{n} {kind.replace('_', ' ')}{'' if n == 1 else 's'}" for n, kind in ordered) or "-"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one here."""
        return False
