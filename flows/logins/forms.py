"""The form of the login page."""

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError


class LogInForm(AuthenticationForm):
    """Name and password; says when to come again to whoever came too often."""

    def get_invalid_login_error(self) -> ValidationError:
        """Why nobody is logged in."""
        refused = getattr(self.request, "login_refused", None)
        return ValidationError(str(refused), code="too_many") if refused else super().get_invalid_login_error()
