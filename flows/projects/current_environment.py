"""The environment that somebody chose to look at, kept in the session."""

from django.http import HttpRequest

from flows.models import Environment

KEY = "environment"


def may_switch(request: HttpRequest) -> bool:
    """Whether this user knows of environments: every flow says on which it runs."""
    return request.user.has_perm("flows.view_flow") or request.user.has_perm("flows.view_environment")


def environments(request: HttpRequest) -> list[Environment]:
    """The environments that can be chosen, read once a request."""
    if not hasattr(request, "_environments"):
        rows = Environment.objects.select_related("project", "current_revision").defer("sync_error")
        request._environments = list(rows) if may_switch(request) else []  # type: ignore[attr-defined]
    cached: list[Environment] = request._environments  # type: ignore[attr-defined]
    return cached


def chosen_environment(request: HttpRequest) -> Environment | None:
    """The environment that lists are limited to; None for all of them."""
    chosen = request.session.get(KEY)
    if chosen is None:
        return None
    return next((row for row in environments(request) if row.pk == chosen), None)


def choose_environment(request: HttpRequest, pk: int | None) -> Environment | None:
    """Remember the choice, None for all; an environment that is not there counts as None."""
    chosen = next((row for row in environments(request) if row.pk == pk), None)
    if chosen is None:
        request.session.pop(KEY, None)
    else:
        request.session[KEY] = chosen.pk
    return chosen
