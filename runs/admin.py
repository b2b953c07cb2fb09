"""Plain admin pages of runs: to start, watch and cancel them."""

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flows.models import Environment, Flow
from flows.object_actions import ObjectActions
from flows.parameters import ParameterError
from nodes.ordering import GATE
from runs import services
from runs.engine import pools
from runs.forms import StartForm
from runs.logs import store
from runs.models import Attempt, Pool, Run, TaskRun, Trigger
from runs.operations.syncing import ask_to_sync
from runs.pages.run_list.bulk import MOST
from runs.pages.run_list.repeating import plan_page
from runs.states import RunState
from runs.templatetags.dex import state_badge

LARGEST_ID = 2**63


def _user(request: HttpRequest) -> AbstractBaseUser | None:
    return request.user if isinstance(request.user, AbstractBaseUser) else None


class ReadOnly:
    """History is looked at, never edited."""

    @admin.display(description="state", ordering="state")
    def badge(self, row: Run | TaskRun) -> SafeString:
        """The state as it is shown everywhere."""
        return state_badge(row.state)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes one here."""
        return False


def _may_operate(request: HttpRequest) -> bool:
    """Whether this user may start and stop; looking at runs is not enough."""
    return request.user.has_perm("runs.add_run")


@admin.register(Run)
class RunAdmin(ReadOnly, ObjectActions):
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
    actions = ("cancel", "rerun_from_failure")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered, and obeyed."""
        return _may_operate(request)

    def offers(self, action: str, obj: Run) -> bool:
        """A run can be cancelled until it is over, and repeated from then on unless all of it succeeded."""
        if action == "cancel":
            return not obj.is_over and obj.cancel_requested_at is None
        return obj.is_over and obj.state != RunState.SUCCEEDED and obj.flow_id is not None

    @admin.display(description="tasks")
    def tasks(self, run: Run) -> SafeString:
        """The tasks of the run. Not an inline: a form for each of a thousand rows takes seconds."""
        rows = run.task_runs.exclude(kind=GATE).defer("spec", "result")
        return render_to_string("runs/_tasks.html", {"tasks": rows})

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Cancel the chosen runs."""
        for run in queryset:
            if services.cancel_run(run.pk, actor=request.user.get_username()):
                self.message_user(request, f"{run} is being cancelled.")
            else:
                said = "is over" if run.is_over else "is being cancelled already"
                self.message_user(request, f"{run} {said}.", messages.WARNING)

    @admin.action(description="Rerun from failure", permissions=["operate"])
    def rerun_from_failure(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse:
        """Show what repeating what did not succeed would do, reusing what did; the page starts it."""
        return plan_page(request, queryset.select_related("flow__environment")[:MOST], key=token_urlsafe(12))

    def get_urls(self) -> list[URLPattern]:
        """The admin's own, and the log of an attempt."""
        log = self.admin_site.admin_view(self.log_view)
        return [path("log/<int:task_run_id>/<int:fence>/", log, name="runs_log"), *super().get_urls()]

    def log_view(self, request: HttpRequest, task_run_id: int, fence: int) -> HttpResponse:
        """A log as plain text, by byte range: ?start= (negative from the end) and ?length=."""
        if not request.user.has_perm("runs.view_log"):
            raise PermissionDenied
        known = max(task_run_id, fence) < LARGEST_ID  # beyond it SQLite cannot even be asked
        attempt = Attempt.objects.filter(task_run_id=task_run_id, fence=fence).first() if known else None
        if attempt is None:
            raise Http404("There is no such attempt.")
        try:
            start, length = (
                int(request.GET.get(name, default)) for name, default in (("start", 0), ("length", store.READ_LIMIT))
            )
            if length < 0:
                raise ValueError
        except ValueError:
            said = "start and length are whole numbers, and length is not negative"
            return HttpResponse(said, status=400, content_type="text/plain")
        try:
            piece = store.read(attempt.log_path, start, length)
        except ValueError as error:
            raise Http404("There is no such log.") from error
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
class TaskRunAdmin(ReadOnly, ObjectActions):
    """Task runs."""

    list_display = ("identifier", "run", "badge", "reason", "started_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("run",)
    search_fields = ("identifier",)
    inlines: ClassVar = [AttemptInline]
    exclude = ("moved_by",)
    actions = ("cancel", "rerun")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered, and obeyed."""
        return _may_operate(request)

    def offers(self, action: str, obj: TaskRun) -> bool:
        """A task can be cancelled until it is over, and repeated when its run is."""
        if action == "cancel":
            return obj.ended_at is None and obj.cancel_requested_at is None
        return obj.run.is_over and obj.run.flow_id is not None

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        """Cancel the chosen tasks; what needs them is skipped."""
        done = sum(services.cancel_task_run(row.pk, actor=request.user.get_username()) for row in queryset)
        late = len(queryset) - done
        self.message_user(request, f"{done} cancelled." + (f" {late} already over or cancelled." if late else ""))

    @admin.action(description="Rerun with what failed", permissions=["operate"])
    def rerun(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> HttpResponse:
        """Show what repeating the runs of the chosen tasks would do: these again, and what did not succeed."""
        keys: dict[int, set[str]] = {}
        for run_id, unique_id in queryset.order_by("-run_id").values_list("run_id", "unique_id"):
            keys.setdefault(run_id, set()).add(unique_id)
        runs = Run.objects.filter(pk__in=list(keys)[:MOST]).select_related("flow__environment")
        return plan_page(request, runs, key=token_urlsafe(12), keys=keys)


@admin.register(Pool)
class PoolAdmin(admin.ModelAdmin):
    """Pools."""

    list_display = ("name", "slots")

    def save_model(self, request: HttpRequest, obj: Pool, form: ModelForm, change: bool) -> None:
        """Save it; wake who waits for it when it has more slots than before."""
        super().save_model(request, obj, form, change)
        if "slots" in form.changed_data:
            pools.wake_next(obj.name, obj.slots)


def _link(run: Run) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("runs:run", args=[run.pk]), run)


def _start(model_admin: admin.ModelAdmin, request: HttpRequest, flow: Flow, values: Mapping[str, Any]) -> None:
    try:
        run = services.start_run(
            flow,
            trigger=Trigger.MANUAL,
            actor=request.user.get_username(),
            user=_user(request),
            parameters=values,
        )
    except ParameterError as error:
        said = f"{flow}: {error} Choose this flow alone to type its values."
        model_admin.message_user(request, said, messages.ERROR)
    else:
        model_admin.message_user(request, format_html("{} was started.", _link(run)))


@admin.action(description="Run now", permissions=["run"])
def run_now(model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Flow]) -> HttpResponse | None:
    """Start the chosen flows; a single one with parameters asks for their values first."""
    flows = list(queryset)
    if len(flows) != 1 or not flows[0].parameters:
        for flow in flows:
            _start(model_admin, request, flow, {})
        return None
    form = StartForm(flows[0], request.POST if "start" in request.POST else None)
    if form.is_valid():
        _start(model_admin, request, flows[0], form.values)
        return None
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Run {flows[0]}",
        "opts": model_admin.opts,
        "flow": flows[0],
        "form": form,
    }
    return TemplateResponse(request, "admin/runs/start.html", context)


@admin.action(description="Sync now", permissions=["change"])
def sync_environments(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Environment]
) -> HttpResponse | None:
    """Ask a worker to sync the chosen environments; their pages show how far it is, and what came of it."""
    rows = list(queryset.select_related("project"))
    ask_to_sync(Environment.objects.filter(pk__in=[row.pk for row in rows]))
    model_admin.message_user(request, f"A worker syncs {', '.join(map(str, rows[:5]))}{' ...' if rows[5:] else ''}.")
    return redirect("admin:flows_environment_change", rows[0].pk) if len(rows) == 1 else None


# flows cannot import runs, so what starts them is added to their page from here.
admin.site.get_model_admin(Flow).actions = [run_now]
admin.site.get_model_admin(Environment).actions = [sync_environments]
