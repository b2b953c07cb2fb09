"""The mail server, within a deadline for the whole exchange."""

from functools import cached_property
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from runs.alerts.deadline import Deadline, smtp_class, tls_context


class TimedBackend(EmailBackend):
    """Django's connection to a mail server; a server that answers a letter a minute is given up at the deadline."""

    def __init__(self, *arguments: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline = deadline

    @property
    def connection_class(self) -> Any:
        """What connects."""
        return smtp_class(self._deadline, secure=bool(self.use_ssl))

    @cached_property
    def ssl_context(self) -> Any:
        """What encrypts after STARTTLS."""
        return tls_context(self._deadline)
