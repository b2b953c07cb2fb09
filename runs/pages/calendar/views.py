"""The calendar page."""

from datetime import timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.projects.current_environment import chosen_environment
from flows.scheduling.cron import CronError, zone_of
from runs.pages.calendar.drawing import Axis
from runs.pages.calendar.page import calendar_of

COOKIE = "dex-zone"  # static/js/base.js keeps the browser's zone in it
WINDOWS = {"1": 1, "7": 7}


@require_safe
@permission_required("flows.view_flow", raise_exception=True)
def calendar(request: HttpRequest) -> HttpResponse:
    """The coming 24 hours, or ?days=7; ?q= narrows it, ?page= pages it, ?all=1 lists all coming starts."""
    number = WINDOWS.get(request.GET.get("days", ""), 1)
    now = timezone.now()
    axis = Axis(now.replace(minute=0, second=0, microsecond=0), now + timedelta(days=number), viewers_zone(request))
    query = request.GET.get("q", "").replace("\0", "").strip()[:200]
    environment = chosen_environment(request)
    context = {
        "calendar": calendar_of(
            axis,
            now,
            environment=environment,
            query=query,
            page=request.GET.get("page"),
            everything=request.GET.get("all") == "1",
        ),
        "number": number,
        "query": query,
        "environment": environment,
        "crowd": settings.CALENDAR_CROWD,
        "now_x": f"{axis.x(now):.2f}",
    }
    fragment = getattr(request, "htmx", False) and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, "runs/_calendar.html" if fragment else "runs/calendar.html", context)


def viewers_zone(request: HttpRequest) -> ZoneInfo:
    """The zone of the viewer's browser as it told it; UTC as long as it has not."""
    try:
        return zone_of(unquote(request.COOKIES.get(COOKIE, "UTC")))
    except CronError:
        return ZoneInfo("UTC")
