"""The page of all runs, and its buttons for many of them."""

import secrets
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.text import capfirst
from django.views.decorators.http import require_POST, require_safe

from flows.access import acting
from flows.infra import ids
from flows.infra.ids import id_of
from flows.models import Flow
from flows.projects.current_environment import chosen_environment
from runs.models import Run, Trigger
from runs.pages.calendar.views import viewers_zone
from runs.pages.run_list.bulk import ACTIONS, MOST, said, that_fit
from runs.pages.run_list.filters import ACTIVE, Filters
from runs.pages.run_list.page import PAGE, has_moved, page_of
from runs.pages.run_list.repeating import keys_of, numbers, plan_page, rerun_all
from runs.planning.reruns import NEWEST, SAME
from runs.states import RunState

STATES = [("", "Any state"), (ACTIVE, "Not finished"), *((str(state), state.capitalize()) for state in RunState)]
TRIGGERS = [("", "Any trigger"), *((value, capfirst(label)) for value, label in Trigger.choices)]


@require_safe
@permission_required("runs.view_run", raise_exception=True)
def runs(request: HttpRequest) -> HttpResponse:
    """All runs, the newest first: ?q=, ?state=, ?flow=, ?trigger=, ?since=, ?until=, ?unacknowledged=1 narrow the list,
    ?before= pages it. A poll says what it shows (?seen=, ?top=, ?watch=) and gets 204 while that is still so.
    """
    is_htmx = bool(getattr(request, "htmx", False)) and not request.htmx.boosted  # type: ignore[attr-defined]
    polled = is_htmx and "seen" in request.GET
    if polled and not has_moved(*_shown(request)):
        return HttpResponse(status=204)
    filters, environment = Filters.of(request.GET), chosen_environment(request)
    context: dict[str, Any] = {
        "filters": filters,
        "environment": environment,
        "page": page_of(filters, environment, viewers_zone(request)),
        "key": secrets.token_urlsafe(12),
        "may_operate": acting().may("runs.add_run"),
        "actions": ACTIONS,
        "most": MOST,
    }
    if not is_htmx:
        flows = Flow.objects.all() if environment is None else Flow.objects.filter(environment=environment)
        context |= {"states": STATES, "triggers": TRIGGERS, "flows": flows.order_by("name").values_list("pk", "name")}
    answer = render(request, "runs/_runs.html" if is_htmx else "runs/runs.html", context)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _shown(request: HttpRequest) -> tuple[int, int, list[int]]:
    """What a poll says that its page shows."""
    watched = [id_of(text) for text in request.GET.get("watch", "")[: PAGE * 20].split("-")]
    seen, top = id_of(request.GET.get("seen", "")), id_of(request.GET.get("top", ""))
    on_first_page = "before" not in request.GET
    return seen or 0, (top or 0) if on_first_page else ids.LARGEST, [pk for pk in watched if pk is not None]


@require_POST
@permission_required("runs.add_run", raise_exception=True)
def bulk(request: HttpRequest) -> HttpResponse:
    """Rerun, cancel or acknowledge: the chosen runs, or with scope=filter all that fit, which asks first.

    A rerun shows its plan first, whichever runs it is for, and starts with `start`.
    """
    filters = Filters.of(QueryDict(request.POST.get("filter", "")[:2000]))
    back = f"{reverse('runs')}?{filters.query_with_page}".rstrip("?")
    name, key, note = (request.POST.get(field, "") for field in ("action", "key", "note"))
    if name not in ACTIONS:
        messages.error(request, "Choose what to do with the runs: rerun, cancel or acknowledge.")
        return redirect(back)
    if name == "rerun" and ("start" in request.POST or "plan" in request.POST):
        return _repeat(request, filters, back, key)
    if request.POST.get("scope") == "filter":
        zone = viewers_zone(request)
        upto = id_of(request.POST.get("upto", "")) or 0
        matching = that_fit(name, filters, chosen_environment(request), zone, key=key, upto=upto)
        if matching and name == "rerun":
            return plan_page(request, matching[:MOST], key=key, back=filters.query_with_page, more=len(matching) > MOST)
        if matching and "sure" not in request.POST:
            return _ask(request, name, matching, filters, upto)
        chosen, more = matching[:MOST], len(matching) > MOST
    else:
        chosen, more = _chosen(request), False
        if not chosen:
            messages.warning(request, "Select runs first, with the checkboxes on the left.")
            return redirect(back)
        if name == "rerun":
            return plan_page(request, chosen, key=key, back=filters.query_with_page)
    outcome = ACTIONS[name].do(chosen, key, note)
    tell = messages.success if outcome.done else messages.warning
    rest = f" More runs match; repeat the action for the next {MOST}." if more else ""
    tell(request, said(name, outcome) + rest)
    return redirect(back)


def _repeat(request: HttpRequest, filters: Filters, back: str, key: str) -> HttpResponse:
    """The form of the plan was sent: show the plan for the other code, or start what is chosen.

    Nothing starts on code whose plan was not shown (`planned` says which was).
    """
    keys = keys_of(request.POST)
    revision = NEWEST if request.POST.get("revision") == NEWEST else SAME
    unseen = request.POST.get("planned", revision) != revision
    if unseen or "start" not in request.POST:
        listed = Run.objects.filter(pk__in=sorted(numbers(request.POST, "listed"))[:MOST]).order_by("-pk")
        replanned = unseen and "start" in request.POST
        return plan_page(request, listed, key=key, back=filters.query_with_page, keys=keys, replanned=replanned)
    chosen = _chosen(request)
    if not chosen:
        messages.warning(request, "No run was selected, and nothing was started.")
        return redirect(back)
    outcome = rerun_all(chosen, key=key, revision=revision, keys=keys, known=numbers(request.POST, "known"))
    tell = messages.success if outcome.done else messages.warning
    tell(request, said("rerun", outcome))
    return redirect(back)


def _chosen(request: HttpRequest) -> list[Run]:
    ids = [id_of(text) for text in request.POST.getlist("run")][:MOST]
    return list(Run.objects.select_related("flow__environment").filter(pk__in=[pk for pk in ids if pk is not None]))


def _ask(request: HttpRequest, name: str, chosen: list[Run], filters: Filters, upto: int) -> HttpResponse:
    context = {
        "name": name,
        "action": ACTIONS[name],
        "runs": chosen[:10],
        "number": min(len(chosen), MOST),
        "more": len(chosen) > MOST,
        "filters": filters,
        "upto": upto,
        "key": request.POST.get("key", ""),
        "note": request.POST.get("note", ""),
    }
    return render(request, "runs/bulk.html", context)
