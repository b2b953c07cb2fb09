"""Secrets at rest: Fernet tokens that are bound to their row, with keys that can be changed.

The keys are in a file under DEX_HOME, one on a line: the first encrypts, all decrypt. In a copy of the database without
this file, secrets are of no use to whoever finds it, nor to whoever restores it.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from flows.infra.private_files import key_file

SAID = "this secret cannot be decrypted with the keys of this installation"


class Unreadable(Exception):
    """A secret cannot be decrypted, or no key is there to encrypt with; the message says what, never a value."""


def keys_path() -> Path:
    """Where the keys are."""
    return Path(settings.DEX_HOME) / "keys" / "variables"


def seal(binding: Mapping[str, object], value: str, *, needed: Callable[[], bool]) -> str:
    """The token for a value that belongs to the place that `binding` names.

    In: `needed`, whether there are secrets that an earlier key was for: a fresh file of keys would hide that they are
    lost. Raises Unreadable where the file of keys is broken, or gone while it is needed.
    """
    if not keys_path().exists() and needed():
        raise Unreadable(
            f"the encryption keys of this installation are missing. Restore {keys_path()} from a backup. Without "
            "one, add a new key as docs/variables.md describes, and enter every secret again"
        )
    try:
        text = key_file(keys_path(), lambda: Fernet.generate_key().decode())
    except OSError as error:
        raise Unreadable(f"the keys at {keys_path()} cannot be read or created: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{keys_path()} contains something that is not a key") from error
    return _fernet(text).encrypt(json.dumps({**binding, "v": value}).encode()).decode()


def unseal(binding: Mapping[str, object], token: str) -> str:
    """The value of a token. Raises Unreadable where the key is another one, or the token that of another place."""
    try:
        envelope = json.loads(_fernet(_read_keys()).decrypt(token.encode()))
    except (InvalidToken, ValueError) as error:
        raise Unreadable(SAID) from error
    if not isinstance(envelope, dict) or {**envelope, "v": None} != {**binding, "v": None}:
        raise Unreadable(SAID)
    return str(envelope["v"])


def is_current(token: str) -> bool:
    """Whether it was encrypted with the first key."""
    try:
        Fernet(_lines(_read_keys())[0]).decrypt(token.encode())
    except (InvalidToken, ValueError, IndexError):
        return False
    return True


def _read_keys() -> str:
    try:
        return keys_path().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(SAID) from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _fernet(text: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(line) for line in _lines(text)])
    except ValueError as error:  # a line that is no key; no line at all
        raise Unreadable(f"{SAID}: {keys_path()} contains something that is not a key") from error
