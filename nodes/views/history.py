"""The history of a flow, and the flow as YAML: out, in, and what an import would change."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access import acting
from nodes import services
from nodes.document import DocumentError, differences, document_of, from_yaml, to_yaml
from nodes.document.lines import compare
from nodes.document.text import too_large
from nodes.editing import Base, EditConflict
from nodes.views.editor import flow_or_404, page_context, sees_flows

PAGE = 50


@require_safe
@sees_flows
def history(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Who changed what and when; ?before= pages by version, ?places=1 shows moves on the canvas too."""
    flow = flow_or_404(flow_id)
    changes = flow.changes.order_by("-version")
    before, places = request.GET.get("before", ""), request.GET.get("places") == "1"
    if before.isdecimal() and len(before) < 10:
        changes = changes.filter(version__lt=int(before))
    if not places:
        changes = changes.filter(arranged=False)
    rows = list(changes.defer("document")[: PAGE + 1])
    context = {
        **page_context(flow),
        "changes": rows[:PAGE],
        "next": rows[PAGE - 1].version if len(rows) > PAGE else None,
        "places": places,
    }
    return render(request, "nodes/history.html", context)


@require_safe
@sees_flows
def version(request: HttpRequest, flow_id: int, number: int) -> HttpResponse:
    """One version: what it changed, how it differs from the flow as it is now, and all of it as YAML."""
    flow = flow_or_404(flow_id)
    change = flow.changes.filter(version=number).first()
    if change is None:
        raise Http404("This flow has no such version.")
    back = [difference.text for difference in differences(document_of(flow), change.document)]
    earlier = flow.changes.filter(version__lt=number).order_by("-version").first()
    context = {
        **page_context(flow),
        "change": change,
        "back": back,
        "is_current": number == flow.version,
        "lines": _compared(to_yaml(earlier.document) if earlier else "", to_yaml(change.document)),
    }
    return render(request, "nodes/version.html", context)


def _compared(before: str, after: str) -> list[tuple[str, str]]:
    """The lines of a text with what they are in comparison with an earlier one: "same", "came" or "went"."""
    names = {" ": "same", "+": "came", "-": "went"}
    return [(names[sign], line) for sign, line in compare(before.splitlines(), after.splitlines())]


@require_POST
@sees_flows
def restore(request: HttpRequest, flow_id: int, number: int) -> HttpResponse:
    """Make the flow what it was; what it is now stays in the history."""
    flow = flow_or_404(flow_id)
    seen = request.POST.get("version", "")
    base = Base(int(seen), everything=True) if seen.isdecimal() and len(seen) < 10 else None
    try:
        services.restore_flow(flow, number, base=base)
    except EditConflict as error:
        messages.error(request, f"Nothing was restored. {error} Review the current flow, then restore again.")
        return redirect("nodes:version", flow.pk, number)
    except ValidationError as error:
        messages.error(request, f"Version {number} cannot be restored. {' '.join(error.messages)}")
        return redirect("nodes:version", flow.pk, number)
    messages.success(request, f"Version {number} was restored.")
    return redirect("nodes:editor", flow.pk)


@require_safe
@sees_flows
def as_yaml(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The flow as a YAML file."""
    flow = flow_or_404(flow_id)
    response = HttpResponse(to_yaml(document_of(flow)), content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slugify(flow.name) or "flow"}.yml"'
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("flows.add_flow", raise_exception=True)
def import_yaml(request: HttpRequest) -> HttpResponse:
    """Read a flow from YAML: first what would change, then, when it is confirmed, the change itself."""
    if not acting().may("flows.change_flow"):
        raise PermissionDenied
    if request.method != "POST":
        return render(request, "nodes/import.html", {"text": ""})
    text = request.POST.get("text", "")
    if (sent := request.FILES.get("file")) is not None:
        if problem := too_large(sent.size or 0):  # before it is read, and it is not sent back
            return render(request, "nodes/import.html", {"text": text, "file_problem": problem}, status=422)
        text = sent.read().decode(errors="replace")
    context: dict[str, Any] = {"text": text}
    try:
        document = from_yaml(text)
        if "confirmed" in request.POST:
            flow = services.import_flow(document)
            messages.success(request, f"{flow} was imported.")
            return redirect("nodes:editor", flow.pk)
        context["flow"], context["changes"] = services.preview_import(document)
        context["document"] = document
        context["problems"] = services.check_import(document)
    except DocumentError as error:
        context["problems"] = error.problems
    except ValidationError as error:
        context["problems"] = error.messages
    return render(request, "nodes/import.html", context, status=422 if context.get("problems") else 200)
