"""The mail server, within a deadline for the whole exchange. Its address is an administrator's, and not checked."""

import smtplib
import socket
from functools import cached_property
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from flows.infra.network.deadline import Deadline, connect, tls_context


class TimedBackend(EmailBackend):
    """Django's connection to a mail server; a server that answers a letter a minute is given up at the deadline."""

    def __init__(self, *arguments: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline = deadline

    @property
    def connection_class(self) -> Any:
        """What connects, encrypted from the start or not."""
        deadline = self._deadline

        class Plain(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                return connect((host, port), deadline)

        class Secure(smtplib.SMTP_SSL):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                return tls_context(deadline).wrap_socket(connect((host, port), deadline), server_hostname=host)

        return Secure if self.use_ssl else Plain

    @cached_property
    def ssl_context(self) -> Any:
        """What encrypts after STARTTLS."""
        return tls_context(self._deadline)
