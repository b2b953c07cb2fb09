"""Reads typed settings from an environment and reports every bad value at once, by name."""

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


class Reader:
    """Collects values and complaints; `check()` raises them together.

    One restart should be enough to repair a configuration, so a bad value does not hide the next one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.complaints: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """The value without surrounding blanks; an empty one counts as not given, as everywhere here."""
        return self.environ.get(name, "").strip() or default

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no: 1/0, true/false, yes/no, on/off."""
        raw = self.text(name).lower()
        if not raw:
            return default
        if raw not in TRUE | FALSE:
            self.complain(f"{name}={raw!r} must be 1 or 0")
        return raw in TRUE

    def one_of(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """One of these words, in capitals."""
        word = self.text(name, default).upper()
        if word not in allowed:
            self.complain(f"{name}={word!r} is not known; use one of {', '.join(allowed)}")
            return default
        return word

    def number(self, name: str, default: float, *, least: float = 0.0) -> float:
        """A number not below `least`; seconds where the name ends in _S."""
        return self._numeric(name, default, least, float)

    def count(self, name: str, default: int, *, least: int = 1) -> int:
        """A whole number not below `least`."""
        return int(self._numeric(name, default, least, int))

    def _numeric(self, name: str, default: float, least: float, kind: Callable[[str], float]) -> float:
        raw = self.text(name)
        if not raw:
            return default
        try:
            value = kind(raw)
        except ValueError:
            description = "a whole number" if kind is int else "a number"
            self.complain(f"{name}={raw!r} is not {description}; leave it out for {default}")
            return default
        if not least <= value < float("inf"):
            self.complain(f"{name}={raw!r} must be at least {least}")
            return default
        return value

    def folder(self, path: Path, name: str) -> Path:
        """A folder that only its owner enters, made if need be; a complaint where that cannot be."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                self.complain(f"{name} names {path}, which this user cannot write to")
        except OSError as error:
            self.complain(f"{name} names {path}, which cannot be created: {error.strerror}")
        return path

    def complain(self, sentence: str) -> None:
        """Record what is wrong, once."""
        if sentence not in self.complaints:
            self.complaints.append(sentence)

    def check(self) -> None:
        """Raise ImproperlyConfigured with every complaint, if there is one."""
        if self.complaints:
            raise ImproperlyConfigured("dex cannot start:\n  - " + "\n  - ".join(self.complaints))


def mail_server(url: str) -> tuple[str, int, str, str, bool, bool] | None:
    """Host, port, user, password, STARTTLS, TLS of smtp://user:password@host:port?tls=1 (or smtps://, TLS at once).

    An empty URL has no host. None for one that is not understood. User and password as in any URL: %40 is @.
    """
    if not url:
        return "", 0, "", "", False, False
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        port = parts.port or {"smtp": 587 if options.get("tls") == "1" else 25, "smtps": 465}[parts.scheme]
    except (ValueError, KeyError):
        return None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or options.get("tls", "0") not in ("0", "1"):
        return None
    if options.keys() - {"tls"} or parts.path not in ("", "/"):
        return None
    secure = parts.scheme == "smtps"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return parts.hostname, port, user, password, options.get("tls") == "1" and not secure, secure


def broker_tls(url: str) -> dict[str, Any] | None:
    """What a broker with TLS must show: a certificate for its name. None without TLS, or where the URL says itself.

    Left to themselves, kombu and py-amqp encrypt and check nothing.
    """
    parts = urlsplit(url)
    if "ssl_" in parts.query:
        return None
    if parts.scheme == "rediss":
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    if parts.scheme == "amqps":
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
    return None
