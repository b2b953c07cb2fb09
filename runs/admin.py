"""Admin pages of runs and pools; runs are only looked at. The action that syncs environments."""

from typing import ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flows.model_admins import ReadOnly
from flows.models import Environment
from nodes.ordering import GATE
from runs.engine import pools
from runs.logs import store
from runs.models import Attempt, Pool, Run, TaskRun
from runs.operations.syncing import ask_to_sync
from runs.templatetags.dex import state_badge


class History(ReadOnly):
    """Runs and task runs: looked at, never edited. People start, cancel and rerun them on their own pages."""

    @admin.display(description="state", ordering="state")
    def badge(self, row: Run | TaskRun) -> SafeString:
        """The state as it is shown everywhere."""
        return state_badge(row.state)


@admin.register(Run)
class RunAdmin(History):
    """Runs."""

    list_display = ("__str__", "badge", "reason", "trigger", "triggered_by", "started_at", "ended_at")
    list_filter = ("state", "flow")
    list_select_related = ("flow", "triggered_by")
    search_fields = ("flow_name",)
    fields = (
        *("flow", "state", "reason", "error", "warnings", "trigger", "triggered_by", "parameters"),
        *("environment_name", "revision", "retry_of", "drift", "created_at", "started_at", "ended_at"),
        *("cancel_requested_at", "cancel_requested_by", "tasks"),
    )
    readonly_fields = ("tasks",)

    @admin.display(description="tasks")
    def tasks(self, run: Run) -> SafeString:
        """The tasks of the run. Not an inline: a form for each of a thousand rows takes seconds."""
        rows = run.task_runs.exclude(kind=GATE).defer("spec", "result")
        return render_to_string("runs/_tasks.html", {"tasks": rows})

    def get_urls(self) -> list[URLPattern]:
        """The admin's own, and the log of an attempt."""
        log, no_log = self.admin_site.admin_view(self.log_view), self.admin_site.admin_view(self.no_log_view)
        return [
            path("log/<id:task_run_id>/<id:fence>/", log, name="runs_log"),
            path("log/<path:object_id>/", no_log),  # Django would lead from it to the page of a row
            *super().get_urls(),
        ]

    def no_log_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """An address below log/ that has no ids."""
        raise Http404("Log not found.")

    def log_view(self, request: HttpRequest, task_run_id: int, fence: int) -> HttpResponse:
        """A log as plain text, by byte range: ?start= (negative from the end) and ?length=."""
        if not request.user.has_perm("runs.view_log"):
            raise PermissionDenied
        attempt = Attempt.objects.filter(task_run_id=task_run_id, fence=fence).first()
        if attempt is None:
            raise Http404("Attempt not found.")
        try:
            start, length = (
                int(request.GET.get(name, default)) for name, default in (("start", 0), ("length", store.READ_LIMIT))
            )
            if length < 0:
                raise ValueError
        except ValueError:
            message = "start and length must be whole numbers, and length must not be negative"
            return HttpResponse(message, status=400, content_type="text/plain")
        try:
            piece = store.read(attempt.log_path, start, length)
        except ValueError as error:
            raise Http404("Log not found.") from error
        response = HttpResponse(piece.text, content_type="text/plain; charset=utf-8")
        response["X-Log-End"], response["X-Log-Size"] = str(piece.end), str(piece.size)
        return response


class AttemptInline(admin.TabularInline):
    """The tries of a task run."""

    model = Attempt
    fields = ("fence", "owner", "started_at", "ended_at", "outcome", "reason", "log")
    readonly_fields = fields
    extra = 0

    @admin.display(description="log")
    def log(self, row: Attempt) -> SafeString:
        """A link to this try's log."""
        return format_html('<a href="{}">log</a>', reverse("admin:runs_log", args=[row.task_run_id, row.fence]))


@admin.register(TaskRun)
class TaskRunAdmin(History):
    """Task runs."""

    list_display = ("identifier", "run", "badge", "reason", "started_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("run",)
    search_fields = ("identifier",)
    inlines: ClassVar = [AttemptInline]
    exclude = ("moved_by",)


@admin.register(Pool)
class PoolAdmin(admin.ModelAdmin):
    """Pools."""

    list_display = ("name", "slots")

    def save_model(self, request: HttpRequest, obj: Pool, form: ModelForm, change: bool) -> None:
        """Save it; wake who waits for it when it has more slots than before."""
        super().save_model(request, obj, form, change)
        if "slots" in form.changed_data:
            pools.wake_next(obj.name, obj.slots)


@admin.action(description="Sync now", permissions=["change"])
def sync_environments(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Environment]
) -> HttpResponse | None:
    """Ask a worker to sync the chosen environments; their pages show how far it is, and what came of it."""
    rows = list(queryset.select_related("project"))
    ask_to_sync(Environment.objects.filter(pk__in=[row.pk for row in rows]))
    model_admin.message_user(request, f"A worker syncs {', '.join(map(str, rows[:5]))}{' ...' if rows[5:] else ''}.")
    return redirect("admin:flows_environment_change", rows[0].pk) if len(rows) == 1 else None


# flows cannot import runs, so what syncs environments is added to their page from here.
admin.site.get_model_admin(Environment).actions = [sync_environments]
