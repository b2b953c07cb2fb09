"""Who acts, and what they may: every service asks here before it writes.

The person is ambient, as the active time zone is: a middleware sets the request's user, so that no caller can forget
to pass one on. Outside of requests the system itself acts (commands, the engine, the clock), which may everything.
Permissions are Django's; the groups that bundle them are seeded by a migration (`ROLES`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

#: group -> what it may beyond the group before it.
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": (
        *("flows.view_flow", "nodes.view_node", "nodes.view_link", "nodes.view_task", "nodes.view_expansion"),
        *("runs.view_run", "runs.view_taskrun", "runs.view_attempt", "runs.view_transition", "runs.view_log"),
    ),
    "operator": ("runs.add_run", "runs.download_log", "runs.view_failing_rows", "flows.pause_flow"),
    "editor": (
        *("flows.add_flow", "flows.change_flow", "flows.delete_flow", "flows.view_environment", "flows.view_revision"),
        "flows.view_variable",
        *("nodes.add_node", "nodes.change_node", "nodes.delete_node", "nodes.add_link", "nodes.delete_link"),
    ),
    "admin": (
        *("flows.add_project", "flows.change_project", "flows.delete_project", "flows.view_project"),
        *("flows.add_environment", "flows.change_environment", "flows.delete_environment"),
        *("flows.add_variable", "flows.change_variable", "flows.delete_variable"),
        *("nodes.add_connection", "nodes.change_connection", "nodes.delete_connection", "nodes.view_connection"),
        *("nodes.view_change", "runs.add_pool", "runs.change_pool", "runs.delete_pool", "runs.view_pool"),
        *("runs.add_channel", "runs.change_channel", "runs.delete_channel", "runs.view_channel"),
        "flows.view_login",
        *("auth.add_user", "auth.change_user", "auth.delete_user", "auth.view_user"),
        *("auth.add_group", "auth.change_group", "auth.delete_group", "auth.view_group"),
    ),
}


@dataclass(frozen=True)
class Actor:
    """Who does something; without a user it is the system, named after its part."""

    name: str
    user: AbstractBaseUser | None = None

    def may(self, permission: str) -> bool:
        """Whether this one has a permission such as "flows.change_flow"."""
        return self.user is None or bool(getattr(self.user, "has_perm", lambda _: False)(permission))


SYSTEM = Actor("system")
_acting: ContextVar[Actor] = ContextVar("acting", default=SYSTEM)


def acting() -> Actor:
    """Who acts now."""
    return _acting.get()


@contextmanager
def acting_as(who: Actor | AbstractBaseUser | AnonymousUser) -> Iterator[Actor]:
    """Let somebody act inside the block; a user who is not logged in may nothing."""
    actor = who if isinstance(who, Actor) else Actor(who.get_username() or "anonymous", who)  # type: ignore[arg-type]
    token = _acting.set(actor)
    try:
        yield actor
    finally:
        _acting.reset(token)


def require(*permissions: str) -> Actor:
    """Who acts now. Raises PermissionDenied, naming it, unless they have every one of these permissions."""
    actor = acting()
    missing = [permission for permission in permissions if not actor.may(permission)]
    if missing:
        raise PermissionDenied(f"{actor.name} does not have permission to do this. Missing: {', '.join(missing)}.")
    return actor


class ActingMiddleware:
    """Whoever is logged in acts for the length of the request. Belongs behind Django's AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request as the person who sent it."""
        with acting_as(request.user):
            return self.get_response(request)


def role_permissions(role: str) -> set[str]:
    """Everything a role may, the roles below it included."""
    result: set[str] = set()
    for name, permissions in ROLES.items():
        result.update(permissions)
        if name == role:
            return result
    raise KeyError(role)
