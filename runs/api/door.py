"""The door of every address of the API: who asks, whether they may, and errors as JSON."""

import logging
import re
from collections.abc import Callable
from functools import partial

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from flows.access import acting_as
from flows.logins.tokens import SECRET, holder_of
from runs.api.errors import ApiError

log = logging.getLogger("dex.api")
_BEARER = re.compile(r"Bearer +(\S+)\Z", re.IGNORECASE)
_NAMES = ("token", "access_token", "api_key")  # of tokens in addresses
AGAIN_S = 5  # after which a client may ask again when the database did not answer

View = Callable[..., HttpResponse]
Door = tuple[View, str]  # and the permission that it asks for


def door(*, get: Door | None = None, post: Door | None = None) -> Callable[..., HttpResponse]:
    """The view of one address. A Door's view is given the request and the numbers in its path, as the token's user."""
    doors = {name: opened for name, opened in (("GET", get), ("HEAD", get), ("POST", post)) if opened is not None}

    # Who asks is said by the token alone: no cookie is looked at, so there is nothing that another site's page could
    # make a browser send along, which is all that a CSRF token guards against; and no session that could be asked for.
    return csrf_exempt(login_not_required(never_cache(partial(_answer, doors))))


def _answer(doors: dict[str, Door], request: HttpRequest, **path: int) -> HttpResponse:
    try:
        return _enter(doors, request, path)
    except ApiError as error:
        return error.response()
    except PermissionDenied as error:
        return ApiError("forbidden", str(error)).response()
    except (OperationalError, InterfaceError):
        log.exception("the database did not answer at %s", request.path)
        again = {"Retry-After": str(AGAIN_S)}
        return ApiError("unavailable", "The database is busy. Ask again in a moment.", headers=again).response()
    except Exception:
        log.exception("an answer failed at %s", request.path)
        return ApiError("internal_error", "Something went wrong inside dex; its log says more.").response()


def _enter(doors: dict[str, Door], request: HttpRequest, path: dict[str, int]) -> HttpResponse:
    user = _asking(request)
    opened = doors.get(request.method or "")
    if opened is None and doors:
        allowed = ", ".join(doors)
        raise ApiError("method_not_allowed", f"This address takes {allowed}.", headers={"Allow": allowed})
    if opened is None:
        raise ApiError("not_found", "The API has no such address.")
    view, permission = opened
    with acting_as(user) as actor:
        if not actor.may(permission):
            said = f"{actor.name} may not do this; the permission {permission} is missing."
            raise ApiError("forbidden", said, [{"permission": permission}])
        return view(request, **path)


def _asking(request: HttpRequest) -> AbstractBaseUser:
    """Whom the token in the header lets act."""
    if SECRET.search(request.META.get("QUERY_STRING", "")) or any(name in request.GET for name in _NAMES):
        # The addresses of requests are written to logs on the way; what was sent there should be revoked.
        said = "A token in an address ends in logs. Send it in the header Authorization, and revoke this one."
        raise ApiError("token_in_address", said)
    given = _BEARER.match(request.headers.get("Authorization", ""))
    if given is None:
        said = "Send a token: Authorization: Bearer dex_... (people make them on the page API tokens)."
        raise ApiError("unauthorized", said, headers={"WWW-Authenticate": 'Bearer realm="dex"'})
    user = holder_of(given[1])
    if user is None:
        said = "This token is unknown, expired or revoked, or its user is not active."
        challenge = 'Bearer realm="dex", error="invalid_token"'
        raise ApiError("unauthorized", said, headers={"WWW-Authenticate": challenge})
    return user
