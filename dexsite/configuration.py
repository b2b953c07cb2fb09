"""Reads typed settings from an environment and reports every bad value at once, by name."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


class Reader:
    """Collects values and complaints; `check()` raises them together.

    One restart should be enough to mend a configuration, so a bad value does not hide the next one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.complaints: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """The value as it is, without surrounding blanks."""
        return self.environ.get(name, default).strip()

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no: 1/0, true/false, yes/no, on/off."""
        raw = self.environ.get(name)
        if raw is None:
            return default
        if raw.strip().lower() in TRUE:
            return True
        if raw.strip().lower() not in FALSE:
            self.complaints.append(f"{name}={raw!r} is neither yes nor no; use 1 or 0")
        return False

    def number(self, name: str, default: float, *, least: float = 0.0) -> float:
        """A number not below `least`; seconds where the name ends in _S."""
        return self._numeric(name, default, least, float)

    def count(self, name: str, default: int, *, least: int = 1) -> int:
        """A whole number not below `least`."""
        return int(self._numeric(name, default, least, int))

    def _numeric(self, name: str, default: float, least: float, kind: Callable[[str], float]) -> float:
        raw = self.environ.get(name)
        if raw is None:
            return default
        try:
            value = kind(raw)
        except ValueError:
            self.complaints.append(f"{name}={raw!r} is not a number; leave it out for {default}")
            return default
        if not least <= value < float("inf"):
            self.complaints.append(f"{name}={raw!r} must be at least {least}")
            return default
        return value

    def complain(self, sentence: str) -> None:
        """Record something that is wrong beyond a single value."""
        self.complaints.append(sentence)

    def check(self) -> None:
        """Raise ImproperlyConfigured with every complaint, if there is one."""
        if self.complaints:
            raise ImproperlyConfigured("dex cannot start:\n  - " + "\n  - ".join(self.complaints))


def key_file(path: Path) -> str:
    """The secret key kept at `path`, made at the first start (mode 0600)."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        # link() fails when another process was first; then its key is the key.
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_text().strip()
