"""A task that ends as it is told: what benchmarks and tests of the engine execute. No form offers it."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from nodes.kinds.base import Ended


def execute(spec: Mapping[str, Any], log: Callable[[bytes], None], cancelled: threading.Event) -> Ended:
    """Do what `spec` says: {"end": "succeed" | "fail" | "raise", "seconds": s, "print": text}.

    Sleeps `seconds` first, and ends as cancelled when that happens meanwhile.
    """
    if text := spec.get("print"):
        log(f"{text}\n".encode())
    if (seconds := float(spec.get("seconds") or 0)) and cancelled.wait(seconds):
        return Ended("cancelled", "cancelled while it slept")
    match spec.get("end", "succeed"):
        case "raise":
            raise RuntimeError("told to raise")
        case "fail":
            return Ended("failed", "told to fail")
        case _:
            return Ended("succeeded")
