"""An authenticated endpoint of the API: checks token and permission, and answers errors as JSON."""

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
Handler = tuple[View, str]  # and the permission that it requires


def endpoint(*, get: Handler | None = None, post: Handler | None = None) -> Callable[..., HttpResponse]:
    """The view of one address: calls the method's handler with the request and the path's ids, as the token's user."""
    handlers = {
        method: handler for method, handler in (("GET", get), ("HEAD", get), ("POST", post)) if handler is not None
    }

    # The token alone says who calls. No cookie is read, so another site's page has nothing that it could make a browser
    # send along, which is all that a CSRF token guards against; and there is no session to log in to.
    return csrf_exempt(login_not_required(never_cache(partial(_answer, handlers))))


def _answer(handlers: dict[str, Handler], request: HttpRequest, **path: int) -> HttpResponse:
    try:
        return _dispatch(handlers, request, path)
    except ApiError as error:
        return error.response()
    except PermissionDenied as error:
        return ApiError("forbidden", str(error)).response()
    except (OperationalError, InterfaceError):
        log.exception("the database did not answer at %s", request.path)
        again = {"Retry-After": str(AGAIN_S)}
        return ApiError("unavailable", "The database is busy. Try again in a moment.", headers=again).response()
    except Exception:
        log.exception("an answer failed at %s", request.path)
        return ApiError("internal_error", "Something went wrong inside dex. See its log for details.").response()


def _dispatch(handlers: dict[str, Handler], request: HttpRequest, path: dict[str, int]) -> HttpResponse:
    user = _authenticate(request)
    handler = handlers.get(request.method or "")
    if handler is None and handlers:
        allowed = ", ".join(handlers)
        raise ApiError("method_not_allowed", f"Use {allowed} for this URL.", headers={"Allow": allowed})
    if handler is None:
        raise ApiError("not_found", "No such API endpoint.")
    view, permission = handler
    with acting_as(user) as actor:
        if not actor.may(permission):
            message = f"{actor.name} does not have permission to do this. Missing: {permission}."
            raise ApiError("forbidden", message, [{"permission": permission}])
        return view(request, **path)


def _authenticate(request: HttpRequest) -> AbstractBaseUser:
    """The user whose token is in the header. Raises ApiError."""
    if SECRET.search(request.META.get("QUERY_STRING", "")) or any(name in request.GET for name in _NAMES):
        # The addresses of requests are written to logs on the way; what was sent there should be revoked.
        message = "Tokens in URLs end up in logs. Send the token in the Authorization header, and revoke this one."
        raise ApiError("token_in_address", message)
    bearer = _BEARER.match(request.headers.get("Authorization", ""))
    if bearer is None:
        message = "Send a token: Authorization: Bearer dex_... (create one on the API tokens page)."
        raise ApiError("unauthorized", message, headers={"WWW-Authenticate": 'Bearer realm="dex"'})
    user = holder_of(bearer[1])
    if user is None:
        message = "This token is unknown, expired or revoked, or its user is not active."
        challenge = 'Bearer realm="dex", error="invalid_token"'
        raise ApiError("unauthorized", message, headers={"WWW-Authenticate": challenge})
    return user
