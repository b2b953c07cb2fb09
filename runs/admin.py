"""Plain admin pages of runs: to start, watch and cancel them."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flows.models import Flow
from flows.parameters import ParameterError
from runs import logs, services
from runs.models import Attempt, Pool, Run, TaskRun, Trigger


def _user(request: HttpRequest) -> AbstractBaseUser | None:
    return request.user if isinstance(request.user, AbstractBaseUser) else None


class ReadOnly:
    """History is looked at, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TaskRunInline(ReadOnly, admin.TabularInline):
    """The tasks of a run."""

    model = TaskRun
    fields = ("identifier", "node_name", "state", "reason", "attempts", "started_at", "ended_at", "log")
    readonly_fields = fields
    extra = 0
    show_change_link = True

    @admin.display(description="log")
    def log(self, row: TaskRun) -> SafeString | str:
        """A link to the newest log."""
        if not row.fence:
            return ""
        return format_html('<a href="{}">log</a>', reverse("admin:runs_log", args=[row.pk, row.fence]))


@admin.register(Run)
class RunAdmin(ReadOnly, admin.ModelAdmin):
    """Runs."""

    list_display = ("__str__", "state", "reason", "trigger", "created_at", "started_at", "ended_at")
    list_filter = ("state", "flow")
    list_select_related = ("flow",)
    search_fields = ("flow_name",)
    inlines: ClassVar = [TaskRunInline]
    actions = ("cancel", "rerun_from_failure")

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Cancel the chosen runs."""
        if not self._may_operate(request):
            return
        done = sum(services.cancel_run(run.pk, actor=request.user.get_username()) for run in queryset)
        self.message_user(request, f"{done} cancelled.")

    @admin.action(description="Rerun from failure", permissions=["view"])
    def rerun_from_failure(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Repeat what did not succeed, reusing what did."""
        if not self._may_operate(request):
            return
        for run in queryset:
            try:
                again = services.rerun(run, actor=request.user.get_username(), user=_user(request))
                self.message_user(request, f"{again} repeats {run}.")
            except services.RunError as error:
                self.message_user(request, f"{run}: {error}", messages.ERROR)

    def _may_operate(self, request: HttpRequest) -> bool:
        if request.user.has_perm("runs.add_run"):
            return True
        self.message_user(request, "You may look at runs, but not start or stop them.", messages.ERROR)
        return False

    def get_urls(self) -> list[URLPattern]:
        """The admin's own, and the log of an attempt."""
        log = self.admin_site.admin_view(self.log_view)
        return [path("log/<int:task_run_id>/<int:fence>/", log, name="runs_log"), *super().get_urls()]

    def log_view(self, request: HttpRequest, task_run_id: int, fence: int) -> HttpResponse:
        """A log as plain text, by byte range: ?start= (negative from the end) and ?length=."""
        if not self.has_view_permission(request):
            raise Http404
        attempt = Attempt.objects.filter(task_run_id=task_run_id, fence=fence).first()
        if attempt is None:
            raise Http404("There is no such attempt.")
        try:
            start, length = (
                int(request.GET.get(name, default)) for name, default in (("start", 0), ("length", logs.READ_LIMIT))
            )
        except ValueError:
            return HttpResponse("start and length are whole numbers", status=400, content_type="text/plain")
        piece = logs.read(attempt.log_path, start, length)
        response = HttpResponse(piece.text, content_type="text/plain; charset=utf-8")
        response["X-Log-End"], response["X-Log-Size"] = str(piece.end), str(piece.size)
        return response


class AttemptInline(ReadOnly, admin.TabularInline):
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
class TaskRunAdmin(ReadOnly, admin.ModelAdmin):
    """Task runs."""

    list_display = ("identifier", "run", "state", "reason", "started_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("run",)
    search_fields = ("identifier",)
    inlines: ClassVar = [AttemptInline]
    exclude = ("moved_by",)


@admin.register(Pool)
class PoolAdmin(admin.ModelAdmin):
    """Pools."""

    list_display = ("name", "slots")


@admin.action(description="Run now", permissions=["view"])
def run_now(model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Flow]) -> None:
    """Start the chosen flows with the defaults of their parameters."""
    if not request.user.has_perm("runs.add_run"):
        model_admin.message_user(request, "You may look at flows, but not start them.", messages.ERROR)
        return
    for flow in queryset:
        try:
            run = services.start_run(
                flow, trigger=Trigger.MANUAL, actor=request.user.get_username(), user=_user(request)
            )
            model_admin.message_user(
                request,
                format_html('<a href="{}">{}</a> was started.', reverse("admin:runs_run_change", args=[run.pk]), run),
            )
        except ParameterError as error:
            model_admin.message_user(request, f"{flow}: {error}", messages.ERROR)


# flows cannot import runs, so what starts them is added to their page from here.
admin.site.get_model_admin(Flow).actions = [run_now]
