"""How many passwords a process checks at once: each takes a second of a processor, which other requests need too."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import PBKDF2PasswordHasher

AT_ONCE = 2
WAITING = 2  # beyond those that are checked; whoever comes then is asked to come again
_turns = threading.BoundedSemaphore(AT_ONCE)
_lock = threading.Lock()
_count = 0  # of those that wait or are checked


@contextmanager
def turn() -> Iterator[None]:
    """Waits until fewer than AT_ONCE passwords are checked."""
    global _count
    with _lock:
        _count += 1
    try:
        with _turns:
            yield
    finally:
        with _lock:
            _count -= 1


def is_crowded() -> bool:
    """Whether so many wait that one more would keep a thread from requests that need no password."""
    return _count >= AT_ONCE + WAITING


class TurnHasher(PBKDF2PasswordHasher):
    """Django's own hasher, a few at a time, whoever asks for it: a login, a new password, an old one typed again."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """The hash of a password."""
        with turn():
            return super().encode(password, salt, iterations)
