"""A task that ends as it is told: what benchmarks and tests of the engine execute. No form offers it."""

from nodes.tasks import AttemptOutcome, Context

KIND = "noop"


def execute(context: Context) -> AttemptOutcome:
    """Do what the spec says: {"end": "succeed" | "fail" | "raise", "seconds": s, "print": text}.

    Sleeps `seconds` first, and ends as cancelled when that happens meanwhile.
    """
    spec = context.spec
    if text := spec.get("print"):
        context.log(f"{text}\n".encode())
    if (seconds := float(spec.get("seconds") or 0)) and context.cancelled.wait(seconds):
        return AttemptOutcome("cancelled", "cancelled while it slept")
    match spec.get("end", "succeed"):
        case "raise":
            raise RuntimeError("told to raise")
        case "fail":
            return AttemptOutcome("failed", "told to fail")
        case _:
            return AttemptOutcome("succeeded")
