"""Checks passwords, not more often than flows.logins.throttle allows: whichever form asks, it asks here."""

import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from flows.logins.throttle import TooManyTries, begin, end

log = logging.getLogger("dex.logins")


class ThrottledBackend(ModelBackend):
    """Django's users and passwords. What was refused is in `request.login_refused`, for the form to say."""

    @sensitive_variables("password")
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """The user of a name and a password; None for any other. Raises PermissionDenied when it is too early."""
        username = username if username is not None else kwargs.get(get_user_model().USERNAME_FIELD)
        if request is None or not username or password is None:  # a command, or nothing to check
            return super().authenticate(request, username, password, **kwargs)
        try:
            row = begin(request, username)
        except TooManyTries as error:
            request.login_refused = error  # type: ignore[attr-defined]
            raise PermissionDenied(str(error)) from error
        user = None
        try:
            user = super().authenticate(request, username, password, **kwargs)
        finally:
            end(row, succeeded=user is not None)
        if user is None:
            log.warning("login failed: %s from %s", row.name or "unknown name", row.address or "nowhere")
        return user
