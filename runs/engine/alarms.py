"""When something becomes due inside this process: the next retry, or the next try after a lost worker.

Housekeeping sleeps here. The database keeps when each task run may start; what is set here is only a reason to look
earlier than the next round of repairs, so a lost or forgotten alarm costs a few seconds and nothing else.
"""

import threading
import time


class Alarm:
    """One time to wake at, the earliest that was set. For any number of threads that set it and one that waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: float | None = None

    def set(self, seconds: float) -> None:
        """Wake whoever waits in `seconds` s, unless it wakes earlier anyway."""
        at = time.monotonic() + max(0.0, seconds)
        with self._changed:
            if self._at is None or at < self._at:
                self._at = at
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds` s or until the alarm goes off; whether it went off, and it is spent then."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                now = time.monotonic()
                if self._at is not None and self._at <= now:
                    self._at = None
                    return True
                if now >= end:
                    return False
                self._changed.wait((end if self._at is None else min(end, self._at)) - now)


due = Alarm()  # of task runs that may be tried again
