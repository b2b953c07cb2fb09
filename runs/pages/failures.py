"""The pages of failures: what goes wrong again and again, and what people wrote about it."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from flows.access import acting
from runs.alerts.failure_groups.models import Failure, FailureGroup
from runs.alerts.services import save_note

PAGE = 50
MOST_FLOWS = 3
looks = permission_required("runs.view_run", raise_exception=True)
_MUTES = [("", "Leave it as it is"), ("1", "For an hour"), ("24", "For a day"), ("168", "For a week")]
_MUTES += [("720", "For 30 days"), ("0", "Unmute")]


class NoteForm(forms.Form):
    """What to do about a failure, and for how long it is mute."""

    note = forms.CharField(
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="What it means and what to do. Shown whenever it happens again, and sent with its messages.",
    )
    mute = forms.ChoiceField(
        label="Mute",
        required=False,
        choices=_MUTES,
        help_text="A run that has only muted failures sends no messages.",
    )


@require_safe
@looks
def failures(request: HttpRequest) -> HttpResponse:
    """All failures, the latest first; ?q= looks in their words and notes."""
    query = request.GET.get("q", "").strip().replace("\0", "")[:200]
    rows = FailureGroup.objects.all()
    if query:
        rows = rows.filter(Q(text__icontains=query) | Q(note__icontains=query) | Q(example__icontains=query))
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    names: dict[int, list[str]] = {}
    latest = Failure.objects.filter(group__in=[row.pk for row in page]).order_by()
    for pk, name in latest.values_list("group_id", "task_run__run__flow_name").distinct():
        names.setdefault(pk, []).append(name)
    lines = [(row, sorted(names.get(row.pk, []))) for row in page]
    context = {
        "page": page,
        "lines": [(row, flows[:MOST_FLOWS], len(flows) - MOST_FLOWS) for row, flows in lines],
        "query": query,
    }
    return render(request, "runs/failures.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@looks
def failure(request: HttpRequest, group_id: int) -> HttpResponse:
    """One failure: where it happened, its note; a POST writes the note and mutes."""
    row = get_object_or_404(FailureGroup, pk=group_id)
    may_write = acting().may("runs.add_run")
    if request.method == "POST" and not may_write:
        raise PermissionDenied("The permission runs.add_run is missing.")
    form = NoteForm(request.POST if request.method == "POST" else None, initial={"note": row.note})
    if request.method == "POST" and form.is_valid():
        hours = form.cleaned_data["mute"]
        until = row.muted_until
        if hours:
            until = timezone.now() + timedelta(hours=int(hours)) if hours != "0" else None
        save_note(row, note=form.cleaned_data["note"], muted_until=until)
        messages.success(request, "Note saved." if not hours else "Note and mute setting saved.")
        return redirect("runs:failure", row.pk)
    happened = Failure.objects.filter(group=row).select_related("task_run__run")
    context = {
        "failure": row,
        "form": form,
        "may_write": may_write,
        "page": Paginator(happened, PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "runs/failure.html", context, status=422 if form.errors else 200)
